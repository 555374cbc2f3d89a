"""What a sweep has to do: every run of an experiment at a scale, and which of them are done."""

import dataclasses
import hashlib
import itertools
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnjax import config as configs
from cnnjax import errors, files
from cnnjax.sweep import record
from cnnjax.sweep.experiment import Claim, Experiment, Scale
from cnnjax.train import transfer
from cnnjax.train.run import RunFolder, read_json

MARKER = "experiment.json"
"""In the folder of a scale's runs: whose they are, and what the last sweep was asked."""


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
      source: the arm whose weights it begins with, seed by seed; empty for none.
      measures: what is measured of each trained network, see `cnnjax.sweep.measures`.
    """

    name: str
    recipe: pathlib.Path
    overrides: Mapping[str, Any]
    config: configs.ConfigDict
    folder: pathlib.Path
    seeds: Sequence[int]
    source: str = ""
    measures: Sequence[str] = ()

    @property
    def log(self) -> pathlib.Path:
        """What its workers have printed."""
        return self.folder / "worker.log"

    def run(self, seed: int) -> tuple[RunFolder, configs.ConfigDict]:
        """The folder and the settings of one run."""
        return RunFolder(self.folder / f"seed-{seed}"), configs.override(self.config, {"seed": seed})

    def pending(self) -> list[int]:
        """Seeds whose run is not finished with these settings."""
        return [seed for seed in self.seeds if not self.finished(seed)]

    def digest(self, seed: int) -> str:
        """Stands for the settings of one run."""
        return configs.digest(self.run(seed)[1])

    def finished(self, seed: int) -> bool:
        """Whether nothing of one run is left to do."""
        found = record.read(self.run(seed)[0].path)
        return found.finished and found.hash == self.digest(seed) and not found.lacking(self.measures)

    def outdated(self) -> Iterator[tuple[pathlib.Path, str]]:
        """Runs that are there with other settings, of whatever seed, and the hash of those; ``"unknown"`` if damaged."""
        for folder in sorted(self.folder.glob("seed-*")):
            seed = re.fullmatch(r"seed-(0|[1-9]\d*)", folder.name)
            if seed and (folder / "run.json").exists():
                found = record.read(folder).hash
                if found != self.digest(int(seed[1])):
                    yield folder, found or "unknown"


@dataclasses.dataclass(frozen=True)
class Sweep:
    """An experiment at one scale.

    Attributes:
      experiment: what is asked.
      scale_name: which scale.
      scale: it.
      folder: ``<runs>/<experiment>/<scale>``.
      arms: in the scale's order.
      seeds: those asked for; empty for the scale's own.
      arguments: ``--config.key=value`` arguments for all arms.
      looks: numbers of seeds at which the claims are judged, until all are decided; none: once, with all seeds.
    """

    experiment: Experiment
    scale_name: str
    scale: Scale
    folder: pathlib.Path
    arms: Sequence[Arm]
    seeds: Sequence[int] = ()
    arguments: Sequence[str] = ()
    looks: Sequence[int] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Those that are judged at this scale."""
        return self.experiment.claims_at(self.scale_name)

    def equal_arms(self) -> list[list[str]]:
        """Names of arms that settings for all have made the same, in groups."""
        groups: dict[str, list[str]] = {}
        for arm in self.arms:
            groups.setdefault(configs.digest(arm.config), []).append(arm.name)
        return [names for names in groups.values() if len(names) > 1]

    def claim_folder(self) -> None:
        """Marks the folder as this experiment's, and leaves in it what `last` needs.

        Raises:
          UserError: it is another experiment's, or holds something else.
        """
        marker = self.folder / MARKER
        found: dict[str, Any] = {}
        if marker.exists():
            found = _marked(marker)
            theirs = found.get("experiment"), found.get("scale")
            if theirs != (self.experiment.name, self.scale_name):
                name = " · ".join(map(str, theirs))
                raise errors.UserError(
                    f"{self.folder} holds the runs of another experiment ({name}); name another --runs"
                )
        elif self.folder.is_dir() and any(self.folder.glob("[!.]*")):
            raise errors.UserError(
                f"{self.folder} is not empty and holds no runs of an experiment; name another --runs"
            )
        plan = self._plan()
        before = [*_former(found, marker), *([found["plan"]] if "plan" in found else [])]
        asked = {
            "experiment": self.experiment.name,
            "scale": self.scale_name,
            "question": self.experiment.question,
            "seeds": list(self.seeds),
            "arguments": list(self.arguments),
            "looks": list(self.looks),
            "plan": plan,
            "former": [each for each in before if each != plan],
        }
        if asked != found:
            files.write_json(marker, asked)

    def former(self) -> list[list[int]]:
        """At how many seeds the claims were judged before by other plans for the same settings, plan by plan."""
        marker = self.folder / MARKER
        if not marker.exists():
            return []
        plan = self._plan()
        before = [each for each in _former(_marked(marker), marker) if each["settings"] == plan["settings"]]
        return [each["looks"] for each in before if each != plan]

    def _plan(self) -> dict[str, Any]:
        """When its claims are judged: what stands for its settings, the seeds to begin with, and how many at each look."""
        settings = hashlib.sha256(" ".join(f"{arm.name} {arm.digest(0)}" for arm in self.arms).encode()).hexdigest()[
            :16
        ]
        seeds = list(self.seeds or self.scale.seeds)
        looks = list(self.looks) or [len(seeds)]
        return {"settings": settings, "seeds": seeds[: looks[0]], "looks": looks}

    def supersede(self) -> list[pathlib.Path]:
        """Moves runs with other settings to ``superseded/<hash>/<arm>/seed-<s>``; returns where they went."""
        moved = []
        for arm in self.arms:
            for folder, old in list(arm.outdated()):
                target = self.folder / "superseded" / old / arm.name / folder.name
                number = 1
                while target.exists():
                    number += 1
                    target = target.with_name(f"{folder.name}.{number}")
                target.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(target)
                moved.append(target)
        return moved


