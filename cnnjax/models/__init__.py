"""The networks, one file a paper."""

from cnnjax.models import resnet as resnet
from cnnjax.models.registry import create as create
from cnnjax.models.registry import entries as entries
from cnnjax.models.registry import entry as entry
