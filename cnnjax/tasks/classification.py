"""Classification: one label an image."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.ops import augment, contrast, losses

METRICS = ("loss", "error", "calibration_error", "logit_gap")
"""What the metric computes: nats an example, of the classifier alone and without smoothing; a fraction; and in evaluation the
expected calibration error, Σ |right − confidence| over equal bins of confidence (Guo et al. 2017, eq. 3), and by how much the
largest logit of an example is above the mean of its logits, on average."""
RUNNING = METRICS[:2]
"""Those that are summed over training steps too."""
EVALUATED = [f"{name}/{metric}" for name in ("train", "test") for metric in METRICS]
"""What evaluation during training gives, of both sets."""
BINS = 15

Batch = dict[str, jax.Array]
Sums = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Classification:
    """The task, as every trainer sees it: ``preprocess``, ``loss``, and the metric ``init``, ``merge``, ``compute``.

    Attributes:
      mean: subtracted from every image, ``[H, W, C]``: the paper's per-pixel mean over the training set.
      scale: divided by: one standard deviation over all pixels of the training set, or one a channel.
      pad: for padding and cropping in training; 0 is off.
      flip: whether images are mirrored at random in training.
      label_smoothing: of the targets in training, see :func:`cnnjax.ops.losses.cross_entropy`.
      auxiliary_weight: with which the losses of auxiliary classifiers (taps called ``..._logits``) are added in training.
        Szegedy et al. 2014, §5: 0.3.
      crop: side of the square that the network sees of an image: one at a random place in training, the middle one in
        evaluation; 0: the whole image.
      jitter: least and largest shorter side that images are resized to in training, before the crop; their mean in
        evaluation. Empty: as they are.
      area, aspect: of the part of an image that becomes the crop in training, see :func:`cnnjax.ops.augment.by_area`; empty:
        off.
      colours: ``[C, C]``, see :func:`cnnjax.ops.augment.shifted`, in the unit of pixels; ``None``: off.
      photometric: see :func:`cnnjax.ops.augment.photometric`; 0: off.
      contrast: what is done to an image's contrast first, of :data:`cnnjax.ops.contrast.KINDS`; mean and scale are of that.
      whitening: ``[H·W·C, H·W·C]``, what images are multiplied by after that, see :func:`cnnjax.ops.contrast.whitening`;
        ``None``: off.
    """

    mean: np.ndarray
    scale: float | np.ndarray
    pad: int = 0
    flip: bool = False
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.0
    crop: int = 0
    jitter: tuple[int, ...] = ()
    area: tuple[float, ...] = ()
    aspect: tuple[float, ...] = ()
    colours: np.ndarray | None = None
    photometric: float = 0.0
    contrast: str = ""
    whitening: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise errors.UserError(f"task.label_smoothing is at least 0 and below 1, not {self.label_smoothing}")
        if not 0 <= self.auxiliary_weight < np.inf:
            raise errors.UserError(f"task.auxiliary_weight is at least 0, not {self.auxiliary_weight}")
        if not 0 <= self.photometric < 1:
            raise errors.UserError(f"task.photometric is at least 0 and below 1, not {self.photometric}")
        if (self.contrast or self.whitening is not None) and self.crop:
            raise errors.UserError("task.contrast and task.whiten are of whole images: they want no task.crop")
        if (self.contrast or self.whitening is not None) and self.colours is not None:
            raise errors.UserError("task.colour is a shift of pixels: it wants no task.contrast and no task.whiten")
        least = min(np.shape(self.mean)[:2])
        if not 0 <= self.pad < least:
            raise errors.UserError(
                f"task.pad is at least 0 and below the {least} pixels of the images' shorter side, not {self.pad}"
            )
        if not 0 <= self.crop <= least and not (self.jitter or self.area):
            raise errors.UserError(
                f"task.crop is at least 0 and at most the {least} pixels of the images' shorter side, not {self.crop}"
            )
        if (self.jitter or self.area) and not self.crop:
            raise errors.UserError("task.jitter and task.area want a task.crop, the side of what the network sees")
        if self.jitter and self.area:
            raise errors.UserError("task.jitter and task.area are two ways to a crop: give one")
        if self.jitter and not (len(self.jitter) == 2 and self.crop <= self.jitter[0] <= self.jitter[1]):
            raise errors.UserError(f"task.jitter is two sides of at least task.crop ({self.crop}), not {self.jitter}")
        if self.area and not (len(self.area) == 2 and 0 < self.area[0] <= self.area[1] <= 1):
            raise errors.UserError(f"task.area is two shares in 0 ... 1, not {self.area}")
        if bool(self.area) != bool(self.aspect) or (self.aspect and not 0 < self.aspect[0] <= self.aspect[-1] < np.inf):
            raise errors.UserError(f"task.aspect is two ratios beside task.area, not {self.aspect}")

    @property
    def shape(self) -> tuple[int, ...]:
        """``[H, W, C]`` of what the network sees."""
        height, width, channels = np.shape(self.mean)
        return (self.crop or height, self.crop or width, channels)

    def preprocess(self, batch: Batch, keys: jax.Array | None, train: bool) -> Batch:
        """Normalises ``image`` (uint8 ``[N, H, W, C]``) to float32, and augments it in training.

        Args:
          batch: holds ``image``; other entries are passed on.
          keys: one key an example ``[N]``; only used in training.
          train: whether to augment.
        """

        def stream(number: int) -> jax.Array:
            """Keys of one of the transformations."""
            return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)

        images = batch["image"].astype(jnp.float32)
        if train and self.photometric:
            images = augment.photometric(stream(2), images, self.photometric)
        images = self.normalise(images)
        if train and self.flip:
            images = augment.flip(stream(0), images)
        if train and self.pad:
            images = augment.pad_and_crop(stream(1), images, self.pad)
        if self.crop:
            images = self._cropped(stream(3), images) if train else self._central(images)
        if train and self.colours is not None:
            images = augment.shifted(stream(4), images, jnp.asarray(self.colours / self.scale))
        return {**batch, "image": images}

    def normalise(self, images: jax.Array) -> jax.Array:
        """Whole images ``[N, H, W, C]`` with the contrast, mean and deviation that the network wants, and whitened."""
        images = (contrast.kind(self.contrast)(images) - self.mean) / self.scale
        if self.whitening is None:
            return images
        flat = images.reshape(images.shape[0], -1)
        return jnp.matmul(flat, self.whitening, precision="highest").reshape(images.shape)

    def pixels(self, images: jax.Array) -> jax.Array:
        """What evaluation sees, float32 ``[N, H, W, C]``, with deviation and mean put back, for pictures of it.

        Where contrast was normalised or images were whitened there are no such pixels: they are left as they are.
        """
        if self.contrast or self.whitening is not None:
            return images
        mean = jnp.asarray(self.mean)[None]
        return images * self.scale + (self._central(mean) if self.crop else mean)

    def _cropped(self, keys: jax.Array, images: jax.Array) -> jax.Array:
        if self.area:
            return augment.by_area(keys, images, self.area, self.aspect, self.crop)  # type: ignore[arg-type]
        if self.jitter:
            return augment.jittered(keys, images, self.jitter, self.crop)  # type: ignore[arg-type]
        return augment.crop(keys, images, self.crop)

    def _central(self, images: jax.Array) -> jax.Array:
        """Simonyan & Zisserman 2014, §3.2: at the middle of the scales; of an area, the middle square of the whole image."""
        if not self.jitter and min(images.shape[1:3]) >= self.crop:
            return augment.central(images, self.crop)
        return augment.resized(images, sum(self.jitter) // 2 or self.crop, self.crop)

    def loss(
        self,
        model: nn.Module,
        variables: dict[str, Any],
        batch: Batch,
        rngs: dict[str, jax.Array],
        train: bool,
        freeze_bn: bool = False,
    ) -> tuple[jax.Array, tuple[Sums, Mapping[str, Any]]]:
        """Mean loss over the batch's valid examples; the metric's sums over them; the variables that changed.

        Args:
          model: the network.
          variables: its ``params`` and ``batch_stats``.
          batch: preprocessed ``image``, ``label [N]`` and optionally ``mask [N]``, 1 for valid examples.
          rngs: for dropout.
          train: training behaviour.
          freeze_bn: batch normalisation keeps to its running statistics, also in training.
        """
        updates: Mapping[str, Any] = {}
        if train:
            frozen: dict[str, Any] = {"freeze_bn": True} if freeze_bn else {}
            (logits, taps), updates = model.apply(
                variables, batch["image"], train=True, rngs=rngs, mutable=["batch_stats"], **frozen
            )
        else:
            logits, taps = model.apply(variables, batch["image"], train=False)
        mask = batch.get("mask", jnp.ones(logits.shape[0], jnp.float32))
        each = losses.cross_entropy(logits, batch["label"])
        wrong = logits.argmax(-1) != batch["label"]
        sums = {**self.init(), "loss": (each * mask).sum(), "errors": (wrong * mask).sum(), "count": mask.sum()}
        if not train:
            wide = logits.astype(jnp.float32)
            confidence = jax.nn.softmax(wide).max(-1)
            place = jnp.minimum((confidence * BINS).astype(jnp.int32), BINS - 1)
            excess = (confidence - ~wrong) * mask
            sums["overconfidence"] = jnp.zeros(BINS, jnp.float32).at[place].add(excess)
            sums["logit_gap"] = ((wide.max(-1) - wide.mean(-1)) * mask).sum()
            return sums["loss"] / sums["count"], (sums, updates)
        objective = losses.cross_entropy(logits, batch["label"], self.label_smoothing)
        for name, side in taps.items():
            if self.auxiliary_weight and name.endswith("_logits"):
                smoothed = losses.cross_entropy(side, batch["label"], self.label_smoothing)
                objective = objective + self.auxiliary_weight * smoothed
        return (objective * mask).sum() / sums["count"], (sums, updates)

    def init(self) -> Sums:
        """The metric's neutral element."""
        single = {name: jnp.zeros((), jnp.float32) for name in ("loss", "errors", "count", "logit_gap")}
        return {**single, "overconfidence": jnp.zeros(BINS, jnp.float32)}

    def merge(self, one: Sums, other: Sums) -> Sums:
        """The metric of both together."""
        return jax.tree.map(jnp.add, one, other)

    def compute(self, sums: Sums) -> dict[str, float]:
        """See :data:`METRICS`; of sums over training steps only :data:`RUNNING` mean something."""
        parts = (sums["loss"], sums["errors"], np.abs(sums["overconfidence"]).sum(), sums["logit_gap"])
        return {name: float(each) / float(sums["count"]) for name, each in zip(METRICS, parts, strict=True)}
