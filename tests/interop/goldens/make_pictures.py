"""Writes pictures.json: the likeliest classes of two photographs by torchvision's own transforms and ResNet-18, in float32.

    python tests/interop/goldens/make_pictures.py        # needs torch, torchvision, scikit-learn

Parameters are drawn by `rule.parameter` from their names, as in make_parity.py.
"""

import json
import pathlib

import sklearn.datasets
import torch
import torchvision
from PIL import Image
from rule import parameter
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

NAMES = ("china.jpg", "flower.jpg")

if __name__ == "__main__":
    model = torchvision.models.resnet18(weights=None).eval()
    with torch.no_grad():
        for name, array in model.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                array.copy_(torch.from_numpy(parameter(name, tuple(array.shape))))
    usual = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    prepare = Compose([Resize(256), CenterCrop(224), ToTensor(), usual])
    folder = pathlib.Path(sklearn.datasets.__file__).parent / "images"
    top = {}
    for name in NAMES:
        with torch.no_grad():
            values, classes = model(prepare(Image.open(folder / name))[None]).softmax(-1)[0].topk(10)
        top[name] = [[int(each), float(value)] for each, value in zip(classes, values, strict=True)]
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    record = {"made_by": "tests/interop/goldens/make_pictures.py", **versions, "top": top}
    pathlib.Path(__file__).with_name("pictures.json").write_text(json.dumps(record, indent=0) + "\n")
