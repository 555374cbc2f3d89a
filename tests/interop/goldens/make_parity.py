"""Writes parity.json: what the networks of torchvision, timm and pytorchcv compute, in float64.

    python tests/interop/goldens/make_parity.py        # needs torch, torchvision, timm, pytorchcv, and jax for nothing

Parameters are drawn by `rule.parameter` from their names there, so that none is stored. For each network: a digest of the
names and shapes of its state dictionary, logits in evaluation, and in training (with the batch's statistics, nothing dropped;
auxiliary logits too),
and of some of its modules' outputs in evaluation the norm and the scalar product with `draw("tap/" + ours)`.
"""

import importlib.metadata
import json
import pathlib
import sys

import timm
import torch
import torchvision
from pytorchcv.model_provider import get_model
from rule import CASES, digest, draw, images, parameter
from torch import nn

BUILDERS = {
    "torchvision": lambda name, **more: getattr(torchvision.models, name)(
        weights=None,
        num_classes=10,
        **({"init_weights": False} if name in ("googlenet", "inception_v3") else {}),
        **more,
    ),
    "timm": lambda name: timm.create_model(name, num_classes=10),
    "pytorchcv": lambda name: get_model(name, num_classes=10),
}


def narrow(model, side):
    """A VGG with 32 hidden units on maps of any size."""
    model.avgpool = nn.Identity()
    model.classifier[0] = nn.Linear(512 * (side // 32) ** 2, 32)
    model.classifier[3] = nn.Linear(32, 32)
    model.classifier[6] = nn.Linear(32, 10)
    return model


def golden(case):
    model = BUILDERS[case.source](case.theirs)
    if "hidden" in case.fields:
        model = narrow(model, case.side)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if hasattr(model, "drop_rate"):
        model.drop_rate = 0.0
    model = model.double()
    state = {name: array for name, array in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    with torch.no_grad():
        for name, array in state.items():
            array.copy_(torch.from_numpy(parameter(name, tuple(array.shape))))
    seen = {}

    def keep(ours):
        def hook(module, inputs, output):
            array = output.numpy()
            seen[ours] = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array

        return hook

    modules = dict(model.named_modules())
    hooks = [modules[theirs].register_forward_hook(keep(ours)) for ours, theirs in case.taps.items()]
    x = torch.from_numpy(images(case.side)).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        evaluated = model.eval()(x)
        for hook in hooks:
            hook.remove()
        trained = model.train()(x)
    trained, *sides = trained if isinstance(trained, tuple) else (trained,)
    return {
        "sides": {ours: side.tolist() for ours, side in zip(case.sides, sides, strict=True)},
        "state": digest({name: tuple(array.shape) for name, array in state.items()}),
        "eval": evaluated.tolist(),
        "train": trained.tolist(),
        "taps": {
            ours: [
                list(array.shape),
                float((array**2).sum() ** 0.5),
                float((array * draw(f"tap/{ours}", array.shape)).sum()),
            ]
            for ours, array in seen.items()
        },
    }


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("parity.json")
    record = json.loads(path.read_text()) if path.exists() else {"networks": {}}
    record["networks"] = {name: network for name, network in record["networks"].items() if name in CASES}
    for name, case in CASES.items():
        if case.source in BUILDERS and (len(sys.argv) == 1 or name in sys.argv[1:]):
            print(name, flush=True)
            record["networks"][name] = golden(case)
    record["made_by"] = "tests/interop/goldens/make_parity.py"
    record["versions"] = {
        **record.get("versions", {}),
        **{name: importlib.metadata.version(name) for name in ("torch", "torchvision", "timm", "pytorchcv")},
    }
    path.write_text(json.dumps(record, indent=0, sort_keys=True) + "\n")
