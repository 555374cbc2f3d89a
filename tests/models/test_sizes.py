"""Parameters and multiply-accumulates of every registered network, exact.

None of the numbers comes from this package. Sources: (t) torchvision's published ``num_params``, and the layers of its models;
(p) pytorchcv 0.0.74: parameters and products counted on its models by hooks; (k) counted on the models of timm 1.0.31; (l)
arithmetic from the paper's table of layers, here or in `test_resnet.py`; a paper's rounded figure stands behind it. Where two
sources exist they agree.
"""

import itertools

import jax
import numpy as np
import pytest
from jax.interpreters import partial_eval

from cnnjax import errors, models
from cnnjax.analysis import cost, sizes
from cnnjax.models.resnet import CifarResNet
from cnnjax.nn import conv as convolutions
from cnnjax.nn.conv import conv2d
from cnnjax.nn.rows import Conv


def conv(fan, features, *kernel):
    """Parameters of a convolution without a bias, and of its normalisation."""
    area = 1
    for extent in kernel:
        area *= extent
    return fan * features * area + 2 * features


def excited(*maps):
    """Parameters of squeeze-and-excitation with a ratio of 16."""
    return sum(2 * c * (c // 16) + c // 16 + c for c in maps)


def gates(*maps):
    """Products of the same."""
    return sum(2 * c * (c // 16) for c in maps)


BN_MAPS = (256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024)
V3_MAPS = (256, 288, 288, *[768] * 5, 1280, 2048, 2048)
IR_MAPS = (*[320] * 10, *[1088] * 20, *[2080] * 10)
"""Channels that each module puts out."""


def googlenet_cifar():
    """Products of Szegedy et al. 2014, Table 1, on maps of 32, 16 and 8; a 5×5 convolution as two 3×3."""
    modules = {
        32: ((192, 64, 96, 128, 16, 32, 32), (256, 128, 128, 192, 32, 96, 64)),
        16: (
            (480, 192, 96, 208, 16, 48, 64),
            (512, 160, 112, 224, 24, 64, 64),
            (512, 128, 128, 256, 24, 64, 64),
            (512, 112, 144, 288, 32, 64, 64),
            (528, 256, 160, 320, 32, 128, 128),
        ),
        8: ((832, 256, 160, 320, 32, 128, 128), (832, 384, 192, 384, 48, 128, 128)),
    }
    total = 27 * 192 * 1024 + 10_240
    for side, each in modules.items():
        for fan, one, r3, three, r5, five, pool in each:
            total += side**2 * (fan * (one + r3 + r5 + pool) + 9 * (r3 * three + r5 * five + five * five))
    return total


def bn_inception_slim():
    """Ioffe & Szegedy 2015 with slim's widths: input, 1×1, 3×3 (reduce, maps), double 3×3 (reduce, maps), projection."""
    modules = (
        (28, 192, 64, 64, 64, 64, 96, 32),
        (28, 256, 64, 64, 96, 64, 96, 64),
        (28, 320, 0, 128, 160, 64, 96, 0),
        (14, 576, 224, 64, 96, 96, 128, 128),
        (14, 576, 192, 96, 128, 96, 128, 128),
        (14, 576, 160, 128, 160, 128, 160, 96),
        (14, 576, 96, 128, 192, 160, 192, 96),
        (14, 576, 0, 128, 192, 192, 256, 0),
        (7, 1024, 352, 192, 320, 160, 224, 128),
        (7, 1024, 352, 192, 320, 192, 224, 128),
    )
    parameters = 1176 + 1536 + 128 + conv(64, 64, 1) + conv(64, 192, 9) + 1025 * 1000
    products = 112**2 * (1176 + 1536) + 56**2 * (64 * 64 + 64 * 192 * 9) + 1_024_000
    for side, fan, one, r3, three, r9, nine, pool in modules:
        after = side if pool else side // 2
        parameters += sum(conv(fan, maps, 1) for maps in (one, r3, r9, pool))
        parameters += conv(r3, three, 9) + conv(r9, nine, 9) + conv(nine, nine, 9)
        products += side**2 * (fan * (one + r3 + r9 + pool) + 9 * r9 * nine) + after**2 * 9 * (r3 * three + nine * nine)
    return parameters, products


def yolo_v1():
    """Redmon et al. 2015, Fig. 3, the first 20 convolutions with biases, and a fully connected layer."""
    layers = [
        (3, 64, 49, 112),
        (64, 192, 9, 56),
        (192, 128, 1, 28),
        (128, 256, 9, 28),
        (256, 256, 1, 28),
        (256, 512, 9, 28),
    ]
    layers += [(512, 256, 1, 14), (256, 512, 9, 14)] * 4 + [(512, 512, 1, 14), (512, 1024, 9, 14)]
    layers += [(1024, 512, 1, 7), (512, 1024, 9, 7)] * 2
    assert len(layers) == 20
    parameters = sum(fan * maps * area + maps for fan, maps, area, _ in layers) + 1025 * 1000
    return parameters, sum(fan * maps * area * side**2 for fan, maps, area, side in layers) + 1024 * 1000


def layers(side, *each):
    """Parameters and products of convolutions (input, maps, area) with a normalisation, on maps of side × side."""
    products = side**2 * sum(fan * maps * area for fan, maps, area in each)
    return np.array([sum(conv(*layer) for layer in each), products])


def biased(side, *each):
    """The same with a bias and no normalisation."""
    parameters = sum((fan * area + 1) * maps for fan, maps, area in each)
    return np.array([parameters, side**2 * sum(fan * maps * area for fan, maps, area in each)])


def connected(*widths):
    """The same of fully connected layers."""
    return biased(1, *((fan, units, 1) for fan, units in itertools.pairwise(widths)))


def convnet5():
    """He et al. 2014, Table 1, with 50 bins: AlexNet's layers without groups, pools after the second and the third."""
    total = biased(55, (3, 96, 121), (96, 256, 25)) + biased(27, (256, 384, 9))
    return total + biased(13, (384, 384, 9), (384, 256, 9)) + connected(50 * 256, 4096, 4096, 1000)


def overfeat(last):
    """He et al. 2014, Table 1, with 50 bins."""
    total = biased(110, (3, 96, 49)) + biased(36, (96, 256, 25)) + biased(18, (256, 512, 9))
    return total + biased(18, *[(512, 512, 9)] * (last - 3)) + connected(50 * 512, 4096, 4096, 1000)


def inception_stem():
    """Rethinking, Table 1, as released, up to the second pool, and Inception-ResNet-v1's stem (Fig. 14) but its last layer."""
    total = layers(149, (3, 32, 9)) + layers(147, (32, 32, 9), (32, 64, 9))
    return total + layers(73, (64, 80, 1)) + layers(71, (80, 192, 9))


def inception_v2_rethinking():
    """Szegedy et al. 2015 (Rethinking), Figs. 5 and 7 of the released widths, 7×7 convolutions as 3×3."""

    def wide(c, pool):
        double = ((c, 64, 1), (64, 96, 9), (96, 96, 9))
        return layers(35, (c, 64, 1), (c, 48, 1), (48, 64, 9), (64, 64, 9), *double, (c, pool, 1))

    def middle(m):
        double = ((768, m, 1), (m, m, 9), (m, 192, 9))
        return layers(17, (768, 192, 1), (768, m, 1), (m, 192, 9), *double, (768, 192, 1))

    def narrow(c):
        fans = ((c, 384, 1), (c, 448, 1), (448, 384, 9), *[(384, 384, 3)] * 4)
        return layers(8, (c, 320, 1), *fans, (c, 192, 1))

    first = layers(35, (288, 64, 1), (64, 96, 9)) + layers(17, (288, 384, 9), (96, 96, 9))
    second = layers(17, *[(768, 192, 1)] * 2, (192, 192, 9)) + layers(8, (192, 320, 9), (192, 192, 9))
    total = inception_stem() + wide(192, 32) + wide(256, 64) + wide(288, 64) + first
    total += middle(128) + 2 * middle(160) + middle(192) + second + narrow(1280) + narrow(2048) + connected(2048, 1000)
    auxiliary = 768 * 128 + 128 + 128 * 768 * 25 + 768 + 769 * 1000  # its products are none of the classifier's
    return total + np.array([auxiliary, 0])


def inception_resnet_v1(modules_c):
    """Szegedy et al. 2016, Figs. 10 to 14 and Table 1, without the classifier."""
    stem = inception_stem() + layers(35, (192, 256, 9))
    a = layers(35, *[(256, 32, 1)] * 3, *[(32, 32, 9)] * 3) + biased(35, (96, 256, 1))
    reduction_a = layers(35, (256, 192, 1), (192, 192, 9)) + layers(17, (256, 384, 9), (192, 256, 9))
    b = layers(17, *[(896, 128, 1)] * 2, *[(128, 128, 7)] * 2) + biased(17, (256, 896, 1))
    reduction_b = layers(17, *[(896, 256, 1)] * 3, (256, 256, 9)) + layers(8, (256, 384, 9), *[(256, 256, 9)] * 2)
    c = layers(8, *[(1792, 192, 1)] * 2, *[(192, 192, 3)] * 2) + biased(8, (384, 1792, 1))
    return stem + 5 * a + reduction_a + 10 * b + reduction_b + modules_c * c


def inception_resnet_v2_paper():
    """Szegedy et al. 2016, Figs. 3, 16 to 19 and Table 1."""
    stem = layers(149, (3, 32, 9)) + layers(147, (32, 32, 9), (32, 64, 9))
    stem += layers(73, (64, 96, 9), *[(160, 64, 1)] * 2, *[(64, 64, 7)] * 2)
    stem += layers(71, *[(64, 96, 9)] * 2) + layers(35, (192, 192, 9))
    a = layers(35, *[(384, 32, 1)] * 3, (32, 32, 9), (32, 48, 9), (48, 64, 9)) + biased(35, (128, 384, 1))
    reduction_a = layers(35, (384, 256, 1), (256, 256, 9)) + layers(17, (384, 384, 9), (256, 384, 9))
    b = layers(17, (1152, 192, 1), (1152, 128, 1), (128, 160, 7), (160, 192, 7)) + biased(17, (384, 1152, 1))
    reduction_b = layers(17, *[(1152, 256, 1)] * 3, (256, 288, 9))
    reduction_b += layers(8, (256, 384, 9), (256, 288, 9), (288, 320, 9))
    c = layers(8, *[(2144, 192, 1)] * 2, (192, 224, 3), (224, 256, 3)) + biased(8, (448, 2144, 1))
    return stem + 5 * a + reduction_a + 10 * b + reduction_b + 5 * c + connected(2144, 1000)


SIZES = {
    "xception": (22_855_952, 8_357_403_496),  # l, k
    "xception_baseline": (23_834_568, 5_713_216_096),  # t, k
    "googlenet": (6_998_552 + 3_188_840 + 3_190_888, 1_582_671_872),  # l; 1.5 G
    "googlenet_bn": (
        7_005_832 + 3_188_840 + 128 + 3_190_888 + 128,
        1_582_671_872,
    ),  # l: a scale and a bias for each bias
    "googlenet_3x3": (13_004_888, 1_498_376_192),  # t
    "googlenet_cifar": (6_166_250, googlenet_cifar()),  # l
    "bn_inception_port": (11_295_240, 2_032_600_064),  # p
    # l: the port's without 10,016 biases; a first convolution of 3 x 8 maps of 7x7, then 24 x 64. The paper says 13.6 M.
    "bn_inception": (11_295_240 - 10_016 - 9408 + 1176 + 1536, 2_032_600_064 + 112**2 * (1176 + 1536 - 9408)),
    "bn_inception_slim": bn_inception_slim(),  # l
    "inception_v3": (27_161_264, 5_713_216_096),  # t, k
    "inception_v2_rethinking": (*inception_v2_rethinking(),),  # l
    "inception_v4": (42_679_816, 12_253_974_624),  # k
    "inception_resnet_v1": (*inception_resnet_v1(5) + connected(1792, 1000),),  # l
    "inception_resnet_v1_port": (23_995_624, 6_308_235_360),  # p; l: one more module, 512 units
    "inception_resnet_v2": (55_843_464, 13_155_794_016),  # k
    "inception_resnet_v2_paper": (*inception_resnet_v2_paper(),),  # l
    "seresnet18": (11_778_592, 1_814_160_384),  # k
    "seresnet34": (21_958_868, 3_663_918_592),  # k
    "seresnet50": (28_088_024, 3_860_488_192),  # k; 28.1 M
    "seresnet101": (49_326_872, 7_574_937_600),  # k
    "seresnet152": (66_821_848, 11_288_993_792),  # k
    "senet154": (115_088_984, 20_688_363_520),  # p, k
    "se_bn_inception": (11_278_528 + excited(*BN_MAPS), 1_948_605_440 + gates(*BN_MAPS)),  # l
    "se_inception_v3": (27_161_264 + excited(*V3_MAPS), 5_713_216_096 + gates(*V3_MAPS)),  # l
    "se_inception_resnet_v2": (55_843_464 + excited(*IR_MAPS), 13_155_794_016 + gates(*IR_MAPS)),  # l
    "darknet19": (20_842_376, 2_790_989_824),  # p; 5.58 billion operations
    "yolo_v1_classifier": yolo_v1(),  # l
    "extraction": (23_437_224, 4_259_340_288),  # l: darknet's definition, 8.52 billion operations
    "spp_zf5": (
        62_357_608 + (50 - 36) * 256 * 4096,
        1_168_032_896 + (50 - 36) * 256 * 4096,
    ),  # l: 50 bins for 36 places
    "spp_convnet5": (*convnet5(),),  # l
    "spp_overfeat5": (*overfeat(5),),  # l
    "spp_overfeat7": (*overfeat(7),),  # l
    "mlp_cifar10": (29_409_290, 29_401_088),  # l
    "mlp_bn_mnist": (784 * 100 + 2 * 100 * 100 + 3 * 200 + 1010, 784 * 100 + 2 * 100 * 100 + 1000),  # l
    # l: 456 + 2,416 + (8 x 8 x 16 + 1) x 120 + 10,164 + 850
    "pattern": (136_886, 32 * 32 * 450 + 16 * 16 * 2400 + 1024 * 120 + 10_080 + 840),
    "tiny_vgg": (19_920, 62 * 62 * 270 + 60 * 60 * 900 + 28 * 28 * 900 + 26 * 26 * 900 + 16_900),  # l
    "fashion_cnn": (
        1_413_834,
        784 * 3136 + 196 * (73_728 + 147_456) + 49 * (294_912 + 589_824) + 294_912 + 8192 + 640,
    ),  # l
    # 60,000 in the paper: 156 + 12 + 1,516 + 32 + 48,120 + 10,164. Products as computed, zeros of the table included.
    "lenet5": (60_000, 28 * 28 * 150 + 10 * 10 * 2400 + 48_000 + 10_080),
    "lenet5_dense": (61_706, 28 * 28 * 150 + 10 * 10 * 2400 + 48_000 + 10_080 + 840),  # l
    "lenet_mnist": (1_663_370, 28 * 28 * 800 + 14 * 14 * 51_200 + 3136 * 512 + 5120),  # l
    "lenet_cifar": (62_006, 28 * 28 * 450 + 10 * 10 * 2400 + 48_000 + 10_080 + 840),  # l
    "alexnet": (60_965_224, 724_406_816),  # l; "60 million"
    "alexnet_ungrouped": (62_378_344, 1_135_256_096),  # l, p
    "alexnet_owt": (61_100_840, 714_188_480),  # t
    "alexnet_cifar": (23_272_266, 62_742_528),  # l
    "cifarnet": (89_578, 12_298_240),  # l: 2,432 + 25,632 + 51,264 + 10,250
    "zfnet": (62_357_608, 1_168_032_896),  # l, p
    "zfnet_wide": (107_627_624, 2_476_704_896),  # p
    "vgg11": (132_863_336, 7_609_090_048),  # t; 133 M
    "vgg11_lrn": (132_863_336, 7_609_090_048),  # as A: nothing to learn in it
    "vgg11_gap": (9_733_480, 7_485_968_384),  # l: A less 123,129,856 of its head's, 123,121,664 products
    "vgg13": (133_047_848, 11_308_466_176),  # t; 133 M
    "vgg13_5x5": (134_503_528, 9_356_017_664),  # l
    # l: 123,642,856 of full connection, and 49 C_in + 1 for each of 256, 512 and 512 maps
    "vgg16_7x7": (144_777_512, 17_422_712_832),
    "vgg16_c": (133_638_952, 11_770_888_192),  # l; 134 M
    "vgg16": (138_357_544, 15_470_264_320),  # t; 138 M
    "vgg16_gap": (15_227_688, 15_347_142_656),  # l: D, with the same
    "vgg19": (143_667_240, 19_632_062_464),  # t; 144 M
    "vgg11_bn": (132_868_840, 7_609_090_048),  # t
    "vgg13_bn": (133_053_736, 11_308_466_176),  # t
    "vgg16_c_bn": (133_647_400, 11_770_888_192),  # l
    "vgg16_bn": (138_365_992, 15_470_264_320),  # t
    "vgg19_bn": (143_678_248, 19_632_062_464),  # t
    "nin_cifar10": (966_986, 222_486_528),  # l, p
    "nin_cifar100": (984_356, 223_592_448),  # l
    "nin_mnist": (349_674, 50_699_712),  # l
    "nin_imagenet": (7_595_176, 1_100_188_800),  # l
    "resnet18": (11_515_688, 1_794_805_760),  # l; 1.8 G
    "resnet34": (21_623_848, 3_644_493_824),  # l; 3.6 G
    "resnet50": (25_557_032, 3_857_973_248),  # t; 3.8 G
    "resnet101": (44_549_160, 7_570_194_432),  # t; 7.6 G
    "resnet152": (60_192_808, 11_282_415_616),  # t; 11.3 G
    "plain18": (11_515_688, 1_794_805_760),  # l
    "plain34": (21_623_848, 3_644_493_824),  # l
}
VARIANTS = {
    ("resnet18", "B"): (11_689_512, 1_814_073_344),  # t
    ("resnet18", "C"): (12_043_816, 1_878_298_624),
    ("resnet34", "B"): (21_797_672, 3_663_761_408),  # t
    ("resnet34", "C"): (22_716_840, 3_830_747_136),
    ("resnet50", "A"): (22_780_456, 3_498_311_680),
    ("resnet50", "C"): (40_128_552, 6_324_224_000),
    ("resnet101", "C"): (76_981_288, 13_530_300_416),
    ("resnet152", "C"): (107_335_720, 20_736_376_832),
}
"""With other shortcuts (l)."""


def arithmetic(depth, kind, on_3x3=False, ratio=0):
    """Parameters and multiply-accumulates of He et al. 2015, Table 1, layer by layer."""
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[depth]
    parameters, products = 0, 0

    def conv(kernel, fan, features, side):
        nonlocal parameters, products
        parameters += kernel * kernel * fan * features + 2 * features  # and a scale and a bias of normalisation
        products += kernel * kernel * fan * features * side * side

    def dense(fan, features):
        nonlocal parameters, products
        parameters += (fan + 1) * features
        products += fan * features

    conv(7, 3, 64, 112)
    fan = 64
    for stage, (count, maps, side) in enumerate(zip(blocks, (64, 128, 256, 512), (56, 28, 14, 7), strict=True)):
        for number in range(count):
            reduces = stage > 0 and number == 0
            features = 4 * maps if depth >= 50 else maps
            if depth >= 50:
                conv(1, fan, maps, side * 2 if reduces and on_3x3 else side)
                conv(3, maps, maps, side)
                conv(1, maps, features, side)
            else:
                conv(3, fan, maps, side)
                conv(3, maps, maps, side)
            if kind == "C" or (kind == "B" and (fan != features or reduces)):
                conv(1, fan, features, side)
            if ratio:
                dense(features, features // ratio)
                dense(features // ratio, features)
            fan = features
    dense(fan, 1000)
    return parameters, products


def size(name, **fields):
    model = models.create(name, **fields)
    return cost.size(model, (1, *model.input_shape))


def test_every_registered_network_is_in_the_table():
    """Those of the CIFAR family are in `test_resnet.py`. A network that is registered without its line fails here."""
    assert set(SIZES) == {name for name, entry in models.entries().items() if entry.module is not CifarResNet}


@pytest.mark.parametrize("name", sorted(SIZES))
def test_parameters_and_products(name):
    found = size(name)
    assert found == SIZES[name]
    assert sizes.known()[name][:3] == (*found, models.create(name).input_shape)


def test_the_sizes_that_are_kept_are_of_all_networks():
    """What `cnnjax models` prints; made again by ``python -m cnnjax.analysis.sizes``."""
    assert set(sizes.known()) == set(models.entries())
    for name, entry in models.entries().items():
        if entry.module is CifarResNet:
            found = sizes.known()[name]
            assert found.input_shape == (32, 32, 3)
            depth = entry.fixed.get("depth", 20)
            parameters = cifar_parameters(depth)
            assert found == (parameters, cifar_products(depth), (32, 32, 3), parameters)


def cifar_parameters(depth):
    """He et al. 2015, §4.2, shortcut A or none: stem, three stages of n blocks of two convolutions, classifier."""
    n = (depth - 2) // 6
    stages = [(16, 16), (16, 32), (32, 64)]
    blocks = [conv(fan, maps, 9) + conv(maps, maps, 9) + (n - 1) * 2 * conv(maps, maps, 9) for fan, maps in stages]
    return conv(3, 16, 9) + sum(blocks) + 650


def cifar_products(depth):
    n = (depth - 2) // 6
    first = 9 * 32 * 32 * 3 * 16 + 9 * 16 * 16 * 32 * 32 * 2 * n
    second = 9 * 16 * 16 * (16 * 32 + 32 * 32 * (2 * n - 1))
    third = 9 * 8 * 8 * (32 * 64 + 64 * 64 * (2 * n - 1))
    return first + second + third + 640


@pytest.mark.parametrize(("name", "shortcut"), VARIANTS)
def test_other_shortcuts(name, shortcut):
    assert size(name, shortcut=shortcut, scan=True) == VARIANTS[name, shortcut]
    assert VARIANTS[name, shortcut] == arithmetic(int(name.removeprefix("resnet")), shortcut)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_the_table_is_the_papers_arithmetic(depth):
    assert SIZES[f"resnet{depth}"] == arithmetic(depth, "B" if depth >= 50 else "A")


def test_where_the_stride_is():
    """v1.5, as torchvision has it: 4.09 G, and the same parameters."""
    assert size("resnet50", stride_on="3x3") == arithmetic(50, "B", on_3x3=True) == (25_557_032, 4_089_184_256)


@pytest.mark.parametrize(
    ("name", "fields", "parameters"),
    [
        ("vgg16", {"head": "convolutional"}, 138_357_544),
        ("vgg16_bn", {"bn_bias": False}, 138_357_544 + 4224),  # a scale and a bias for 4,224 maps, less their biases
        ("resnet20", {"shortcut": "B3"}, 292_954),
        ("seresnet50", {"se_stages": (1,)}, 25_557_032 + excited(*[256] * 3)),  # Hu et al. 2017, §6.4: 25.6 M,
        ("seresnet50", {"se_stages": (2,)}, 25_557_032 + excited(*[512] * 4)),  # 25.7 M,
        ("seresnet50", {"se_stages": (3,)}, 25_557_032 + excited(*[1024] * 6)),  # 26.4 M
        ("seresnet50", {"se_stages": (4, 1)}, 25_557_032 + excited(*[256] * 3, *[2048] * 3)),
        ("seresnet50", {"se_squeeze": "max", "se_gate": "tanh"}, 28_088_024),
        ("nin_cifar10", {"mlpconv": False}, (75 + 1) * 96 + (25 * 96 + 1) * 192 + (9 * 192 + 1) * 10),
        ("alexnet", {"without": "conv3,conv4"}, 60_965_224 - 885_120 - 663_936 - 9 * 64 * 256),  # conv5 sees 128
        ("alexnet", {"without": "fc7"}, 60_965_224 - 16_781_312),
        (
            "alexnet",
            {"hidden": 2048},
            60_965_224 - 37_752_832 - 16_781_312 - 4_097_000 + 9217 * 2048 + 2049 * 2048 + 2_049_000,
        ),
        ("alexnet", {"overlapping": False}, 60_965_224),
        # As much more as pytorchcv's ZF network has with these maps; with groups arithmetic.
        ("alexnet_ungrouped", {"features": (512, 1024, 512)}, 62_378_344 + 107_627_624 - 62_357_608),
        (
            "alexnet",
            {"features": (512, 1024, 512)},
            60_965_224
            + (9 * 256 * 128 + 128)
            + 9 * (256 * 1024 - 192 * 384)
            + 640
            + 9 * (512 * 512 - 192 * 256)
            + 256
            + 36 * 256 * 4096,
        ),
    ],
)
def test_variants(name, fields, parameters):
    assert size(name, **fields)[0] == parameters


def test_the_head_for_small_images():
    """VGG-16 at 32×32 with 512-512-10: 14,714,688 + 2 · 262,656 + 5,130."""
    model = models.create("vgg16", hidden=512, num_classes=10)
    assert cost.size(model, (1, 32, 32, 3))[0] == 15_245_130


@pytest.mark.parametrize("name", sorted(SIZES))
def test_any_number_of_classes_and_channels_and_width(name):
    """A quarter of the width: a quarter of a first layer's parameters, a sixteenth of later ones. LeNet-5 has no other."""
    factor = {"lenet5": 1.0, "senet154": 0.5}.get(name, 0.25)  # SENet-154 has 64 groups of two maps at the least
    model = models.create(name, num_classes=7, width_factor=factor)
    height, width, channels = model.input_shape
    shape = jax.ShapeDtypeStruct((2, height, width, channels + 1), "float32")
    (logits, taps), variables = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x), shape)
    assert logits.shape == (2, 7)
    assert len(taps) > 3
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert factor == 1 or parameters < 0.28 * SIZES[name][0] * (channels + 1) / channels


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("inception_resnet_v1_port", 0.01),
        ("inception_resnet_v2", 0.3),
        ("se_inception_resnet_v2", 1.7),
        ("alexnet", 0.3),
        ("alexnet", 0.01),
        ("senet154", 0.3),
        ("xception", 0.3),
    ],
)
def test_widths_that_do_not_divide(name, factor):
    """Sums have one width, and groups divide theirs, however widths are rounded."""
    model = models.create(name, num_classes=7, width_factor=factor)
    images = jax.ShapeDtypeStruct((1, *model.input_shape), "float32")
    (logits, _), variables = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x), images)
    assert logits.shape == (1, 7)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    least = 0.2 if name == "senet154" else 0.8  # 64 groups have one map each at the least
    assert parameters > least * factor**2 * SIZES[name][0] / 2
    assert factor < 0.1 or parameters < 2.5 * factor**2 * SIZES[name][0]


