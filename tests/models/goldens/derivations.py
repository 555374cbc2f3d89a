"""Networks that no package has, written from their papers in PyTorch, apart from cnnjax: functions on tensors, NCHW.

``NETWORKS`` is read by make_papers.py. The names of parameters and taps are ours; everything else is the papers'. Widths are
scaled down where only their pattern matters.
"""

import torch
from rule import parameter
from torch.nn import functional as f


class Net:
    """Layers whose parameters are made from their names; remembers what they put out."""

    def __init__(self, train):
        self.train, self.seen, self.eps = train, {}, 1e-5

    def keep(self, name, x):
        array = x.numpy()
        self.seen[name] = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
        return x

    def values(self, name, *shape):
        return torch.from_numpy(parameter(name, shape))

    def conv(self, name, x, features, size, stride=1, padding=None, bias=True, groups=1):
        height, width = size if isinstance(size, tuple) else (size, size)
        kernel = self.values(f"{name}/kernel", height, width, x.shape[1] // groups, features).permute(3, 2, 0, 1)
        offset = self.values(f"{name}/bias", features) if bias else None
        padding = ((height - 1) // 2, (width - 1) // 2) if padding is None else padding
        return f.conv2d(x, kernel, offset, stride, padding, groups=groups)

    def norm(self, name, x):
        mean, var, scale, bias = (
            self.values(f"{name}/{each}", x.shape[1]) for each in ("mean", "var", "scale", "bias")
        )
        return f.batch_norm(x, mean, var, scale, bias, training=self.train, eps=self.eps)

    def normed(self, name, x, features, size, stride=1, padding=None, bias=False, act=f.relu):
        """A convolution, its normalisation (the name with ``norm``), an activation."""
        scope, _, last = name.rpartition("/")
        y = self.conv(name, x, features, size, stride, padding, bias)
        return act(self.norm(f"{scope}{'/' if scope else ''}{last.replace('conv', 'norm', 1)}", y))

    def chain(self, scope, x, *layers):
        """Normalised convolutions conv1, conv2, ... of (maps, size[, stride[, padding]])."""
        for number, layer in enumerate(layers, start=1):
            x = self.normed(f"{scope}/conv{number}", x, *layer)
        return x

    def dense(self, name, x, features):
        return x @ self.values(f"{name}/kernel", x.shape[1], features) + self.values(f"{name}/bias", features)

    def gate(self, scope, x, ratio=16):
        """Hu et al. 2017, §3: the means, two fully connected layers, a logistic function."""
        y = f.relu(self.dense(f"{scope}/squeeze_excite/reduce", x.mean((2, 3)), x.shape[1] // ratio))
        y = torch.sigmoid(self.dense(f"{scope}/squeeze_excite/expand", y, x.shape[1]))
        return x * y[:, :, None, None]


def identity(x):
    return x


def flat(x):
    """[N, C, H, W] to [N, H·W·C]: our order."""
    return x.permute(0, 2, 3, 1).flatten(1)


def lrn(x, n=5, k=2.0, alpha=1e-4):
    """Krizhevsky et al. 2012, §3.3: b = a / (k + α Σ a²)^β over n maps; k 2, α 1e-4, β 0.75."""
    squares = f.pad(x * x, (0, 0, 0, 0, n // 2, n // 2))
    total = sum(squares[:, shift : shift + x.shape[1]] for shift in range(n))
    return x / (k + alpha * total) ** 0.75


def lrn_within(x):
    """He et al. 2014, released definition: 3×3 of each map, α 5e-5 of the mean of squares, k 1."""
    return x / (1 + 5e-5 * f.avg_pool2d(x * x, 3, 1, 1)) ** 0.75


def head(net, x, hidden, first="fc6"):
    """Two hidden layers and the classes."""
    number = int(first[2:])
    x = f.relu(net.dense(first, flat(x), hidden))
    x = f.relu(net.dense(f"fc{number + 1}", x, hidden))
    return net.dense(f"fc{number + 2}", x, 10)


def vgg16_c(net, x):
    """Simonyan & Zisserman 2014, Table 1, column C, with 32 hidden units."""
    for stage, (maps, sizes) in enumerate(
        ((64, (3, 3)), (128, (3, 3)), (256, (3, 3, 1)), (512, (3, 3, 1)), (512, (3, 3, 1))), start=1
    ):
        for number, size in enumerate(sizes, start=1):
            x = f.relu(net.conv(f"conv{stage}_{number}", x, maps, size))
        x = net.keep(f"pool{stage}", f.max_pool2d(x, 2))
    return head(net, x, 32)


def vgg11_lrn(net, x):
    """Column A-LRN."""
    for stage, (maps, count) in enumerate(((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)), start=1):
        for number in range(1, count + 1):
            x = f.relu(net.conv(f"conv{stage}_{number}", x, maps, 3))
            x = net.keep("lrn1", lrn(x)) if stage == 1 else x
        x = f.max_pool2d(x, 2)
    return head(net, x, 32)


def vgg11_dense(net, x):
    """§3.2: the fully connected layers as convolutions, the class score map averaged; a sixteenth of the width."""
    for stage, (maps, count) in enumerate(((4, 1), (8, 1), (16, 2), (32, 2), (32, 2)), start=1):
        for number in range(1, count + 1):
            x = f.relu(net.conv(f"conv{stage}_{number}", x, maps, 3))
        x = f.max_pool2d(x, 2)
    x = f.relu(net.conv("fc6", x, 16, 7, padding=0))
    x = net.keep("fc8", net.conv("fc8", f.relu(net.conv("fc7", x, 16, 1)), 10, 1))
    return x.mean((2, 3))


def alexnet(place):
    """Krizhevsky et al. 2012, §3.5: normalisation before the pools (or after them), two groups, overlapping pools."""

    def reduced(net, number, x):
        pool = lambda y: f.max_pool2d(y, 3, 2)  # noqa: E731
        x = lrn(pool(x)) if place == "after" else pool(lrn(x))
        return net.keep(f"lrn{number}" if place == "after" else f"pool{number}", x)

    def forward(net, x):
        x = reduced(net, 1, f.relu(net.conv("conv1", x, 96, 11, 4, 0)))
        x = reduced(net, 2, f.relu(net.conv("conv2", x, 256, 5, groups=2)))
        x = f.relu(net.conv("conv3", x, 384, 3))
        x = f.relu(net.conv("conv4", x, 384, 3, groups=2))
        x = f.relu(net.conv("conv5", x, 256, 3, groups=2))
        return head(net, net.keep("pool5", f.max_pool2d(x, 3, 2)), 32)

    return forward


def zfnet(net, x):
    """Zeiler & Fergus 2013, Fig. 3: 7×7 at stride 2, pool, contrast normalisation; 5×5 at stride 2, the same."""
    for number, (maps, size, padding) in enumerate(((96, 7, 1), (256, 5, 0)), start=1):
        x = f.relu(net.conv(f"conv{number}", x, maps, size, 2, padding))
        x = net.keep(f"lrn{number}", lrn(f.max_pool2d(x, 3, 2, ceil_mode=True)))
    for number, maps in ((3, 384), (4, 384), (5, 256)):
        x = f.relu(net.conv(f"conv{number}", x, maps, 3))
    return head(net, f.max_pool2d(x, 3, 2, ceil_mode=True), 32)


def cifarnet(net, x):
    """Krizhevsky et al. 2012, §3.3, in the released definition: max, average, average pools; normalisation after two."""
    for number, maps in enumerate((32, 32, 64), start=1):
        x = f.relu(net.conv(f"conv{number}", x, maps, 5))
        x = (f.max_pool2d if number == 1 else f.avg_pool2d)(x, 3, 2, ceil_mode=True)
        if number < 3:
            x = net.keep(f"lrn{number}", lrn(x, 3, 1.0, 5e-5))
    return net.dense("fc4", flat(x), 10)


def alexnet_cifar(net, x):
    """An eighth of the width: 3×3 at stride 2, then as the network of one tower with 2×2 pools."""
    x = f.max_pool2d(f.relu(net.conv("conv1", x, 8, 3, 2)), 2)
    x = net.keep("pool2", f.max_pool2d(f.relu(net.conv("conv2", x, 24, 3)), 2))
    for number, maps in ((3, 48), (4, 32), (5, 32)):
        x = f.relu(net.conv(f"conv{number}", x, maps, 3))
    return head(net, f.max_pool2d(x, 2), 512)


def pyramid(x, levels=(6, 3, 2, 1)):
    """He et al. 2014, appendix A: bin i of n goes from ⌊(i − 1) w / n⌋ to ⌈i w / n⌉; levels one after the other."""
    return torch.cat([flat(f.adaptive_max_pool2d(x, level)) for level in levels], 1)


def spp(base):
    """He et al. 2014, Table 1, a sixteenth of the width, on a pyramid of 50 bins."""

    def zf5(net, x):
        for number, (maps, size, padding) in enumerate(((6, 7, 1), (16, 5, 0)), start=1):
            x = f.relu(net.conv(f"conv{number}", x, maps, size, 2, padding))
            x = net.keep(f"pool{number}", f.max_pool2d(lrn_within(x), 3, 2, ceil_mode=True))
        for number, maps in ((3, 24), (4, 24), (5, 16)):
            x = f.relu(net.conv(f"conv{number}", x, maps, 3))
        return x

    def convnet5(net, x):
        x = net.keep("lrn1", lrn(f.relu(net.conv("conv1", x, 6, 11, 4, 2))))
        x = net.keep("pool2", f.max_pool2d(lrn(f.relu(net.conv("conv2", x, 16, 5))), 3, 2, ceil_mode=True))
        x = f.max_pool2d(f.relu(net.conv("conv3", x, 24, 3)), 3, 2, ceil_mode=True)
        return f.relu(net.conv("conv5", f.relu(net.conv("conv4", x, 24, 3)), 16, 3))

    def overfeat(layers):
        def forward(net, x):
            x = net.keep("lrn1", lrn(f.max_pool2d(f.relu(net.conv("conv1", x, 6, 7, 2, 1)), 3, 3)))
            x = f.max_pool2d(f.relu(net.conv("conv2", x, 16, 5)), 2)
            for number in range(3, layers + 1):
                x = f.relu(net.conv(f"conv{number}", x, 32, 3))
            return x

        return forward

    bases = {"zf5": zf5, "convnet5": convnet5, "overfeat5": overfeat(5), "overfeat7": overfeat(7)}

    def forward(net, x):
        x = net.keep("spp", pyramid(bases[base](net, x)))
        x = f.relu(net.dense("fc7", f.relu(net.dense("fc6", x, 256)), 256))
        return net.dense("fc8", x, 10)

    return forward


def lenet(maps, hidden, padding, act, pool, again):
    """LeNet-5 with all connections; sub-sampling of 1998 is an average, squashed again."""

    def forward(net, x):
        for number, count in enumerate(maps, start=1):
            x = pool(act(net.conv(f"conv{number}", x, count, 5, padding=padding)), 2)
            x = net.keep(f"pool{number}", x)
            x = act(x) if again else x
        x = flat(x)
        for number, units in enumerate(hidden, start=3):
            x = act(net.dense(f"fc{number}", x, units))
        return net.dense("classifier", x, 10)

    return forward


def tiny_vgg(net, x):
    """Wang et al. 2020: ten maps, no padding."""
    for stage in (1, 2):
        for number in (1, 2):
            x = f.relu(net.conv(f"conv{stage}_{number}", x, 10, 3, padding=0))
        x = net.keep(f"pool{stage}", f.max_pool2d(x, 2))
    return net.dense("classifier", flat(x), 10)


def fashion_cnn(net, x):
    """Géron 2019, chapter 14."""
    x = f.max_pool2d(f.relu(net.conv("conv1", x, 64, 7)), 2)
    for stage, maps in ((2, 128), (3, 256)):
        for number in (1, 2):
            x = f.relu(net.conv(f"conv{stage}_{number}", x, maps, 3))
        x = net.keep(f"pool{stage}", f.max_pool2d(x, 2))
    x = f.relu(net.dense("fc5", f.relu(net.dense("fc4", flat(x), 128)), 64))
    return net.dense("classifier", x, 10)


def mlp_bn(net, x):
    """Ioffe & Szegedy 2015, §4.1: three layers of 100 sigmoid units, normalised before the sigmoid."""
    x = flat(x)
    for number in (1, 2, 3):
        kernel = net.values(f"fc{number}/kernel", x.shape[1], 100)
        x = torch.sigmoid(net.norm(f"fc{number}_norm", x @ kernel))
    return net.dense("classifier", net.keep("fc3", x), 10)


def yolo(released):
    """Redmon et al. 2015, Fig. 3, the first twenty convolutions; leaky ReLUs of 0.1. A sixteenth of the width."""
    leaky = lambda x: f.leaky_relu(x, 0.1)  # noqa: E731

    def forward(net, x):
        number, pools = 0, 0
        plan = [(64, 7, 2), "pool", (192, 3), "pool", (128, 1), (256, 3), (256, 1), (512, 3), "pool"]
        plan += [(256, 1), (512, 3)] * 4 + [(512, 1), (1024, 3), "pool"] + [(512, 1), (1024, 3)] * 2
        for layer in plan:
            if layer == "pool":
                pools += 1
                x = net.keep(f"pool{pools}", f.max_pool2d(x, 2))
                continue
            number += 1
            maps, size, stride = (*layer, 1)[:3]
            if released:
                x = net.normed(f"conv{number}", x, maps // 16, size, stride, act=leaky)
            else:
                x = leaky(net.conv(f"conv{number}", x, maps // 16, size, stride))
        assert number == 20
        if released:
            return net.conv("conv21", x, 10, 1).mean((2, 3))
        return net.dense("classifier", x.mean((2, 3)), 10)

    return forward


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


def nin_small(layers, connected=False):
    """§4: three mlpconv layers of (size, maps, maps, maps), max pools of 3×3 at stride 2 whose last window may reach over."""

    def forward(net, x):
        for stage, (size, *maps) in enumerate(layers, start=1):
            for number, (count, extent) in enumerate(zip(maps, (size, 1, 1), strict=True), start=1):
                x = f.relu(net.conv(f"conv{stage}_{number}", x, count, extent))
            if stage < 3:
                x = net.keep(f"pool{stage}", f.max_pool2d(x, 3, 2, ceil_mode=True))
        return net.dense("classifier", flat(x), 10) if connected else x.mean((2, 3))

    return forward


INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip
"""Szegedy et al. 2014, Table 1: 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, projection."""


def googlenet(naive=False, normed=False, narrow=1, left_out=()):
    """Szegedy et al. 2014, Table 1 and §5: 5×5 convolutions, biases, local response normalisation, two auxiliary heads;
    the naive modules of Fig. 2a; or normalised, without biases and local response normalisation; or with fewer modules."""

    def forward(net, x):
        def conv(name, y, maps, *more):
            maps //= narrow
            return net.normed(name, y, maps, *more) if normed else f.relu(net.conv(name, y, maps, *more))

        damped = identity if normed else lrn
        x = damped(f.max_pool2d(conv("conv1", x, 64, 7, 2), 3, 2, ceil_mode=True))
        x = conv("conv2", conv("conv2_reduce", x, 64, 1), 192, 3)
        x = f.max_pool2d(net.keep("conv2" if normed else "lrn2", damped(x)), 3, 2, ceil_mode=True)
        for name, (one, reduce3, three, reduce5, five, project) in INCEPTION.items():
            if name in ("4a", "5a"):
                x = f.max_pool2d(x, 3, 2, ceil_mode=True)
            if name in left_out:
                continue
            scope, pooled = f"inception_{name}", f.max_pool2d(x, 3, 1, 1)
            if naive:
                branches = [
                    conv(f"{scope}/branch1/conv1", x, one, 1),
                    conv(f"{scope}/branch2/conv2", x, three, 3),
                    conv(f"{scope}/branch3/conv2", x, five, 5),
                    pooled,
                ]
            else:
                branches = [
                    conv(f"{scope}/branch1/conv1", x, one, 1),
                    conv(f"{scope}/branch2/conv2", conv(f"{scope}/branch2/conv1", x, reduce3, 1), three, 3),
                    conv(f"{scope}/branch3/conv2", conv(f"{scope}/branch3/conv1", x, reduce5, 1), five, 5),
                    conv(f"{scope}/branch4/conv1", pooled, project, 1),
                ]
            x = net.keep(scope, torch.cat(branches, 1))
            if name in ("4a", "4d"):
                side = "aux1" if name == "4a" else "aux2"
                y = conv(f"{side}/conv", f.avg_pool2d(x, 5, 3), 128, 1)
                y = net.dense(f"{side}/classifier", f.relu(net.dense(f"{side}/fc", flat(y), 1024 // narrow)), 10)
                net.keep(f"{side}_logits", y)
        return net.dense("classifier", x.mean((2, 3)), 10)

    return forward


def bn_inception(slim=False, excited=False):
    """Ioffe & Szegedy 2015, Fig. 5, widths of the published definition; the first convolution is 8 maps a channel of 7×7, and
    64 of 1×1 on them, with nothing between."""
    project = 96 if slim else 128
    modules = {
        "3a": (64, 64, 64, 64, 96, "average", 32), "3b": (64, 64, 96, 64, 96, "average", 64),
        "3c": (0, 128, 160, 64, 96, "max", 0), "4a": (224, 64, 96, 96, 128, "average", 128),
        "4b": (192, 96, 128, 96, 128, "average", 128), "4c": (160, 128, 160, 128, 160, "average", project),
        "4d": (96, 128, 192, 160, 192, "average", project), "4e": (0, 128, 192, 192, 256, "max", 0),
        "5a": (352, 192, 320, 160, 224, "average", 128), "5b": (352, 192, 320, 192, 224, "max", 128),
    }  # fmt: skip

    def forward(net, x):
        x = net.conv("conv1_depthwise", x, 24, 7, 2, bias=False, groups=3)
        x = f.relu(net.norm("norm1_pointwise", net.conv("conv1_pointwise", x, 64, 1, bias=False)))
        x = net.normed("conv2_reduce", net.keep("pool1", f.max_pool2d(x, 3, 2, ceil_mode=True)), 64, 1)
        x = net.keep("pool2", f.max_pool2d(net.normed("conv2", x, 192, 3), 3, 2, ceil_mode=True))
        for name, (one, reduce, three, reduce_double, double, kind, projected) in modules.items():
            scope, stride = f"inception_{name}", 1 if projected else 2
            pool = f.avg_pool2d if kind == "average" else f.max_pool2d
            pooled = pool(x, 3, 1, 1) if projected else f.max_pool2d(x, 3, 2, ceil_mode=True)
            first = 2 if one else 1
            branches = [net.chain(f"{scope}/branch1", x, (one, 1))] if one else []
            branches.append(net.chain(f"{scope}/branch{first}", x, (reduce, 1), (three, 3, stride)))
            triple = ((reduce_double, 1), (double, 3), (double, 3, stride))
            branches.append(net.chain(f"{scope}/branch{first + 1}", x, *triple))
            last = f"{scope}/branch{first + 2}"
            branches.append(net.chain(last, pooled, (projected, 1)) if projected else pooled)
            x = torch.cat(branches, 1)
            x = net.keep(scope, net.gate(scope, x) if excited else x)
        return net.dense("classifier", x.mean((2, 3)), 10)

    return forward


def inception_v2(reduction="parallel", stem=299, linear=False):
    """Szegedy et al. 2015 (Rethinking), Table 1 as released, Figs. 5 and 7, 3×3 pairs for 7×7; a quarter of the width. Grids
    are reduced side by side (Fig. 10), or a pool and a convolution one after the other (Fig. 9). Or with factorised 7×7 (Fig.
    6), and no ReLU between the two factors of these and of 5×5 (§3.1)."""
    average = lambda x: f.avg_pool2d(x, 3, 1, 1, count_include_pad=False)  # noqa: E731 - as TensorFlow pads
    bare = lambda maps, size: (maps, size, 1, None, False, identity)  # noqa: E731 - without activation

    def forward(net, x):
        net.eps = 1e-3
        # Table 2: 79 pixels: stride 1 and no pool; to end in the same maps, no convolution of the stem is padded.
        x = net.normed("conv1a", x, 8, 3, 1 if stem < 299 else 2, 0)
        x = net.normed("conv2b", net.normed("conv2a", x, 8, 3, 1, 0), 16, 3, 1, 0 if stem == 79 else 1)
        x = x if stem == 79 else f.max_pool2d(x, 3, 2)
        x = net.keep("pool5a", f.max_pool2d(net.normed("conv4a", net.normed("conv3b", x, 20, 1), 48, 3, 1, 0), 3, 2))
        for letter, pooled in (("b", 8), ("c", 16), ("d", 16)):
            b = f"mixed_5{letter}/branch"
            branches = [
                net.chain(f"{b}1", x, (16, 1)),
                net.chain(f"{b}2", x, (12, 1), bare(16, 3) if linear else (16, 3), (16, 3)),
                net.chain(f"{b}3", x, (16, 1), (24, 3), (24, 3)),
                net.chain(f"{b}4", average(x), (pooled, 1)),
            ]
            x = torch.cat(branches, 1)
        x = net.keep("mixed_6a", reduced(net, "mixed_6a", x, 192, ((96, 3),), ((16, 1), (24, 3), (24, 3))))
        for letter, maps in (("b", 32), ("c", 40), ("d", 40), ("e", 48)):
            b = f"mixed_6{letter}/branch"
            short, long = ((48, 3),), ((maps, 3), (48, 3))
            if linear:
                short = bare(maps, (1, 7)), (48, (7, 1))
                long = bare(maps, (7, 1)), (maps, (1, 7)), bare(maps, (7, 1)), (48, (1, 7))
            branches = [
                net.chain(f"{b}1", x, (48, 1)),
                net.chain(f"{b}2", x, (maps, 1), *short),
                net.chain(f"{b}3", x, (maps, 1), *long),
                net.chain(f"{b}4", average(x), (48, 1)),
            ]
            x = torch.cat(branches, 1)
        seven = (bare(48, (1, 7)), (48, (7, 1))) if linear else ((48, 3),)
        x = net.keep("mixed_7a", reduced(net, "mixed_7a", x, 320, ((48, 1), (80, 3)), ((48, 1), *seven, (48, 3))))
        for letter in "bc":
            b = f"mixed_7{letter}/branch"
            two, three = net.chain(f"{b}2", x, (96, 1)), net.chain(f"{b}3", x, (112, 1), (96, 3))
            split = lambda name, y: torch.cat(  # noqa: E731
                [net.chain(f"{name}/split/branch{each}", y, (96, size)) for each, size in ((1, (1, 3)), (2, (3, 1)))], 1
            )
            branches = [net.chain(f"{b}1", x, (80, 1)), split(f"{b}2", two), split(f"{b}3", three)]
            x = torch.cat([*branches, net.chain(f"{b}4", average(x), (48, 1))], 1)
        return net.dense("classifier", x.mean((2, 3)), 10)

    def reduced(net, name, x, maps, one, other):
        if reduction == "parallel":
            strided = lambda layers: (*layers[:-1], (*layers[-1], 2, 0))  # noqa: E731
            branches = [net.chain(f"{name}/branch{n}", x, *strided(each)) for n, each in ((1, one), (2, other))]
            return torch.cat([*branches, f.max_pool2d(x, 3, 2)], 1)
        if reduction == "pool first":
            return net.chain(f"{name}/branch1", f.max_pool2d(x, 3, 2), (maps, 1))
        return f.max_pool2d(net.chain(f"{name}/branch1", x, (maps, 1)), 3, 2)

    return forward


def inception_resnet(version):
    """Szegedy et al. 2016, Figs. 3 and 10 to 19, Table 1; an eighth of the width; 5 A, 10 B, 5 C, scaled by 0.17, 0.1, 0.2."""
    first = version == 1
    n = lambda maps: maps // 8  # noqa: E731

    def stem(net, x):
        x = net.normed("conv2a", net.normed("conv1a", x, n(32), 3, 2, 0), n(32), 3, 1, 0)
        x = net.normed("conv2b", x, n(64), 3)
        if first:  # Fig. 14
            x = net.normed("conv3b", f.max_pool2d(x, 3, 2), n(80), 1)
            return net.normed("conv4b", net.normed("conv4a", x, n(192), 3, 1, 0), n(256), 3, 2, 0)
        x = torch.cat([f.max_pool2d(x, 3, 2), net.chain("mixed_3a/branch2", x, (n(96), 3, 2, 0))], 1)  # Fig. 3
        short = net.chain("mixed_4a/branch1", x, (n(64), 1), (n(96), 3, 1, 0))
        long = net.chain("mixed_4a/branch2", x, (n(64), 1), (n(64), (1, 7)), (n(64), (7, 1)), (n(96), 3, 1, 0))
        x = torch.cat([short, long], 1)
        return torch.cat([net.chain("mixed_5a/branch1", x, (n(192), 3, 2, 0)), f.max_pool2d(x, 3, 2)], 1)

    def blocks(net, x, name, count, scale, *branches):
        for number in range(1, count + 1):
            scope = f"{name}_{number}"
            found = [net.chain(f"{scope}/branches/branch{b}", x, *each) for b, each in enumerate(branches, start=1)]
            y = net.conv(f"{scope}/conv_project", torch.cat(found, 1), x.shape[1], 1)
            x = f.relu(x + scale * y)
        return net.keep(f"{name}_{count}", x)

    def forward(net, x):
        net.eps = 1e-3
        x = net.keep("conv4b" if first else "mixed_5a", stem(net, x))
        third = ((n(32), 3), (n(32), 3)) if first else ((n(48), 3), (n(64), 3))
        x = blocks(net, x, "block35", 5, 0.17, ((n(32), 1),), ((n(32), 1), (n(32), 3)), ((n(32), 1), *third))
        k, l, m = (192, 192, 256) if first else (256, 256, 384)  # noqa: E741
        one = net.chain("mixed_6a/branch1", x, (n(384), 3, 2, 0))
        two = net.chain("mixed_6a/branch2", x, (n(k), 1), (n(l), 3), (n(m), 3, 2, 0))
        x = torch.cat([one, two, f.max_pool2d(x, 3, 2)], 1)
        a, b, c = (128, 128, 128) if first else (128, 160, 192)
        straight = ((n(128 if first else 192), 1),)
        x = blocks(net, x, "block17", 10, 0.1, straight, ((n(a), 1), (n(b), (1, 7)), (n(c), (7, 1))))
        d, e, g = (256, 256, 256) if first else (288, 288, 320)
        found = [
            net.chain("mixed_7a/branch1", x, (n(256), 1), (n(384), 3, 2, 0)),
            net.chain("mixed_7a/branch2", x, (n(256), 1), (n(d), 3, 2, 0)),
            net.chain("mixed_7a/branch3", x, (n(256), 1), (n(e), 3), (n(g), 3, 2, 0)),
        ]
        x = torch.cat([*found, f.max_pool2d(x, 3, 2)], 1)
        b, c = (192, 192) if first else (224, 256)
        x = blocks(net, x, "block8", 5, 0.2, ((n(192), 1),), ((n(192), 1), (n(b), (1, 3)), (n(c), (3, 1))))
        return net.dense("classifier", x.mean((2, 3)), 10)

    return forward


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


def excited_resnet(place):
    """Hu et al. 2017, Fig. 5, on 8 layers of the CIFAR family with shortcut A, ratio 4: at the end of the residual branch, at
    its beginning, after the sum, on the shortcut, or after the first 3×3 convolution."""

    def forward(net, x):
        x = net.normed("conv1", x, 16, 3)
        for stage, maps in enumerate((16, 32, 64), start=1):
            block, stride = f"stage{stage}/block1", 2 if stage > 1 else 1
            y = net.gate(block, x, 4) if place == "pre" else x
            y = net.normed(f"{block}/conv1", y, maps, 3, stride)
            y = net.gate(block, y, 4) if place == "inside" else y
            y = net.normed(f"{block}/conv2", y, maps, 3, act=identity)
            y = net.gate(block, y, 4) if place == "standard" else y
            x = f.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, maps - x.shape[1]))
            x = net.gate(f"{block}/shortcut", x, 4) if place == "identity" else x
            x = f.relu(x + y)
            x = net.keep(f"stage{stage}", net.gate(block, x, 4) if place == "post" else x)
        return net.dense("classifier", x.mean((2, 3)), 10)

    return forward


_TINY = {"hidden": 32}
_QUIET = {"auxiliary_dropout": 0.0}
NETWORKS = {
    "vgg16_c": (vgg16_c, 64, _TINY),
    "vgg11_lrn": (vgg11_lrn, 64, _TINY),
    "vgg11 dense": (vgg11_dense, 256, {"head": "convolutional", "hidden": 256, "width_factor": 0.0625}),
    "alexnet": (alexnet("before"), 99, _TINY),
    "alexnet after": (alexnet("after"), 99, {**_TINY, "lrn": "after"}),
    "zfnet": (zfnet, 96, _TINY),
    "cifarnet": (cifarnet, 32, {}),
    "alexnet_cifar": (alexnet_cifar, 32, {"width_factor": 0.125}),
    **{
        f"spp_{base}": (spp(base), 150, {"width_factor": 0.0625})
        for base in ("zf5", "convnet5", "overfeat5", "overfeat7")
    },
    "lenet5_dense": (lenet((6, 16), (120, 84), 0, torch.tanh, f.avg_pool2d, True), 32, {}),
    "lenet_mnist": (lenet((32, 64), (512,), 2, f.relu, f.max_pool2d, False), 28, {}),
    "lenet_cifar": (lenet((6, 16), (120, 84), 0, f.relu, f.max_pool2d, False), 32, {}),
    "tiny_vgg": (tiny_vgg, 64, {}),
    "fashion_cnn": (fashion_cnn, 28, {}),
    "mlp_bn_mnist": (mlp_bn, 28, {}),
    "yolo_v1_classifier": (yolo(False), 64, {"width_factor": 0.0625}),
    "extraction": (yolo(True), 64, {"width_factor": 0.0625}),
    "nin_imagenet": (nin_imagenet, 96, {}),
    "nin_cifar10": (nin_small(((5, 192, 160, 96), (5, 192, 192, 192), (3, 192, 192, 10))), 32, {}),
    "nin_cifar10 connected": (
        nin_small(((5, 192, 160, 96), (5, 192, 192, 192), (3, 192, 192, 10)), True),
        32,
        {"head": "connected"},
    ),
    "nin_mnist": (nin_small(((5, 96, 64, 48), (5, 128, 96, 48), (5, 128, 96, 10))), 28, {}),
    "googlenet": (googlenet(), 128, _QUIET),
    "googlenet naive": (googlenet(naive=True, narrow=16), 128, {**_QUIET, "reduced": False, "width_factor": 0.0625}),
    "googlenet fewer": (
        googlenet(narrow=16, left_out=("3b", "4b", "4c", "4e", "5a")),
        128,
        {**_QUIET, "modules": "3a,4a,4d,5b", "width_factor": 0.0625},
    ),
    "googlenet_bn": (googlenet(normed=True), 128, _QUIET),
    "bn_inception": (bn_inception(), 96, {}),
    "bn_inception_slim": (bn_inception(slim=True), 96, {}),
    "se_bn_inception": (bn_inception(excited=True), 96, {}),
    "inception_v2_rethinking": (inception_v2(), 171, {"auxiliary": False, "width_factor": 0.25}),
    **{
        f"inception_v2_rethinking {kind}": (
            inception_v2(kind),
            171,
            {"auxiliary": False, "width_factor": 0.25, "reduction": kind},
        )
        for kind in ("pool first", "convolution first")
    },
    **{
        f"inception_v2_rethinking {side}": (
            inception_v2(stem=side),
            side,
            {"auxiliary": False, "width_factor": 0.25, "stem": str(side)},
        )
        for side in (151, 79)
    },
    "inception_v2_rethinking linear": (
        inception_v2(linear=True),
        171,
        {"auxiliary": False, "width_factor": 0.25, "factorised_7x7": True, "linear_factors": True},
    ),
    "inception_resnet_v1": (inception_resnet(1), 139, {"width_factor": 0.125}),
    "inception_resnet_v2_paper": (inception_resnet(2), 139, {"width_factor": 0.125}),
    "plain18": (imagenet_resnet("none"), 64, {}),
    "resnet18": (imagenet_resnet("A"), 64, {}),
    "resnet18 C": (imagenet_resnet("C"), 64, {"shortcut": "C"}),
    **{
        f"resnet_cifar {place}": (excited_resnet(place), 16, {"depth": 8, "se_ratio": 4, "se_place": place})
        for place in ("standard", "pre", "post", "identity", "inside")
    },
}
"""Our name, and what tells apart → the derivation, the side of the images, our fields."""
CHANNELS = {"lenet5_dense": 1, "lenet_mnist": 1, "fashion_cnn": 1, "mlp_bn_mnist": 1, "nin_mnist": 1}
"""Of the images, where they are not three."""
