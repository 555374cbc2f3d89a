"""ImageNet of ILSVRC-2012 from its original archives, as a TFDS set: the JPEG files as they are.

1,281,167 training and 50,000 validation images of 1,000 classes. TFDS's own ``imagenet2012``, version 5.1.0, has the same
images, labels and features in another order, and is read as well; the version number here tells the two apart.

Of the training images 22 have four inks and one is a PNG; these become JPEG files of three colours. Which they are is seen
from the files. Within a split, images are in the order of a hash of their names: a slice is as good as a random sample.
"""

from pathlib import Path
from typing import Any

from cnnjax.data import decode, imagenet2012_files, shards


def stored(original: shards.Original, content: bytes) -> bytes:
    """What is written for an image whose file has this content."""
    image = decode.read(content)
    return content if image.jpeg else shards.jpeg(decode.pixels(image, 3))


class Imagenet2012(shards.ImageFiles, skip_registration=True):  # type: ignore[call-arg]
    """image: a JPEG file; label, numbers of the WordNet identifiers in alphabetical order; file_name.

    Args:
      source: the folder with the original archives.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = f"{imagenet2012_files.WANTED}."

    def __init__(self, *, source: Path, **options: Any) -> None:
        classes, found = imagenet2012_files.read(source)
        super().__init__(found=found, classes=classes, stored=stored, **options)