def test_what_is_dropped_nowhere_is_refused():
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), "float32")
    with pytest.raises(errors.UserError, match=r"dropout is 0\.5, and this network has no place for it: dropout_after"):
        jax.eval_shape(models.create("resnet20", dropout=0.5).init, jax.random.key(0), images)
    assert jax.eval_shape(
        models.create("resnet20", dropout=0.5, dropout_after="stage2").init, jax.random.key(0), images
    )


def test_all_of_lenet5_is_normalised():
    images = jax.ShapeDtypeStruct((1, 32, 32, 1), "float32")
    variables = jax.eval_shape(models.create("lenet5", batch_norm=True).init, jax.random.key(0), images)
    assert set(variables["batch_stats"]) == {"norm1", "norm3", "norm5"}
    assert "bias" not in variables["params"]["conv3"]


DEEP = ("inception_resnet", "inception_v", "se_", "seresnet152", "senet154")
"""Networks that take long to trace twice."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=pytest.mark.slow if each.startswith(DEEP) else ()) for each in sorted(SIZES)],
)
def test_every_parameter_counts_and_every_switch_works(name):
    """In the traced program loss and auxiliary heads depend on every parameter; and all of it is computed in ``dtype``."""
    entry = models.entry(name)
    first = next(row.name for row in models.create(name).table())
    switched = {"batch_norm": not entry.fields["batch_norm"]} if "batch_norm" in entry.fields else {}
    switched |= {"scan": True} if "scan" in entry.fields else {}
    model = models.create(name, dtype="bfloat16", dropout_after=first, dropout=0.5, **switched)
    images = jax.ShapeDtypeStruct((2, *model.input_shape), "float32")
    variables = jax.eval_shape(model.init, jax.random.key(0), images)

    def outputs(params, rest, images):
        rngs = {"dropout": jax.random.key(1)}
        (logits, taps), _ = model.apply(
            {"params": params, **rest}, images, train=True, mutable=["batch_stats"], rngs=rngs
        )
        return [logits, *(tap for tap_name, tap in taps.items() if tap_name.endswith("_logits"))], taps

    params = variables.pop("params")
    traced = jax.make_jaxpr(lambda *each: outputs(*each)[0])(params, variables, images)
    _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.out_avals))
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(params)]
    assert [path for path, needed in zip(paths, used, strict=False) if not needed] == []
    assert "dropout" in str(traced) or "random_bits" in str(traced)
    assert {tap.dtype.name for tap in jax.tree.leaves(jax.eval_shape(outputs, params, variables, images))} == {
        "bfloat16"
    }
    assert {leaf.dtype.name for leaf in jax.tree.leaves((params, variables))} == {"float32"}
    assert bool(variables) == model.batch_norm


def test_width_is_of_maps_and_units():
    """VGG's A at a quarter: 16, 32, 64, 64, 128 ... maps, 128 units, and still a thousand classes."""
    maps = ((3, 16), (16, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 128), (128, 128))
    expected = sum((9 * fan + 1) * features for fan, features in maps) + 129 * 128 * 2 + 129 * 1000
    model = models.create("vgg11", width_factor=0.25, hidden=512)
    assert cost.size(model, (1, 32, 32, 3))[0] == expected


