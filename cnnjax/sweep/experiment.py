"""An experiment: a question, the arms that can answer it, and the claims to be judged."""

import ast
import dataclasses
import itertools
import math
import pathlib
import re
import runpy
from collections.abc import Mapping, Sequence
from typing import Any

from cnnjax import config as configs
from cnnjax import errors

Overrides = Mapping[str, Any]
_FOLDER = r"(?!(superseded|plots|report\.html|experiment\.json|ensembles\.json)$)[a-z0-9][a-z0-9._=+-]*"
"""What can be a folder of runs: not what stands beside them."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A paper's claim as a linear contrast over arms.

    The contrast is the sum over roles of coefficient × metric, taken seed by seed. The claim says that it lies above a
    margin. "A is not worse than B" is non-inferiority: the contrast B − A with a negative margin. "A is below a bound" is the
    contrast −A above the bound's negative.

    Attributes:
      text: the claim in one sentence.
      metric: a column of the summary of a run, e.g. ``"train/error"`` (a fraction, not per cent); or ``"epochs to train/error
        0.25"``: the epoch of the first evaluation at which it was no larger; or what is measured of the trained network, see
        `cnnjax.sweep.measures`, e.g. ``"responses/deviation"``.
      contrast: coefficient of each role; every scale at which it is judged says which arm plays which role.
      above: the margin, in the unit of the metric.
      paper: what the source reports, shown beside what was measured.
      exact: whether it says of every network what follows from its construction. Then there is no chance in it: the worst
        seed decides.
      scales: those at which it is judged, where others cannot have arms for it; empty: all.
    """

    text: str
    metric: str
    contrast: Mapping[str, float]
    above: float = 0.0
    paper: str = ""
    exact: bool = False
    scales: Sequence[str] = ()


def milestone(metric: str) -> tuple[str, float] | None:
    """The metric that is waited for, and the level, if a metric is ``"epochs to train/error 0.25"`` or the like."""
    match = re.fullmatch(r"epochs to (\S+) (\d+(?:\.\d*)?)", metric)
    return (match[1], float(match[2])) if match else None


def measure(metric: str) -> str:
    """What is measured of the trained network for a metric; empty if training itself gives it."""
    name = metric.partition("/")[0]
    return "" if milestone(metric) or name in ("train", "test") else name


