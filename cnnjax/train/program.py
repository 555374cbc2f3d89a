"""Everything of a run that does not depend on its seed: network, task, data on the devices, and the compiled programs.

Seeds of one configuration share a program, and so compile once.
"""

import hashlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import config as configs
from cnnjax import data, errors, models
from cnnjax.data import pipeline, stream
from cnnjax.data.picture import Picture
from cnnjax.interop import weights
from cnnjax.nn import norm, onednn, stacking
from cnnjax.nn.rows import Side
from cnnjax.tasks.classification import EVALUATED, Classification
from cnnjax.train import checkpoint, compiler, hosts, optimizer, parallel, pixels, schedule, state, step, transfer
from cnnjax.train.feed import Feed
from cnnjax.train.resident import Resident
from cnnjax.train.step import Sums
from cnnjax.train.streamed import Streamed, Streams

UNMIRRORED = frozenset({"digits", "mnist", "emnist", "kmnist", "svhn_cropped"})
"""Sets whose mirrored images belong to other classes, or to none: never flipped."""


CPU_CONVOLUTIONS = ("auto", "xla")
MEANS = ("pixel", "channel")
"""What is subtracted from images: a mean for every pixel, or one a channel."""


class Program:
    """A configuration, made ready to run.

    Args:
      config: the recipe; its ``seed`` is not used here.
      say: takes one line for the user.
      sets: ``"train"`` and ``"test"``, where they are not to be loaded by their name.
      run: the folder of a run with this configuration, if ``init.weights`` names another arm's.
      layout: of devices that are not here, for which programs are compiled but not run; default: the configuration's, of
        those that are.

    Attributes:
      notes: what a reader of the result must know beside the settings.
      model, task, optimizer, schedule: made from the configuration.
      conv_form: of its convolutions, see `cnnjax.nn.conv`.
      compiler_options: see `cnnjax.train.compiler`.
      classes: their names.
      network: name and fields of the model.
      begin: what is known of the weights that it begins with; ``None`` where all begin anew.
      white: the largest value of a pixel.
      steps_per_epoch: the training set is seen once in as many steps.
      steps: of the whole run.
      frozen_until: steps for which some parameters are held fast.
      parameters: how many.
      evaluated: how many examples of each set are, 0: all.
      feed: where batches come from.
      fetched: how often :meth:`fetch` has read from the devices.
    """

    def __init__(
        self,
        config: configs.ConfigDict,
        say: Callable[[str], None] = lambda line: None,
        sets: Mapping[str, data.Arrays] | None = None,
        run: pathlib.Path | None = None,
        layout: parallel.Layout | None = None,
    ):
        self.config = config
        self.notes: list[str] = []
        self.fetched = 0

        def note(line: str) -> None:
            self.notes.append(line)
            say(line)

        batch, execution = config.batch_size, config.execution
        self.layout = layout or parallel.layout(execution.parallel, execution.devices)
        self.layout.check_batch("batch_size", batch)
        self.layout.check_batch("evaluation.batch_size", config.evaluation.batch_size)

        if execution.grad_reduce_dtype not in step.REDUCE_DTYPES:
            raise errors.unknown("execution.grad_reduce_dtype", execution.grad_reduce_dtype, step.REDUCE_DTYPES)
        if execution.grad_reduce_dtype != "float32" and not self.layout.axis:
            raise errors.UserError(
                f"execution.grad_reduce_dtype = {execution.grad_reduce_dtype} wants execution.parallel = pmap; under "
                f"{self.layout.mapping} the compiler reduces gradients as they are, in float32"
            )
        if execution.shard_optimizer and self.layout.axis:
            raise errors.UserError(
                "execution.shard_optimizer wants execution.parallel = jit: the compiler divides the work"
            )
        if execution.keep not in stacking.KEPT:
            raise errors.unknown("execution.keep", execution.keep, stacking.KEPT)

        if execution.readers < 0:
            raise errors.UserError(f"execution.readers is at least 0, not {execution.readers}")
        streams = Streams(config) if execution.stream and not sets else None
        sets = {} if streams else _loaded(config, sets)
        # Of a set that is streamed, a sample says what its images are like.
        train, settings = (streams.train, streams.task) if streams else (sets["train"], config.task)
        parts: Mapping[str, data.Arrays | stream.Examples] = streams.examples if streams else sets
        self.fingerprints = {name: each.fingerprint for name, each in parts.items()}
        self.classes = train.class_names
        self._shorter = streams.shorter if streams else 0
        self.steps_per_epoch = pipeline.steps_per_epoch(len(parts["train"]), batch)
        most = config.evaluation.train
        if most < 0:
            raise errors.UserError(f"evaluation.train is a number of training examples, or 0 for all, not {most}")
        self.evaluated = {"train": most, "test": 0}
        if 0 < most < len(parts["train"]):
            note(f"train/... is of {most:,} of the {len(parts['train']):,} training examples, at equal distances")
        flip = config.task.flip and config.dataset.name not in UNMIRRORED
        if flip != config.task.flip:
            note(f"task.flip is off: mirrored images of {config.dataset.name} are no longer of their class")
        self.white = train.white
        transfer.check(config.init)
        self.begin = weights.read(transfer.source(config.init.weights, run))[0] if config.init.weights else None
        given = pixels.given(self.begin.picture, train) if self.begin else None
        mean, scale = given or pixels.statistics(train.images, settings.contrast)
        mean = pixels.channels(mean) if settings.mean == "channel" else mean
        self.task = Classification(
            mean,
            scale,
            settings.pad,
            flip,
            settings.label_smoothing,
            settings.auxiliary_weight,
            settings.crop,
            settings.jitter,
            settings.area,
            settings.aspect,
            settings.colour * pixels.components(train.images, train.white) if settings.colour else None,
            settings.photometric,
            settings.contrast,
            self._whitening(train.images, mean, scale),
        )
        if settings.mean not in MEANS:
            raise errors.unknown("task.mean", settings.mean, MEANS)

        self.network = transfer.network(config, train.num_classes, self.begin)
        model = models.create(self.network[0], **self.network[1])
        heads = [row.name for row in model.rows() if isinstance(row, Side)]
        if heads and not config.task.auxiliary_weight:
            note(f"task.auxiliary_weight is 0: the auxiliary classifiers ({', '.join(heads)}) are not trained")
        if execution.accumulate < 1:
            raise errors.UserError(f"execution.accumulate is at least 1, not {execution.accumulate}")
        if batch % (execution.accumulate * len(self.layout.devices)):
            of = f" of {len(self.layout.devices)} devices' shares" if len(self.layout.devices) > 1 else ""
            raise errors.UserError(
                f"execution.accumulate = {execution.accumulate} does not divide a batch of {batch}{of}"
            )
        if hasattr(model, "bn_group"):
            self._check_groups(model.bn_group)
        platform = self.layout.devices[0].platform
        if platform == "cpu" and (refused := compiler.failure()):
            note(f"training is slower: this jaxlib does not take an option of the compiler ({refused})")
        self.compiler_options = compiler.options(platform) if self.layout.mapping == "jit" else {}
        if compiler.options(platform) != self.compiler_options:
            note("training is slower than with execution.parallel=jit: pmap takes no options of the compiler")
        self.conv_form = conv_form(execution.cpu_convolution, self.layout, note)
        placed: dict[str, Any] = {"bn_axis": self.layout.axis, "conv_form": self.conv_form, "keep": execution.keep}
        self.model = model.clone(**{key: value for key, value in placed.items() if hasattr(model, key)})

        self.steps = self.duration(config.duration, "duration")
        self.schedule = schedule.make(config.schedule, self.steps_per_epoch, batch)
        self.optimizer = optimizer.make(config.optimizer, self.schedule)
        self._check_extras()
        # Each kernel's random generator is compiled for itself; optimised less, that takes a quarter of the time.
        self._init_compiled = jax.jit(self._init, compiler_options={"xla_backend_optimization_level": 1})
        self.abstract = self._init_compiled.eval_shape(jnp.int32(0))
        if execution.shard_optimizer:
            self.abstract = self.abstract.replace(opt_state=state.inner(self.layout.divided, self.abstract.opt_state))
        self._marks = transfer.trained(self.abstract.params, config.init.frozen) if config.init.frozen else None
        if config.init.freeze_bn not in transfer.FREEZE_BN:
            raise errors.unknown("init.freeze_bn", config.init.freeze_bn, transfer.FREEZE_BN)
        until = configs.steps(config.init.frozen_until, self.steps_per_epoch, batch)
        self.frozen_until = min(until, self.steps) if config.init.frozen else 0
        if config.init.frozen and not until:
            raise errors.UserError("init.frozen holds parameters until init.frozen_until, which is at least one step")
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(self.abstract.params))
        optimizer.multipliers(self.abstract.params, config.optimizer.decay_multipliers)

        self._check_sizes()
        self.feed: Feed = Streamed(self, streams, note) if streams else Resident(self, sets)
        self._finite = jax.jit(checkpoint.all_finite)

    def record(self) -> weights.Record:
        """What this run's weights are of."""
        height, width, channels = self.task.shape
        whole = np.shape(self.task.mean)
        top, left = (whole[0] - height) // 2, (whole[1] - width) // 2
        mean = self.task.mean[top : top + height, left : left + width]
        if self.config.task.jitter or mean.shape != self.task.shape:
            mean = np.broadcast_to(self.task.mean.mean((0, 1)), self.task.shape)
        unit = 1 if self.task.contrast else self.white
        picture = Picture(
            resize=self._shorter or sum(self.config.task.jitter) // 2 or max(min(whole[:2]), min(height, width)),
            crop=(height, width),
            mean=_nested(mean / unit),
            std=_nested(np.full(channels, self.task.scale / unit)),
            contrast=self.task.contrast,
            whitening=self.task.whitening,
        )
        return weights.Record(
            *self.network,
            (height, width, channels),
            picture,
            self.classes,
            f"trained on {self.config.dataset.name}",
            self.config.optimizer.average,
        )

    def _whitening(self, images: np.ndarray, mean: np.ndarray, scale: float | np.ndarray) -> np.ndarray | None:
        """That of the training set, or of the weights that this run begins with."""
        settings = self.config.task
        how, epsilon = settings.whiten, settings.whiten_epsilon
        if not self.begin:
            return pixels.whitening(images, settings.contrast, mean, scale, how, epsilon)
        seen = self.begin.picture
        if (seen.contrast, seen.whitening is not None) != (settings.contrast, bool(how)):
            whitened = "whitened" if seen.whitening is not None else "not whitened"
            raise errors.UserError(
                f"init.weights have seen images of contrast {seen.contrast!r}, {whitened}; task.contrast is "
                f"{settings.contrast!r} and task.whiten {how!r}"
            )
        if seen.whitening is not None and len(seen.whitening) != images[0].size:
            raise errors.UserError(
                f"init.weights have seen whitened images of {len(seen.whitening)} values, not of {images[0].size}"
            )
        return seen.whitening

    def duration(self, text: str, name: str) -> int:
        """A duration in steps of this run, at least one; ``name`` is the setting's, for the error."""
        found = configs.steps(text, self.steps_per_epoch, self.config.batch_size)
        if found < 1:
            raise errors.UserError(f"{name} is at least one step, not {text!r}")
        return found

    def init(self, seed: int, run: pathlib.Path | None = None) -> state.TrainState:
        """The state before the first step; ``run`` is the run's folder, if ``init.weights`` names another arm's."""
        if not 0 <= seed < 2**31:
            raise errors.UserError(f"a seed lies in 0 ... 2^31 - 1, not {seed}")
        begun = self._init_compiled(jnp.int32(seed))
        if self.begin:
            init = self.config.init
            fresh = {"params": begun.params, "batch_stats": begun.batch_stats}
            taken = weights.read(transfer.source(self.config.init.weights, run))[1]
            variables = transfer.begun(fresh, taken, init.head, init.added, self.model.bn_epsilon)
            begun = begun.replace(params=variables["params"], batch_stats=variables.get("batch_stats", {}))
            if isinstance(begun.opt_state, state.Averaged):
                average = jax.tree.map(np.copy, variables["params"])
                begun = begun.replace(opt_state=begun.opt_state._replace(average=average))
        # Every process has computed, or read, these by itself; from here on its copies are taken for those of all.
        hosts.same(lambda: {"the state before the first step": _digest(self.fetch((begun.params, begun.batch_stats)))})
        begun = self.layout.put(begun)
        if self.config.execution.shard_optimizer:
            begun = begun.replace(opt_state=self.layout.divide(begun.opt_state, self.abstract.opt_state))
        return begun

    def run(
        self, train_state: state.TrainState, sums: Sums, done: int, count: int, scale: float = 1.0
    ) -> tuple[state.TrainState, Sums]:
        """Runs ``count`` steps; they lie within one epoch, and on one side of :attr:`frozen_until`.

        ``train_state`` is donated.

        Args:
          train_state: after ``done`` steps.
          sums: the metric so far; that of the new steps is merged into it.
          done: steps before.
          count: steps now.
          scale: of the learning rate, beside its schedule: what plateaus have made of it.
        """
        sizes = self.config.task.sizes or (0,)
        kind = (done < self.frozen_until, sizes[done // self.steps_per_epoch % len(sizes)])
        return self.feed.run(kind, train_state, sums, done, count, scale)

    def batch(
        self, rng: jax.Array, arrays: dict[str, jax.Array], permutation: jax.Array, epoch: jax.Array, number: jax.Array
    ) -> dict[str, jax.Array]:
        """The preprocessed batch ``number`` of an epoch; to be traced inside of a program of :attr:`layout`."""
        index = pipeline.batch_indices(permutation, number, self.config.batch_size)
        return self._augmented(rng, epoch, pipeline.take(arrays, self.layout.split(index)))

    def step(
        self,
        train_state: state.TrainState,
        batch: dict[str, jax.Array],
        scale: jax.Array,
        *,
        frozen: bool = False,
        size: int = 0,
    ) -> tuple[state.TrainState, Sums]:
        """One training step on a batch that was read elsewhere; pure, to be mapped by :meth:`parallel.Layout.compile_step`.

        Args:
          train_state: before the step; the epoch follows from how many there were.
          batch: as the set has it: ``image`` uint8 ``[N, H, W, C]``, ``label`` int32 ``[N]``, and ``index`` int32 ``[N]``,
            which examples of the set they are: the augmentation of each depends on that.
          scale: of the learning rate, beside its schedule; read where the configuration has plateaus.
          frozen: whether it is one of the first :attr:`frozen_until` steps.
          size: side that the images are resized to; 0: as they are.

        Returns:
          The state after the step, and the metric's sums over the global batch.
        """
        epoch = train_state.step // self.steps_per_epoch
        batch = self._augmented(train_state.rng, epoch, batch)
        return self.learn(train_state, batch, scale, frozen, size)

    def _augmented(self, rng: jax.Array, epoch: jax.Array, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return self.task.preprocess(batch, pipeline.example_keys(rng, epoch, batch["index"]), train=True)

    def learn(
        self,
        train_state: state.TrainState,
        batch: dict[str, jax.Array],
        scale: jax.Array,
        frozen: bool,
        size: int,
    ) -> tuple[state.TrainState, Sums]:
        """One step on a preprocessed batch, see :meth:`step`."""
        settings, pieces = self.config.optimizer, self.config.execution.accumulate
        if size:
            shape = (batch["image"].shape[0], size, size, batch["image"].shape[-1])
            batch = {**batch, "image": jax.image.resize(batch["image"], shape, "bilinear")}
        return step.train_step(
            train_state,
            self.layout.pieces(batch, pieces) if pieces > 1 else batch,
            model=self.model,
            task=self.task,
            optimizer=self.optimizer,
            axis=self.layout.axis,
            reduce_dtype=self.config.execution.grad_reduce_dtype,
            pieces=pieces,
            marks=self._marks if frozen else None,
            freeze_bn={"never": False, "while frozen": frozen, "always": True}[self.config.init.freeze_bn],
            scale=scale if self.config.schedule.plateau else None,
            radius=settings.max_filter,
            average=settings.average,
        )

    def evaluate(self, train_state: state.TrainState, name: str) -> dict[str, float]:
        """The metric over a set, ``"train"`` or ``"test"``, unaugmented, in evaluation mode, every example once.

        Of the training set that is over all, or over as many as ``evaluation.train`` says.
        """
        return self.task.compute(self.fetch(self.feed.evaluate(train_state.variables, name)))

    def score(self, variables: Any, batch: dict[str, jax.Array]) -> Sums:
        """The metric's sums over a batch of a set, in evaluation mode; of this device's share, if the mapping is explicit."""
        _, (sums, _) = self.task.loss(
            self.model, variables, self.task.preprocess(batch, None, train=False), {}, train=False
        )
        return sums

    def scale(self, history: list[dict[str, Any]]) -> float:
        """Of the learning rate, after evaluations with these metrics: the schedule's factor for every plateau."""
        schedules = self.config.schedule
        if not schedules.plateau:
            return 1.0
        values = [row[schedules.plateau] for row in history if schedules.plateau in row]
        return schedules.factor ** schedule.plateaus(values, schedules.patience)

    def finite(self, tree: Any) -> bool:
        """Whether no number in a tree is infinite or NaN."""
        return bool(self.fetch(self._finite(tree)))

    def fetch(self, tree: Any) -> Any:
        """Copies a tree of arrays to the host. Training reads from the devices here, and at checkpoints, and nowhere else."""
        self.fetched += 1
        return jax.device_get(tree)

    def zero(self) -> Sums:
        """The metric's neutral element, on the devices."""
        return self.layout.put(self.task.init())

    def _check_groups(self, group: int) -> None:
        """Raises a `UserError` where BN groups cannot be formed from what is computed at once."""
        batch, pieces = self.config.batch_size, self.config.execution.accumulate
        if pieces > 1:
            together = batch // pieces // len(self.layout.devices)
            if not group or together % group:
                raise errors.UserError(
                    f"with execution.accumulate = {pieces} a device computes {together} examples at once, and "
                    f"model.bn_group divides them; it is {group or 'the whole batch (0)'}"
                )
        devices = len(self.layout.devices) if self.layout.axis else 1
        norm.check_groups(batch // devices, devices, group or batch)

    def _init(self, seed: int | jax.Array) -> state.TrainState:
        shape = (1, *self.task.shape)
        return state.create(self.model, self.optimizer, jnp.zeros(shape), seed, self.config.optimizer.average > 0)

    def _check_extras(self) -> None:
        """Raises a `UserError` where what is asked of training beside the optimiser means nothing."""
        schedules, extras = self.config.schedule, self.config.optimizer
        if not 0 <= extras.average < 1:
            raise errors.UserError(f"optimizer.average is at least 0 and below 1, not {extras.average}")
        if not 0 <= extras.max_filter < np.inf:
            raise errors.UserError(f"optimizer.max_filter is at least 0, not {extras.max_filter}")
        if schedules.plateau and schedules.plateau not in EVALUATED:
            raise errors.unknown("schedule.plateau", schedules.plateau, EVALUATED)
        if schedules.patience < 1:
            raise errors.UserError(f"schedule.patience is at least one evaluation, not {schedules.patience}")

    def _check_sizes(self) -> None:
        """Raises a `UserError` where a network cannot be trained on images of several sizes."""
        shapes = jax.tree.map(lambda leaf: leaf.shape, self.abstract.params)
        sizes, own = self.config.task.sizes, self.task.shape[:2]
        for size in sizes:
            if type(size) is not int or size < 1:
                raise errors.UserError(f"task.sizes are numbers of pixels, not {size!r}")
        if sizes and own not in [(size, size) for size in sizes]:
            raise errors.UserError(
                f"task.sizes has the size of evaluation too, which is {own[0]}×{own[1]}, and others beside it; not {sizes}"
            )
        for size in sizes:
            images = jax.ShapeDtypeStruct((1, size, size, self.task.shape[-1]), jnp.float32)
            found = jax.eval_shape(self.model.init, jax.random.key(0), images)["params"]
            if jax.tree.map(lambda leaf: leaf.shape, found) != shapes:
                raise errors.UserError(
                    f"task.sizes: the parameters of {self.network[0]} depend on the size of its images; a network with global "
                    "or pyramid pooling takes several"
                )


def conv_form(choice: str, layout: parallel.Layout, say: Callable[[str], None]) -> str:
    """The form of convolutions that is fastest here, see `cnnjax.nn.conv`."""
    if choice not in CPU_CONVOLUTIONS:
        raise errors.unknown("execution.cpu_convolution", choice, CPU_CONVOLUTIONS)
    return onednn.form(say) if choice == "auto" and layout.runs_on_one_cpu else "canonical"


def _loaded(config: configs.ConfigDict, sets: Mapping[str, data.Arrays] | None) -> dict[str, data.Arrays]:
    """Both sets as the configuration wants them; ``None``: those of its names."""
    asked = config.dataset
    names = ("train", "test")
    found = dict(sets or {each: data.load(asked.name, asked[each], config.execution.data_dir) for each in names})
    if asked.classes:
        found = {name: each.only(asked.classes) for name, each in found.items()}
    if asked.side:
        found = {name: each.resized(asked.side) for name, each in found.items()}
    if several := [each.split for each in found.values() if each.labels.ndim > 1]:
        raise errors.UserError(
            f"images of {asked.name} {several[0]} may be of several classes, and a network is trained to tell one; "
            "`cnnjax evaluate` takes such sets"
        )
    if asked.wrong_labels:
        found["train"] = found["train"].mislabelled(asked.wrong_labels)
    return found


def _digest(tree: Any) -> str:
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))).hexdigest()


def _nested(values: np.ndarray) -> tuple[Any, ...]:
    return tuple(map(_nested, values)) if values.ndim else float(values)  # type: ignore[return-value]
