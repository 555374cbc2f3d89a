"""Writes papers.json: what networks that no package has compute, in PyTorch and float64.

    python tests/models/goldens/make_papers.py        # needs torch; the tests do not

The networks are those of derivations.py, written from the papers and apart from cnnjax, which is not imported. For each the
logits of evaluation and of training, and of some maps in evaluation the norm and the scalar product with
``rule.draw("tap/" + name)``. Parameters are drawn from our names by `rule.parameter`.
"""

import json
import pathlib

import numpy as np
import torch
from derivations import CHANNELS, NETWORKS, Net
from rule import draw


def golden(name, forward, side, fields):
    channels = CHANNELS.get(name, 3)
    images = draw("images", (2, side, side, channels)).transpose(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(images))
    net = Net(train=False)
    evaluated = forward(net, images)
    seen = {
        name: [list(array.shape), float(np.linalg.norm(array)), float((array * draw(f"tap/{name}", array.shape)).sum())]
        for name, array in net.seen.items()
    }
    trained = forward(Net(train=True), images)
    return {
        "side": side,
        "channels": channels,
        "fields": fields,
        "eval": evaluated.tolist(),
        "train": trained.tolist(),
        "taps": seen,
    }


if __name__ == "__main__":
    networks = {name: golden(name, *each) for name, each in NETWORKS.items()}
    record = {"made_by": "tests/models/goldens/make_papers.py", "torch": torch.__version__, "networks": networks}
    pathlib.Path(__file__).with_name("papers.json").write_text(json.dumps(record, indent=0) + "\n")
