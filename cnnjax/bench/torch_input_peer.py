"""The same batches from PyTorch's DataLoader: a script for a Python that has torch and Pillow, not imported by the package.

Speaks the protocol of `cnnjax.bench.peer`. Images are opened by Pillow and cropped by area, as in the usual training scripts.
"""

# mypy: ignore-errors
import json
import math
import pathlib
import random
import sys
import time

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Files(Dataset):
    """Image uint8 [3, side, side] and label of each file in class folders."""

    def __init__(self, asked):
        self.files = sorted(pathlib.Path(asked["folder"]).glob("*/*"))
        names = sorted({path.parent.name for path in self.files})
        self.labels = [names.index(path.parent.name) for path in self.files]
        self.side, self.area, self.aspect = asked["side"], asked["area"], asked["aspect"]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with Image.open(self.files[index]) as opened:
            image = opened.convert("RGB")
        pixels = image.width * image.height * random.uniform(*self.area)
        ratio = math.exp(random.uniform(*map(math.log, self.aspect)))
        width, height = min(math.sqrt(pixels * ratio), image.width), min(math.sqrt(pixels / ratio), image.height)
        left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
        box = (left, top, left + width, top + height)
        values = np.array(image.resize((self.side, self.side), Image.Resampling.BILINEAR, box=box))
        return torch.from_numpy(values).permute(2, 0, 1), self.labels[index]


def batches(asked):
    """Without end."""
    options = {"num_workers": asked["workers"], "persistent_workers": True, "drop_last": True, "shuffle": True}
    loader = DataLoader(Files(asked), asked["batch"], **options)
    while True:
        yield from loader


def main():
    """Answers each line that asks for some batches with their seconds; what was read ahead before is not counted."""
    asked = json.loads(sys.argv[1])
    found = batches(asked)

    def run(steps):
        for _ in range(asked["ahead"]):
            next(found)
        start = time.perf_counter()
        for _ in range(steps):
            next(found)
        return time.perf_counter() - start

    run(1)
    print(json.dumps({"version": f"torch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": run(json.loads(line)["steps"])}), flush=True)


if __name__ == "__main__":
    main()