@pytest.mark.parametrize(
    ("name", "factor", "message"),
    [
        ("vgg11", 0, "width_factor is larger than 0 and at most 1024, not 0"),
        ("vgg11", 1e300, "width_factor is larger than 0 and at most 1024, not 1e[+]300"),
        ("vgg11", float("nan"), "width_factor is larger than 0 and at most 1024, not nan"),
        ("lenet5", 0.5, "the connections of lenet5 are those of Table I: it has no other width"),
    ],
)
def test_what_is_no_width(name, factor, message):
    with pytest.raises(errors.UserError, match=message):
        models.create(name, width_factor=factor)


@pytest.mark.parametrize(
    ("name", "fields", "side", "message"),
    [
        ("vgg16", {}, 31, r"pool5: a map of 1×1 is smaller than its window of 2×2; .* images from 32×32 on\n"),
        ("alexnet", {}, 10, r"conv1: a map of 10×10 is smaller than its kernel of 11×11; .* images from 67×67 on\n"),
        ("inception_v3", {}, 80, r"pool: a map of 3×3 .* images from 299×299 on\n"),
        ("inception_v3", {"auxiliary": False}, 50, r"images from 75×75 on\n"),
        ("xception", {}, 5, r"images from 7×7 on\n"),
        (
            "vgg16",
            {"head": "convolutional"},
            200,
            r"fc6: a map of 6×6 is smaller than its kernel of 7×7; .* images from 224×224 on\n",
        ),
    ],
)
def test_images_that_are_too_small(name, fields, side, message):
    model = models.create(name, **fields)
    with pytest.raises(errors.UserError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, side, side, 3), "float32"))


