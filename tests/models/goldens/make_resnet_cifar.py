"""Writes resnet_cifar.json: what the CIFAR networks of He et al. 2015, §4.2, compute, in PyTorch and float64.

    python tests/models/goldens/make_resnet_cifar.py        # needs torch; the tests do not

Written from the paper and apart from cnnjax, which is not imported: functions on tensors, NCHW. For each network one
training step's forward pass (logits), the gradient of the mean cross-entropy (per parameter its norm, and its scalar
product with `rule.draw("direction/" + name)`), and the evaluation logits after that pass's update of the running
statistics.

PyTorch's running variance is the unbiased one, n / (n - 1) of the one it normalises with; ours is the latter. The script
takes the difference out: ``running = 0.9 · running + 0.1 · biased``.
"""

import json
import pathlib

import numpy as np
import torch
from rule import EPSILON, IMAGES, LABELS, MOMENTUM, NETWORKS, draw, parameter
from torch.nn import functional


class Store:
    """Parameters by name, made when they are first asked for, in PyTorch's layouts."""

    def __init__(self):
        self.params, self.stats = {}, {}

    def kernel(self, name, size, fan, features):
        if name not in self.params:
            hwio = torch.from_numpy(parameter(name, (size, size, fan, features)))
            self.params[name] = hwio.permute(3, 2, 0, 1).contiguous().requires_grad_()
        return self.params[name]

    def vector(self, name, features):
        where = self.stats if name.endswith(("/mean", "/var")) else self.params
        if name not in where:
            where[name] = torch.from_numpy(parameter(name, (features,))).requires_grad_(where is self.params)
        return where[name]

    def conv(self, name, x, size, features, stride):
        weight = self.kernel(f"{name}/kernel", size, x.shape[1], features)
        return functional.conv2d(x, weight, stride=stride, padding=size // 2)

    def norm(self, name, x, train):
        mean, var, weight, bias = (
            self.vector(f"{name}/{each}", x.shape[1]) for each in ("mean", "var", "scale", "bias")
        )
        mean, var = mean.clone(), var.clone()  # updated in place
        y = functional.batch_norm(x, mean, var, weight, bias, training=train, momentum=1 - MOMENTUM, eps=EPSILON)
        if train:
            unbiased, n = x.detach().var(dim=(0, 2, 3), unbiased=True), x.numel() // x.shape[1]
            self.stats[f"{name}/mean"] = mean
            self.stats[f"{name}/var"] = var - (1 - MOMENTUM) * unbiased / n  # unbiased - biased = unbiased / n
        return y


def forward(store, x, depth, shortcut, train):
    def block(name, x, features, stride):
        y = functional.relu(store.norm(f"{name}/norm1", store.conv(f"{name}/conv1", x, 3, features, stride), train))
        y = store.norm(f"{name}/norm2", store.conv(f"{name}/conv2", y, 3, features, 1), train)
        changes = stride != 1 or features != x.shape[1]
        if shortcut == "C" or (shortcut == "B" and changes):
            x = store.norm(f"{name}/shortcut/norm", store.conv(f"{name}/shortcut/conv", x, 1, features, stride), train)
        elif shortcut == "A" and changes:
            x = functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, features - x.shape[1]))
        return functional.relu(y if shortcut == "none" else y + x)

    x = functional.relu(store.norm("norm1", store.conv("conv1", x, 3, 16, 1), train))
    for stage, (features, stride) in enumerate([(16, 1), (32, 2), (64, 2)], start=1):
        for number in range(1, (depth - 2) // 6 + 1):
            x = block(f"stage{stage}/block{number}", x, features, stride if number == 1 else 1)
    if "classifier/kernel" not in store.params:
        store.params["classifier/kernel"] = torch.from_numpy(parameter("classifier/kernel", (64, 10))).requires_grad_()
    return x.mean(dim=(2, 3)) @ store.params["classifier/kernel"] + store.vector("classifier/bias", 10)


def golden(depth, shortcut):
    store, images = Store(), torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
    logits = forward(store, images, depth, shortcut, train=True)
    loss = functional.cross_entropy(logits, torch.from_numpy(LABELS))
    loss.backward()
    gradients = {}
    for name, parameter_ in sorted(store.params.items()):
        gradient = parameter_.grad.numpy()
        gradient = gradient.transpose(2, 3, 1, 0) if gradient.ndim == 4 else gradient
        along = float((gradient * draw(f"direction/{name}", gradient.shape)).sum())
        gradients[name] = [float(np.linalg.norm(gradient)), along]
    with torch.no_grad():
        evaluation = forward(store, images, depth, shortcut, train=False)
    return {
        "train_logits": logits.tolist(),
        "loss": loss.item(),
        "gradients": gradients,
        "eval_logits": evaluation.tolist(),
    }


if __name__ == "__main__":
    networks = {name: golden(*fields) for name, fields in NETWORKS.items()}
    record = {"made_by": "tests/models/goldens/make_resnet_cifar.py", "torch": torch.__version__, "networks": networks}
    pathlib.Path(__file__).with_name("resnet_cifar.json").write_text(json.dumps(record, indent=0) + "\n")
