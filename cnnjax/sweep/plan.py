"""What a sweep has to do: every run of an experiment at a scale, and which of them are done."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.sweep.experiment import Experiment, Scale
from cnnjax.train import files
from cnnjax.train.run import RunFolder, read_json


@dataclasses.dataclass(frozen=True)
class Arm:
    """One arm with its settings.

    Attributes:
      name: folder name.
      recipe: the file that it starts from.
      overrides: all changes to the recipe, in the order in which they are made.
      config: the recipe with these changes; its ``seed`` is not yet set.
      folder: of the arm; a run's is ``seed-<s>`` in it.
      seeds: of its runs.
    """

    name: str
    recipe: pathlib.Path
    overrides: Mapping[str, Any]
    config: configs.ConfigDict
    folder: pathlib.Path
    seeds: Sequence[int]

    def run(self, seed: int) -> tuple[RunFolder, configs.ConfigDict]:
        """The folder and the settings of one run."""
        return RunFolder(self.folder / f"seed-{seed}"), configs.override(self.config, {"seed": seed})

    def pending(self) -> list[int]:
        """Seeds whose run is not finished with these settings."""
        return [seed for seed in self.seeds if not _finished(*self.run(seed))]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """An experiment at one scale.

    Attributes:
      experiment: what is asked.
      scale_name: which scale.
      scale: it.
      folder: ``<runs>/<experiment>/<scale>``.
      arms: in the scale's order.
    """

    experiment: Experiment
    scale_name: str
    scale: Scale
    folder: pathlib.Path
    arms: Sequence[Arm]

    def claim_folder(self) -> None:
        """Marks the folder as this experiment's.

        Raises:
          UserError: it is another experiment's, or holds something else.
        """
        marker = self.folder / "experiment.json"
        mine = {"experiment": self.experiment.name, "question": self.experiment.question, "scale": self.scale_name}
        if marker.exists():
            theirs = read_json(marker)
            if theirs != mine:
                raise errors.UserError(
                    f"{self.folder} holds the runs of another experiment ({theirs.get('question')!r}); name another --runs"
                )
        elif self.folder.is_dir() and any(self.folder.glob("[!.]*")):
            raise errors.UserError(
                f"{self.folder} is not empty and holds no runs of an experiment; name another --runs"
            )
        else:
            files.write_json(marker, mine)

    def supersede(self) -> list[pathlib.Path]:
        """Moves runs with other settings to ``superseded/<hash>/<arm>/seed-<s>``; returns where they went."""
        moved = []
        for folder, old in self._outdated():
            target = self.folder / "superseded" / old / folder.path.parent.name / folder.path.name
            number = 1
            while target.exists():
                number += 1
                target = target.with_name(f"{folder.path.name}.{number}")
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.path.rename(target)
            moved.append(target)
        return moved

    def _outdated(self) -> Iterator[tuple[RunFolder, str]]:
        for arm in self.arms:
            for seed in arm.seeds:
                folder, config = arm.run(seed)
                file = folder.path / "run.json"
                old = read_json(file).get("hash", "unknown") if file.exists() else None
                if old is not None and old != configs.digest(config):
                    yield folder, old


def make(
    experiment: Experiment,
    scale_name: str,
    seeds: Sequence[int],
    overrides: Sequence[str],
    runs: pathlib.Path,
) -> Sweep:
    """Resolves every arm's settings.

    Args:
      experiment: what is asked.
      scale_name: empty for the default one.
      seeds: empty for the scale's own.
      overrides: ``--config.key=value`` arguments, for all arms, made last.
      runs: the folder of all experiments' runs.

    Raises:
      UserError: an unknown scale or setting, or a value of the wrong type.
    """
    scale_name, scale = experiment.scale(scale_name)
    recipe = experiment.path.parent / scale.config
    base = configs.load(recipe)
    folder = runs / experiment.name / scale_name
    arms = []
    for name, changes in scale.arms.items():
        merged = {**scale.overrides, **changes}
        merged |= configs.parse(configs.override(base, merged), overrides)
        config = configs.override(base, merged)
        arms.append(Arm(name, recipe, merged, config, folder / name, tuple(seeds or scale.seeds)))
    return Sweep(experiment, scale_name, scale, folder, arms)


def _finished(folder: RunFolder, config: configs.ConfigDict) -> bool:
    file = folder.path / "run.json"
    if not file.exists() or read_json(file).get("hash") != configs.digest(config):
        return False
    try:
        return folder.status().get("state") == "finished"
    except (errors.UserError, json.JSONDecodeError):
        return False