def test_images_of_another_size_than_the_weights():
    model = models.create("vgg11")
    variables = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 64, 64, 3), "float32"))
    message = "fc6 gets 4,608 values an image, and has weights for 2,048: .* takes images from 64×64 to 95×95\n"
    with pytest.raises(errors.UserError, match=message):
        jax.eval_shape(model.apply, variables, jax.ShapeDtypeStruct((1, 96, 96, 3), "float32"))


def test_sizes_are_sought_without_convolutions(monkeypatch):
    """Inception-ResNet v2's took half a minute to trace ten times."""
    traced = []
    monkeypatch.setattr(convolutions, "conv2d", lambda *each: traced.append(1) or conv2d(*each))
    with pytest.raises(errors.UserError, match="images from 32×32 on"):
        cost.size(models.create("vgg16"), (1, 31, 31, 3))
    assert len(traced) == 13


@pytest.mark.parametrize(
    ("name", "channels", "message"),
    [
        ("vgg11", 1, "conv1_1 gets 1 channels, for which its kernel is 3×3×1×64, and the weights have 3×3×3×64"),
        ("mlp_cifar10", 1, "fc1 gets 1,024 values .* for 3,072: .* takes no square images of 1 channel"),
        ("mlp_cifar10", 12, "fc1 gets 12,288 values .* takes images of 16×16"),
    ],
)
def test_images_of_other_channels_than_the_weights(name, channels, message):
    model = models.create(name)
    variables = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 32, 32, 3), "float32"))
    with pytest.raises(errors.UserError, match=message):
        jax.eval_shape(model.apply, variables, jax.ShapeDtypeStruct((1, 32, 32, channels), "float32"))