def make(
    experiment: Experiment,
    scale_name: str,
    seeds: Sequence[int],
    overrides: Sequence[str],
    runs: pathlib.Path,
    looks: Sequence[int] = (),
) -> Sweep:
    """Resolves every arm's settings.

    Args:
      experiment: what is asked.
      scale_name: empty for the default one.
      seeds: empty for the scale's own.
      overrides: ``--config.key=value`` arguments, for all arms, made last.
      runs: the folder of all experiments' runs.
      looks: see :class:`Sweep`.

    Raises:
      UserError: an unknown scale or setting, or a value of the wrong type.
    """
    scale_name, scale = experiment.scale(scale_name)
    folder = runs / experiment.name / scale_name
    arms: dict[str, Arm] = {}
    recipes = {name: experiment.path.parent / scale.recipes.get(name, scale.config) for name in scale.arms}
    bases = {recipe: configs.load(recipe) for recipe in dict.fromkeys(recipes.values())}
    for name, changes in scale.arms.items():
        base = bases[recipes[name]]
        merged = {**scale.overrides, **changes}
        merged |= configs.parse(configs.override(base, merged), overrides)
        config = configs.override(base, merged)
        source = transfer.ARM.fullmatch(config.init.weights)
        if source and source[1] not in arms:
            raise errors.unknown(f"arm that {name!r} begins with (those before it):", source[1], arms)
        if source:
            # With what the other arm is: where its settings change, this one's do.
            merged["init.weights"] = f"arm:{source[1]}@{configs.digest(arms[source[1]].config)}"
            config = configs.override(base, merged)
        origin = source[1] if source else ""
        arms[name] = Arm(
            name,
            recipes[name],
            merged,
            config,
            folder / name,
            tuple(seeds or scale.seeds),
            origin,
            experiment.measures(scale_name, name),
        )
    return Sweep(
        experiment, scale_name, scale, folder, tuple(arms.values()), tuple(seeds), tuple(overrides), tuple(looks)
    )


