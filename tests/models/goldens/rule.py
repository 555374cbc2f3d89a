"""Numbers from names: the parameters of the goldens, the same wherever they are needed.

    draw(name, shape) = numpy.random.RandomState(crc32(name)).standard_normal(shape)      # float64

``RandomState``'s streams are frozen (NumPy enhancement proposal 19). Names are unstacked paths below ``params`` and
``batch_stats``, shapes are ours (HWIO kernels, ``[in, out]`` matrices).
"""

import zlib

import numpy as np


def draw(name, shape):
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)


def parameter(name, shape):
    """A parameter or running statistic by its last name: He's variance for kernels, the rest near its initial value."""
    z = draw(name, shape)
    match name.rpartition("/")[2]:
        case "kernel":
            return z * np.sqrt(2 / np.prod(shape[:-1]))
        case "scale":
            return 1 + 0.2 * z
        case "bias" | "mean":
            return 0.2 * z
        case "var":
            return np.exp(0.2 * z)
        case other:
            raise ValueError(other)


IMAGES = draw("images", (4, 16, 16, 3))
LABELS = np.array([3, 1, 4, 1])
MOMENTUM, EPSILON = 0.9, 1e-5
NETWORKS = {"resnet20-A": (20, "A"), "resnet20-B": (20, "B"), "resnet20-C": (20, "C"), "plain20": (20, "none")}