@pytest.mark.parametrize("name", ["vgg11", "vgg16_c", "vgg16_bn", "vgg11_lrn", "vgg13_5x5", "vgg16_7x7"])
def test_normalisation_is_a_switch_of_every_vgg(name):
    """Scale and shift of every map of a convolution, instead of a bias."""
    without, with_norm = (models.create(name, batch_norm=each, bn_bias=False) for each in (False, True))
    maps = sum(row.features for row in without.rows() if isinstance(row, Conv))
    plain, normalised = (cost.size(each, (1, 32, 32, 3))[0] for each in (without, with_norm))
    assert normalised - plain == maps


def test_stages_of_one_width():
    """Three stages of one block, 16 maps in each: the first convolution, six of 16 to 16, and the classifier."""
    found = size("resnet_cifar", depth=8, growth=1)
    areas = 2 * (32 * 32 + 16 * 16 + 8 * 8)
    assert found == (conv(3, 16, 3, 3) + 6 * conv(16, 16, 3, 3) + 170, 27 * 16 * 1024 + 9 * 256 * areas + 160)
    with pytest.raises(errors.UserError, match="growth is at least 1, not 0"):
        models.create("resnet34", growth=0)


@pytest.mark.parametrize(("wide", "one", "side"), [(8, 14, 32), (64, 117, 224)])
def test_the_widths_of_the_experiment_on_blocks_cost_as_much(wide, one, side):
    costs = [
        cost.size(models.create("resnet34", shortcut="B", width=width, growth=growth), (1, side, side, 3))[1]
        for width, growth in ((wide, 2), (one, 1))
    ]
    assert costs[1] == pytest.approx(costs[0], rel=0.04)