def rounds(seeds: Sequence[int], most: int | None) -> list[tuple[int, ...]]:
    """The seeds of every round, if as many again are added until there are ``most``; one round without that number.

    Raises:
      UserError: there are more to begin with.
    """
    if most is None:
        return [tuple(seeds)]
    if most < 2:
        raise errors.UserError("--until-decided 1 decides nothing: an interval takes two seeds")
    if most < len(seeds):
        raise errors.UserError(
            f"--until-decided {most} is below the {len(seeds)} seeds to begin with; --seeds names others"
        )
    fresh = (each for each in itertools.count() if each not in seeds)
    every = (*seeds, *itertools.islice(fresh, most - len(seeds)))
    return [every[:count] for count in (*range(len(seeds), most, len(seeds)), most)]


def last(experiment: Experiment, scale_name: str, runs: pathlib.Path) -> Sweep:
    """The sweep as it was last run in its folder: with the seeds and the arguments that it was given then.

    Raises:
      UserError: as `make`, or the folder's record is damaged.
    """
    sweep = make(experiment, scale_name, (), (), runs)
    marker = sweep.folder / MARKER
    if not marker.exists():
        return sweep
    seeds, arguments, looks = _asked(marker)
    try:
        return make(experiment, sweep.scale_name, seeds, arguments, runs, looks)
    except errors.UserError as error:
        raise errors.UserError(f"{marker}: {error}") from None


def planned(sweep: Sweep) -> tuple[list[int], list[int]]:
    """The seeds and the looks that were planned for its settings when it was last run in its folder; none: empty.

    Raises:
      UserError: the folder's record is damaged.
    """
    marker = sweep.folder / MARKER
    if not marker.exists():
        return [], []
    seeds, _, looks = _asked(marker)
    same = make(sweep.experiment, sweep.scale_name, seeds, sweep.arguments, sweep.folder.parents[1], looks)._plan()
    return (seeds, looks) if looks and _marked(marker).get("plan") == same else ([], [])


def _asked(marker: pathlib.Path) -> tuple[list[int], list[str], list[int]]:
    """Seeds, arguments and looks."""
    found = _marked(marker)
    seeds, arguments, looks = (found.get(key, []) for key in ("seeds", "arguments", "looks"))
    for values, kind in ((seeds, int), (arguments, str), (looks, int)):
        if not isinstance(values, list) or not all(type(value) is kind for value in values):
            raise errors.UserError(f"{marker} is damaged: {values!r} is no list of {kind.__name__}")
    if len(set(seeds)) < len(seeds) or min(seeds, default=0) < 0:
        raise errors.UserError(f"{marker} is damaged: seeds are integers from 0 on, each once, not {seeds}")
    if any(now <= before for before, now in itertools.pairwise([0, *looks])):
        raise errors.UserError(f"{marker} is damaged: numbers of seeds grow from look to look, and {looks} do not")
    return seeds, arguments, looks


def _former(found: Mapping[str, Any], marker: pathlib.Path) -> list[dict[str, Any]]:
    former = found.get("former", [])
    kinds = {"settings": str, "seeds": list, "looks": list}
    if not isinstance(former, list) or not all(
        isinstance(each, dict) and each.keys() == kinds.keys() and all(isinstance(each[k], v) for k, v in kinds.items())
        for each in former
    ):
        raise errors.UserError(f"{marker} is damaged: {str(former)[:60]!r} is no list of plans")
    return list(former)


def _marked(marker: pathlib.Path) -> dict[str, Any]:
    try:
        return read_json(marker)
    except ValueError as error:  # not even text
        raise errors.UserError(f"{marker} is damaged: {error}") from None
