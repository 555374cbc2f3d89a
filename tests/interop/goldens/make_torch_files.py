"""Writes *.pth: small files of `torch.save`, in both of its formats, and what is in them as torch_files.json.

python tests/interop/goldens/make_torch_files.py        # needs torch; the tests do not
"""

import json
import pathlib

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


def state():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 3))
    found = model.state_dict()
    found["transposed"] = torch.arange(6.0).reshape(2, 3).T
    found["part"] = torch.arange(10)[3:5]
    for kind in (torch.float16, torch.bfloat16, torch.float64, torch.bool):
        found[str(kind)] = torch.tensor([0.5, 1.0, 0.0], dtype=kind)
    found["empty"] = torch.zeros(0, 2)
    return model, found


model, found = state()
torch.save(found, HERE / "state.pth")
torch.save(found, HERE / "state_old.pth", _use_new_zipfile_serialization=False)
wrapped = {f"module.{name}": tensor for name, tensor in found.items()}
torch.save({"epoch": 3, "state_dict": wrapped, "best": 0.5, "args": ["a", None]}, HERE / "checkpoint.pth")
torch.save(model, HERE / "module.pth")
values = {name: [list(tensor.shape), tensor.double().flatten().tolist()] for name, tensor in found.items()}
record = {"made_by": "tests/interop/goldens/make_torch_files.py", "torch": torch.__version__, "state": values}
(HERE / "torch_files.json").write_text(json.dumps(record, indent=0) + "\n")
