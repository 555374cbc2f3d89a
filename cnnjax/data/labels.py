"""The labels of a set whose images are too many to be read for them."""

import concurrent.futures
import contextlib
import io

import numpy as np

from cnnjax import errors, files, machine
from cnnjax.data import arrays
from cnnjax.data.prepared import Prepared
from cnnjax.data.records import Records


def read(found: Prepared, split: str) -> np.ndarray:
    """The labels of a split, in the prepared order.

    A split is read once as a whole; then its labels lie beside it, where its folder can be written.

    Returns:
      int32 [N], or, of a set whose images may be of several classes, bool [N, num_classes].

    Raises:
      UserError: see `cnnjax.data.load`.
    """
    parts = [_whole(found, base)[start:stop] for base, start, stop in arrays.resolve(split, found.shards)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _whole(found: Prepared, base: str) -> np.ndarray:
    records = Records(found, base)
    kept = found.folder / "labels" / f"{base}.npy"
    shape = (len(records), records.num_classes) if records.several else (len(records),)
    with contextlib.suppress(OSError, ValueError, EOFError):
        labels = np.load(kept, allow_pickle=False)
        if (labels.shape, labels.dtype) == (shape, records.label_dtype):
            return labels
    with concurrent.futures.ThreadPoolExecutor(len(machine.cores())) as pool:
        labels = np.array(list(pool.map(records.label, range(len(records)))), records.label_dtype)
    content = io.BytesIO()
    np.save(content, labels)
    with contextlib.suppress(OSError, errors.UserError):  # a folder of someone else: they are read again next time
        files.write(kept, content.getvalue())
    return labels
