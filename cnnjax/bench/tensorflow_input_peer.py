"""The same batches from tf.data: a script for a Python that has TensorFlow, not imported by the package.

Speaks the protocol of `cnnjax.bench.peer`. Only the part of a JPEG that is wanted is decoded, as in the usual training scripts.
"""

# mypy: ignore-errors
import json
import pathlib
import sys
import time

import tensorflow as tf


def dataset(asked):
    """Image uint8 [N, side, side, 3] and label [N], without end."""
    files = sorted(pathlib.Path(asked["folder"]).glob("*/*"))
    names = sorted({path.parent.name for path in files})
    labels = [names.index(path.parent.name) for path in files]

    def load(path, label):
        content = tf.io.read_file(path)
        start, size, _ = tf.image.sample_distorted_bounding_box(
            tf.image.extract_jpeg_shape(content),
            tf.zeros([1, 0, 4]),
            area_range=asked["area"],
            aspect_ratio_range=asked["aspect"],
            use_image_if_no_bounding_boxes=True,
        )
        window = tf.concat([start[:2], size[:2]], 0)
        image = tf.image.decode_and_crop_jpeg(content, window, channels=3)
        image = tf.image.resize(image, (asked["side"], asked["side"]), antialias=True)
        return tf.saturate_cast(tf.round(image), tf.uint8), label

    found = tf.data.Dataset.from_tensor_slices(([str(path) for path in files], labels))
    found = found.shuffle(len(files)).repeat().map(load, asked["workers"])
    options = tf.data.Options()
    options.threading.private_threadpool_size = asked["workers"]
    # Not as far ahead as it likes: what it has read while others have their turn would be counted as read in its own.
    return found.batch(asked["batch"], drop_remainder=True).prefetch(2).with_options(options)


def main():
    """Answers each line that asks for some batches with their seconds; what was read ahead before is not counted."""
    asked = json.loads(sys.argv[1])
    found = dataset(asked).as_numpy_iterator()

    def run(steps):
        for _ in range(asked["ahead"]):
            next(found)
        start = time.perf_counter()
        for _ in range(steps):
            next(found)
        return time.perf_counter() - start

    run(1)
    print(json.dumps({"version": f"tensorflow {tf.__version__}"}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": run(json.loads(line)["steps"])}), flush=True)


if __name__ == "__main__":
    main()
