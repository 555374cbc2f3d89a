"""Writes papers.json: what networks that no package has compute, in PyTorch and float64.

    python tests/models/goldens/make_papers.py        # needs torch; the tests do not

Written from the papers and apart from cnnjax, which is not imported: functions on tensors, NCHW. For each network the logits of
evaluation, and, where there is batch normalisation, those of training; and of some maps the norm and the scalar product with
``rule.draw("tap/" + name)``. Parameters are drawn from our names by `rule.parameter`.
"""

import json
import pathlib

import numpy as np
import torch
from rule import draw, parameter
from torch.nn import functional as f


class Net:
    """Layers whose parameters are made from their names; remembers what they put out."""

    def __init__(self, train):
        self.train, self.seen = train, {}

    def keep(self, name, x):
        array = x.numpy()
        self.seen[name] = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
        return x

    def values(self, name, *shape):
        return torch.from_numpy(parameter(name, shape))

    def conv(self, name, x, features, size, stride=1, padding=None, bias=True):
        kernel = self.values(f"{name}/kernel", size, size, x.shape[1], features).permute(3, 2, 0, 1)
        offset = self.values(f"{name}/bias", features) if bias else None
        return f.conv2d(x, kernel, offset, stride, (size - 1) // 2 if padding is None else padding)

    def norm(self, name, x):
        mean, var, scale, bias = (
            self.values(f"{name}/{each}", x.shape[1]) for each in ("mean", "var", "scale", "bias")
        )
        return f.batch_norm(x, mean, var, scale, bias, training=self.train, eps=1e-5)

    def dense(self, name, x, features):
        return x @ self.values(f"{name}/kernel", x.shape[1], features) + self.values(f"{name}/bias", features)


def flat(x):
    """[N, C, H, W] to [N, H·W·C]: our order."""
    return x.permute(0, 2, 3, 1).flatten(1)


def lrn(x):
    """Krizhevsky et al. 2012, §3.3: b = a / (k + α Σ a²)^β over n = 5 maps; k 2, α 1e-4, β 0.75."""
    squares = f.pad(x * x, (0, 0, 0, 0, 2, 2))
    total = sum(squares[:, shift : shift + x.shape[1]] for shift in range(5))
    return x / (2 + 1e-4 * total) ** 0.75


def vgg16_c(net, x):
    """Simonyan & Zisserman 2014, Table 1, column C, with 32 hidden units."""
    for stage, (maps, sizes) in enumerate(
        ((64, (3, 3)), (128, (3, 3)), (256, (3, 3, 1)), (512, (3, 3, 1)), (512, (3, 3, 1))), start=1
    ):
        for number, size in enumerate(sizes, start=1):
            x = f.relu(net.conv(f"conv{stage}_{number}", x, maps, size))
        x = net.keep(f"pool{stage}", f.max_pool2d(x, 2))
    x = f.relu(net.dense("fc6", flat(x), 32))
    return net.dense("fc8", f.relu(net.dense("fc7", x, 32)), 10)


def vgg11_lrn(net, x):
    """Column A-LRN."""
    for stage, (maps, count) in enumerate(((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)), start=1):
        for number in range(1, count + 1):
            x = f.relu(net.conv(f"conv{stage}_{number}", x, maps, 3))
            x = net.keep("lrn1", lrn(x)) if stage == 1 else x
        x = f.max_pool2d(x, 2)
    x = f.relu(net.dense("fc6", flat(x), 32))
    return net.dense("fc8", f.relu(net.dense("fc7", x, 32)), 10)


def nin_imagenet(net, x):
    """Lin et al. 2013 in the authors' definition: four mlpconv layers, overlapping pools, a map a class, its mean."""
    for stage, (maps, size, stride, padding) in enumerate(
        ((96, 11, 4, 0), (256, 5, 1, 2), (384, 3, 1, 1), (1024, 3, 1, 1)), start=1
    ):
        x = f.relu(net.conv(f"conv{stage}_1", x, maps, size, stride, padding))
        x = f.relu(net.conv(f"conv{stage}_2", x, maps, 1))
        x = f.relu(net.conv(f"conv{stage}_3", x, 10 if stage == 4 else maps, 1))
        if stage < 4:
            x = net.keep(f"pool{stage}", f.max_pool2d(x, 3, 2, ceil_mode=True))
    return x.mean((2, 3))


def googlenet(net, x):
    """Szegedy et al. 2014, Table 1 and §5: 5×5 convolutions, biases, local response normalisation; two auxiliary heads."""
    table = {
        "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
    }  # fmt: skip
    x = lrn(f.max_pool2d(f.relu(net.conv("conv1", x, 64, 7, 2)), 3, 2, ceil_mode=True))
    x = f.relu(net.conv("conv2", f.relu(net.conv("conv2_reduce", x, 64, 1)), 192, 3))
    x = f.max_pool2d(net.keep("lrn2", lrn(x)), 3, 2, ceil_mode=True)
    for name, (one, reduce3, three, reduce5, five, project) in table.items():
        if name in ("4a", "5a"):
            x = f.max_pool2d(x, 3, 2, ceil_mode=True)
        conv = lambda branch, number, y, maps, size, name=name: f.relu(  # noqa: E731
            net.conv(f"inception_{name}/branch{branch}/conv{number}", y, maps, size)
        )
        branches = [
            conv(1, 1, x, one, 1),
            conv(2, 2, conv(2, 1, x, reduce3, 1), three, 3),
            conv(3, 2, conv(3, 1, x, reduce5, 1), five, 5),
            conv(4, 1, f.max_pool2d(x, 3, 1, 1), project, 1),
        ]
        x = net.keep(f"inception_{name}", torch.cat(branches, 1))
        if name in ("4a", "4d"):
            side = "aux1" if name == "4a" else "aux2"
            y = f.relu(net.conv(f"{side}/conv", f.avg_pool2d(x, 5, 3), 128, 1))
            y = net.dense(f"{side}/classifier", f.relu(net.dense(f"{side}/fc", flat(y), 1024)), 10)
            net.keep(f"{side}_logits", y)
    return net.dense("classifier", x.mean((2, 3)), 10)


def imagenet_resnet(kind):
    """He et al. 2015, Table 1, 18 layers; shortcuts of kind A, C, or none."""

    def forward(net, x):
        x = f.max_pool2d(f.relu(net.norm("norm1", net.conv("conv1", x, 64, 7, 2, bias=False))), 3, 2, 1)
        for stage, maps in enumerate((64, 128, 256, 512), start=1):
            for number in (1, 2):
                block, stride = f"stage{stage}/block{number}", 2 if stage > 1 and number == 1 else 1
                y = f.relu(net.norm(f"{block}/norm1", net.conv(f"{block}/conv1", x, maps, 3, stride, bias=False)))
                y = net.norm(f"{block}/norm2", net.conv(f"{block}/conv2", y, maps, 3, bias=False))
                if kind == "C":
                    x = net.conv(f"{block}/shortcut/conv", x, maps, 1, stride, bias=False)
                    y = y + net.norm(f"{block}/shortcut/norm", x)
                elif kind == "A":
                    y = y + f.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, maps - x.shape[1]))
                x = f.relu(y)
            net.keep(f"stage{stage}", x)
        return net.dense("classifier", x.mean((2, 3)), 10)

    return forward