@dataclasses.dataclass(frozen=True)
class Scale:
    """The experiment at one size, named by its data set.

    Attributes:
      config: path of the recipe, relative to the experiment's file.
      arms: name → overrides of the recipe. The order is that of tables and plots.
      roles: role → arm or ensemble, for every role that a claim uses.
      seeds: the seeds that every arm is run with.
      overrides: what all arms of this scale change in the recipe.
      note: why this size, and what hardware it wants.
      recipes: arm → path of its recipe, for arms that start from another one than ``config``.
      ensembles: name → arms whose networks of a seed are asked together, soft-max averaged; they have a ``test/error``.
    """

    config: str
    arms: Mapping[str, Overrides]
    roles: Mapping[str, str]
    seeds: Sequence[int]
    overrides: Overrides = dataclasses.field(default_factory=dict)
    note: str = ""
    recipes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ensembles: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a file in ``experiments/`` defines under the name ``experiment``.

    Attributes:
      question: what is asked.
      source: paper, section, table or figure.
      scales: name → scale; the first one is the default.
      claims: what is judged.
      path: the file it came from.

    Raises:
      UserError: nothing to run, a name that is no folder name, seeds or arms named twice, a claim about an arm that there is
        not, or numbers of a contrast that compare nothing.
    """

    question: str
    source: str
    scales: Mapping[str, Scale]
    claims: Sequence[Claim]
    path: pathlib.Path = pathlib.Path()

    def __post_init__(self) -> None:
        _check_types("an experiment", self, question=str, source=str, scales=Mapping, claims=Sequence)
        self._check("an experiment", "scale", self.scales)
        for name, scale in self.scales.items():
            if not isinstance(scale, Scale):
                raise errors.UserError(f"the scale {name!r} is a Scale, not {type(scale).__name__}")
            types = {
                "config": str,
                "arms": Mapping,
                "roles": Mapping,
                "seeds": Sequence,
                "overrides": Mapping,
                "note": str,
            }
            _check_types(f"the scale {name!r}", scale, **types, recipes=Mapping, ensembles=Mapping)
            for arm, overrides in scale.arms.items():
                if not isinstance(overrides, Mapping):
                    raise errors.UserError(f"the arm {arm!r} is overrides by key, not {overrides!r}")
            self._check(f"the scale {name!r}", "arm", scale.arms)
            for arm in scale.recipes:
                if arm not in scale.arms:
                    raise errors.unknown(f"arm with a recipe of its own, in the scale {name!r}:", arm, scale.arms)
            for ensemble, members in scale.ensembles.items():
                if isinstance(members, str) or len(set(members)) < len(members):
                    raise errors.UserError(f"the ensemble {ensemble!r} is a list of arms, each once, not {members!r}")
                self._check(f"the ensemble {ensemble!r}", "arm", dict.fromkeys([*members, ensemble] if members else []))
                if ensemble in scale.arms:
                    raise errors.UserError(f"the scale {name!r} has an arm and an ensemble of the name {ensemble!r}")
                for arm in members:
                    if arm not in scale.arms:
                        raise errors.unknown(f"arm of the ensemble {ensemble!r}:", arm, scale.arms)
            if not scale.seeds:
                raise errors.UserError(f"the scale {name!r} has no seeds; there is at least one")
            if len(set(scale.seeds)) < len(scale.seeds) or not all(type(s) is int and s >= 0 for s in scale.seeds):
                raise errors.UserError(f"seeds are integers from 0 on, each once, not {tuple(scale.seeds)}")
        for claim in self.claims:
            _check_types(
                "a claim",
                claim,
                text=str,
                metric=str,
                contrast=Mapping,
                above=(int, float),
                paper=str,
                exact=bool,
                scales=Sequence,
            )
            self._check_contrast(claim)
            for name in claim.scales:
                if name not in self.scales:
                    raise errors.unknown(f"scale of the claim {claim.text!r}:", name, self.scales)
            for name, scale in self.scales.items():
                if claim not in self.claims_at(name):
                    continue
                played_by = [scale.roles.get(role) for role in claim.contrast]
                if len(set(played_by)) < len(played_by) and None not in played_by:
                    raise errors.UserError(
                        f"in the scale {name!r} one arm plays two roles of the claim {claim.text!r}: "
                        f"{', '.join(map(str, played_by))}"
                    )
                for role in claim.contrast:
                    played = scale.roles.get(role)
                    if played not in {*scale.arms, *scale.ensembles}:
                        raise errors.UserError(
                            f"scale {name!r} has no arm for the role {role!r} of the claim {claim.text!r}"
                        )
                    if played in scale.ensembles and claim.metric != "test/error":
                        raise errors.UserError(
                            f"an ensemble has a test/error and no {claim.metric}, as the claim {claim.text!r} wants it"
                        )

    @staticmethod
    def _check_contrast(claim: Claim) -> None:
        if not math.isfinite(claim.above):
            raise errors.UserError(f"the margin of the claim {claim.text!r} is a number, not {claim.above}")
        factors = [*claim.contrast.values()]
        what = f"the contrast of the claim {claim.text!r}"
        if not factors or not all(isinstance(each, int | float) and math.isfinite(each) and each for each in factors):
            raise errors.UserError(f"{what} gives each of its roles a number other than 0, not {dict(claim.contrast)}")
        if len(factors) > 1 and not math.isclose(sum(factors), 0, abs_tol=1e-9):
            raise errors.UserError(f"{what} compares arms, so its numbers sum to 0; {dict(claim.contrast)} do not")

    @staticmethod
    def _check(owner: str, kind: str, names: Mapping[str, Any]) -> None:
        if not names:
            raise errors.UserError(f"{owner} has no {kind}s; there is at least one")
        for name in names:
            if not re.fullmatch(_FOLDER, name):
                raise errors.UserError(
                    f"the name of {'an' if kind == 'arm' else 'a'} {kind} is a folder name of [a-z0-9._=+-], and none "
                    f"of a sweep's own files, not {name!r}"
                )

    def claims_at(self, scale: str) -> tuple[Claim, ...]:
        """The claims that are judged at the named scale."""
        return tuple(claim for claim in self.claims if not claim.scales or scale in claim.scales)

    def measures(self, scale: str, arm: str) -> tuple[str, ...]:
        """What is measured of an arm's trained networks at the named scale, for the claims that are about it."""
        roles = self.scales[scale].roles
        about = [claim for claim in self.claims_at(scale) if arm in {roles.get(role) for role in claim.contrast}]
        return tuple(dict.fromkeys(filter(None, (measure(claim.metric) for claim in about))))

    @property
    def name(self) -> str:
        """The stem of the file, which is also the folder of the runs."""
        return self.path.stem

    def scale(self, name: str = "") -> tuple[str, Scale]:
        """The named scale, or the default one, with its name."""
        name = name or next(iter(self.scales))
        if name not in self.scales:
            raise errors.unknown("scale", name, self.scales)
        return name, self.scales[name]


def _check_types(owner: str, of: Any, **types: Any) -> None:
    for name, kind in types.items():
        value = getattr(of, name)
        if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str)):
            wanted = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
            raise errors.UserError(f"{name!r} of {owner} is of type {wanted}, not {type(value).__name__}: {value!r}")


def load(path: str | pathlib.Path) -> Experiment:
    """Runs an experiment's file and returns what it defines.

    Raises:
      UserError: there is no such file, it cannot be run, or it defines no ``experiment``.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        folder = path if path.is_dir() else path.parent
        near = [str(p) for p in sorted(folder.glob("*.py"))] if folder.is_dir() else []
        raise errors.unknown("experiment file", str(path), near)
    with configs.running(path):
        experiment = runpy.run_path(str(path)).get("experiment")
    if not isinstance(experiment, Experiment):
        raise errors.UserError(
            f"{path}: an experiment's file defines `experiment = Experiment(...)`; this one does not"
        )
    return dataclasses.replace(experiment, path=path.resolve())


def defined(path: str | pathlib.Path) -> bool:
    """Whether a file defines an experiment, and is no recipe, by its text: it is not run."""
    try:
        body = ast.parse(pathlib.Path(path).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return False
    names = [target for line in body if isinstance(line, ast.Assign) for target in line.targets]
    return any(isinstance(name, ast.Name) and name.id == "experiment" for name in names)


def product(**axes: Mapping[str, Overrides]) -> dict[str, dict[str, Any]]:
    """All combinations of named overrides: the names joined by ``-``, the overrides merged.

    >>> product(kind={"plain": {"model.shortcut": "none"}}, depth={"20": {"model.depth": 20}})
    {'plain-20': {'model.shortcut': 'none', 'model.depth': 20}}
    """
    arms = {}
    for choice in itertools.product(*(axis.items() for axis in axes.values())):
        merged: dict[str, Any] = {}
        for _, overrides in choice:
            merged.update(overrides)
        arms["-".join(name for name, _ in choice)] = merged
    return arms
