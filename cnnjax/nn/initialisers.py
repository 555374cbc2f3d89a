"""Initial distributions of the papers."""

import flax.linen as nn

he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
"""N(0, 2 / fan_in), fan_in = kh · kw · Cin. He et al. 2015, *Delving Deep into Rectifiers*, equation 10."""

glorot_uniform = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
"""U(±√(6 / (fan_in + fan_out))). Glorot & Bengio 2010, equation 16."""

gaussian = nn.initializers.normal
"""N(0, std²): ``gaussian(0.01)`` is Krizhevsky et al. 2012, §5."""

NAMED = {"he": he_normal, "glorot": glorot_uniform, "gaussian": gaussian(0.01)}
"""Those that a network's field ``kernel_init`` can name."""