NETWORKS = {
    "vgg16_c": (vgg16_c, 64, {"hidden": 32}),
    "vgg11_lrn": (vgg11_lrn, 64, {"hidden": 32}),
    "nin_imagenet": (nin_imagenet, 96, {}),
    "googlenet": (googlenet, 128, {"auxiliary_dropout": 0.0}),
    "plain18": (imagenet_resnet("none"), 64, {}),
    "resnet18 A": (imagenet_resnet("A"), 64, {"shortcut": "A"}),
    "resnet18 C": (imagenet_resnet("C"), 64, {"shortcut": "C"}),
}


def golden(forward, side, fields):
    images = torch.from_numpy(np.ascontiguousarray(draw("images", (2, side, side, 3)).transpose(0, 3, 1, 2)))
    net = Net(train=False)
    evaluated = forward(net, images)
    seen = {
        name: [list(array.shape), float(np.linalg.norm(array)), float((array * draw(f"tap/{name}", array.shape)).sum())]
        for name, array in net.seen.items()
    }
    trained = forward(Net(train=True), images)
    return {"side": side, "fields": fields, "eval": evaluated.tolist(), "train": trained.tolist(), "taps": seen}


if __name__ == "__main__":
    networks = {name: golden(*each) for name, each in NETWORKS.items()}
    record = {"made_by": "tests/models/goldens/make_papers.py", "torch": torch.__version__, "networks": networks}
    pathlib.Path(__file__).with_name("papers.json").write_text(json.dumps(record, indent=0) + "\n")
