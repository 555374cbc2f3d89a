"""The papers' protocols of evaluation, as data."""

import dataclasses

from cnnjax import errors
from cnnjax.evaluate.views import CENTRE, CORNERS_AND_CENTRE, MIDDLE_SQUARE, THREE_SQUARES, Views, grid


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What a network is shown of an image.

    Attributes:
      doc: in one line, with its source.
      groups: views are averaged within a group, groups among each other.
      convolutional: whether the groups' whole images are for the network's head as convolutions, see
        `cnnjax.evaluate.convolutional`.
    """

    doc: str
    groups: tuple[tuple[Views, ...], ...]
    convolutional: bool = False


_JITTERED = (256, 384, 512)
_CROPS = Views(_JITTERED, grid(5), flip=True)
_DENSE = Views(_JITTERED, whole=True, flip=True)
_SPP = Views((224, 256, 300, 360, 448, 560), grid(3), flip=True)

PROTOCOLS = {
    "whole": Protocol("what evaluation during training sees: the image, or the middle of it", ((Views(),),)),
    "centre": Protocol("the middle, of a shorter side of 256", ((Views((256,), CENTRE),),)),
    "10crop": Protocol(
        "four corners and the centre of the middle square, of a side of 256, and mirrored; Krizhevsky et al. 2012, §4.1",
        ((Views((256,), CORNERS_AND_CENTRE, MIDDLE_SQUARE, flip=True),),),
    ),
    "12crop": Protocol(
        "10crop and the middle square itself, resized, and mirrored: what 144crop has of one square; Szegedy et al. 2015 and "
        "2016, who print the number of views only",
        ((Views((256,), CORNERS_AND_CENTRE, MIDDLE_SQUARE, shrunk=True, flip=True),),),
    ),
    "144crop": Protocol(
        "four sides × three squares × (four corners, the centre, the square resized), and mirrored; Szegedy et al. 2014",
        ((Views((256, 288, 320, 352), CORNERS_AND_CENTRE, THREE_SQUARES, shrunk=True, flip=True),),),
    ),
    "150crop": Protocol(
        "a grid of 5×5 crops at three sides, and mirrored; Simonyan & Zisserman 2014, §3.2", ((_CROPS,),)
    ),
    "multi_scale": Protocol("the middle, at VGG's three sides", ((Views(_JITTERED, CENTRE),),)),
    "spp96": Protocol(
        "a grid of 3×3 crops at six sides, of which at 224 only those along the longer side differ, and mirrored; "
        "He et al. 2014",
        ((_SPP,),),
    ),
    "spp98": Protocol(
        "spp96 and the whole image at 256, and mirrored; He et al. 2014",
        ((_SPP, Views((256,), whole=True, flip=True)),),
    ),
    "full": Protocol("the whole image, of a shorter side of 256; He et al. 2014", ((Views((256,), whole=True),),)),
    "full_180": Protocol(
        "the whole image, of a shorter side of 180, the smaller of the two sizes of training; after He et al. 2014, §2.3",
        ((Views((180,), whole=True),),),
    ),
    "dense": Protocol(
        "the whole image at the side of training, the head as convolutions, and mirrored; Simonyan & Zisserman 2014, §3.2",
        ((Views(whole=True, flip=True),),),
        convolutional=True,
    ),
    "dense_multi_scale": Protocol(
        "dense, at 256, 384 and 512; Simonyan & Zisserman 2014, Table 4", ((_DENSE,),), convolutional=True
    ),
    "dense_five_scales": Protocol(
        "the whole image at 224, 256, 384, 480 and 640, the head as convolutions; He et al. 2015, §3.4",
        ((Views((224, 256, 384, 480, 640), whole=True),),),
        convolutional=True,
    ),
    "crops_and_dense": Protocol(
        "150crop and dense_multi_scale, half each; Simonyan & Zisserman 2014, Table 5",
        ((_CROPS,), (_DENSE,)),
        convolutional=True,
    ),
}
"""Name → protocol. Sides are the shorter ones in pixels, of images for a network of 224×224."""


def find(name: str) -> Protocol:
    """A protocol by its name.

    Raises:
      UserError: there is none.
    """
    if name not in PROTOCOLS:
        raise errors.UserError(f"unknown protocol {name!r}; available: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
