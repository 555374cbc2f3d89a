"""Initial distributions of the papers."""

import flax.linen as nn

he_normal = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
"""N(0, 2 / fan_in), fan_in = kh · kw · Cin. He et al. 2015, *Delving Deep into Rectifiers*, equation 10."""
