"""The same training step in PyTorch: a script for a Python that has torch, not imported by the package.

    python torch_peer.py '{"network": {"depth": 20, "shortcut": "A"}, "size": 8, "batch": 128, "mode": "nchw"}'

Speaks the protocol of `cnnjax.bench.peer`. Written from the papers (He et al. 2015, Table 1 and §4.2; Simonyan & Zisserman
2014, Table 1), in the ways in which PyTorch is fast: eager, channels_last, or torch.compile.
"""

# mypy: ignore-errors
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut of kind none, A, B or C."""

    def __init__(self, fan, features, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(fan, features, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(features)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(features)
        self.stride, self.new, self.plain = stride, features - fan, shortcut == "none"
        projects = shortcut == "C" or (shortcut == "B" and (stride > 1 or features != fan))
        self.project = (
            nn.Sequential(nn.Conv2d(fan, features, 1, stride, bias=False), nn.BatchNorm2d(features))
            if projects
            else None
        )

    def forward(self, x):
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        if self.plain:
            return functional.relu(y, inplace=True)
        if self.project is not None:
            x = self.project(x)
        elif self.stride > 1 or self.new:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))
        return functional.relu(y + x, inplace=True)


class ResNet(nn.Module):
    """A stem, stages of blocks, the average, and a classifier."""

    def __init__(self, stem, counts, shortcut, width, num_classes):
        super().__init__()
        blocks, fan = [], width
        for stage, count in enumerate(counts):
            for number in range(count):
                features, stride = width * 2**stage, 2 if stage and not number else 1
                blocks.append(Block(fan, features, stride, shortcut))
                fan = features
        self.stem, self.blocks, self.classifier = stem, nn.Sequential(*blocks), nn.Linear(fan, num_classes)

    def forward(self, x):
        return self.classifier(self.blocks(self.stem(x)).mean((2, 3)))


def resnet_cifar(depth=20, shortcut="A", width=16, num_classes=10):
    """The CIFAR family of depth 6n + 2."""
    stem = (nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
    return ResNet(nn.Sequential(*stem), ((depth - 2) // 6,) * 3, shortcut, width, num_classes)


def resnet18(shortcut="A", num_classes=1000):
    stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    return ResNet(nn.Sequential(*stem), (2, 2, 2, 2), shortcut, 64, num_classes)


def vgg16_bn(hidden=4096, num_classes=1000):
    """Configuration D for images of 32×32, with batch normalisation; convolutions keep their biases."""
    layers, fan = [], 3
    for features, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(fan, features, 3, 1, 1), nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
            fan = features
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    for _ in range(2):
        layers += [nn.Linear(fan, hidden), nn.ReLU(inplace=True), nn.Dropout(0.5)]
        fan = hidden
    return nn.Sequential(*layers, nn.Linear(fan, num_classes))


NETWORKS = {"resnet_cifar": resnet_cifar, "resnet18": resnet18, "vgg16_bn": vgg16_bn}


def main():
    """Builds and warms up what was asked for, then answers each line that asks for some steps with their seconds."""
    asked = json.loads(sys.argv[1])
    torch.manual_seed(0)
    torch.set_num_threads(asked["threads"])
    network = dict(asked["network"])
    model = NETWORKS[network.pop("name")](**network).train()
    images = torch.randn(asked["batch"], 3, asked["size"], asked["size"])
    labels = torch.arange(asked["batch"]) % 10
    if asked["mode"] != "nchw":
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    forward = torch.compile(model) if asked["mode"] == "compile" else model

    def run(steps):
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(forward(images), labels).backward()
            optimizer.step()
        return time.perf_counter() - start

    run(3)
    parameters = sum(each.numel() for each in model.parameters())
    print(json.dumps({"version": f"torch {torch.__version__}", "parameters": parameters}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": run(json.loads(line)["steps"])}), flush=True)


if __name__ == "__main__":
    main()
