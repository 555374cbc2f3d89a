"""The training step against PyTorch's, on the same cores, in one run."""

import contextlib
import dataclasses
import pathlib
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich import box
from rich.table import Table

from cnnjax import errors, machine
from cnnjax.bench.peer import Peer, take_turns

SCRIPT = pathlib.Path(__file__).with_name("torch_peer.py")
MODES = ("nchw", "channels_last", "compile")


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and the images it is trained on.

    Attributes:
      name: for the table.
      network: of :func:`cnnjax.models.create`.
      size: of the square images, in pixels.
      required: the ratio that must not be lost, see :attr:`Result.ratio`; 0 where none has been reached and kept yet.
      batch: images a step.
    """

    name: str
    network: dict[str, Any]
    size: int
    required: float
    batch: int = 128


def _resnet(depth: int, size: int, required: float) -> Case:
    return Case(
        f"ResNet-{depth}, {size}×{size}",
        {"name": "resnet_cifar", "depth": depth, "scan": True, "keep": "convolutions"},
        size,
        required,
    )


_RESNET18 = {"name": "resnet18", "shortcut": "B", "num_classes": 10, "scan": True, "keep": "convolutions"}
CASES = (
    _resnet(20, 8, 1.0),
    _resnet(56, 8, 1.0),
    _resnet(20, 32, 0.7),
    _resnet(56, 32, 0.7),
    Case("VGG-16-BN, 32×32", {"name": "vgg16_bn", "hidden": 512, "num_classes": 10}, 32, 0.0),
    Case("ResNet-18, 64×64", _RESNET18, 64, 0.0),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What one case took.

    Attributes:
      case: what was run.
      ours: seconds a step, of each turn.
      theirs: mode → the same, of PyTorch.
      versions: of both.
      failed: mode → why it could not be run.
    """

    case: Case
    ours: list[float]
    theirs: dict[str, list[float]]
    versions: tuple[str, ...]
    failed: dict[str, str]

    @property
    def ratio(self) -> float:
        """PyTorch's best median over ours: above one where ours is faster."""
        return min(map(statistics.median, self.theirs.values())) / statistics.median(self.ours)


def compare(
    case: Case,
    torch_python: str,
    form: str,
    turns: int,
    say: Callable[[str], None],
    modes: Sequence[str] = MODES,
) -> Result:
    """Times ours and PyTorch's in turn: A B C A B C ...

    Args:
      case: what to run.
      torch_python: the Python of an environment with torch.
      form: of our convolutions, see `cnnjax.nn.conv`.
      turns: of each.
      say: takes one line for the user.
      modes: of PyTorch.

    Raises:
      UserError: PyTorch runs in no mode, or ours does not run, or the two are not the same network.
    """
    request = {"size": case.size, "batch": case.batch, "cores": machine.cores()}
    # How a stage is compiled here is nothing to PyTorch.
    network = {key: value for key, value in case.network.items() if key not in ("scan", "keep")}
    failed = {}
    with contextlib.ExitStack() as opened:
        peers: dict[str, Peer] = {}
        for mode in modes:
            try:
                theirs = {**request, "network": network, "mode": mode, "threads": len(machine.cores())}
                peers[mode] = opened.enter_context(Peer(f"torch, {mode}", [torch_python, str(SCRIPT)], theirs))
            except errors.UserError as error:
                failed[mode] = str(error)
                say(f"{case.name}: {error}")
        if not peers:
            raise errors.UserError(f"PyTorch does not run: {next(iter(failed.values()))}")
        ours = {**request, "network": case.network, "form": form}
        peers[""] = opened.enter_context(Peer("cnnjax", [sys.executable, "-m", "cnnjax.bench.jax_peer"], ours))
        times = take_turns(peers, turns)
        if len({peer.info["parameters"] for peer in peers.values()}) > 1:
            counts = ", ".join(f"{peer.info['parameters']:,} ({peer.name})" for peer in peers.values())
            raise errors.UserError(f"{case.name}: not the same network on both sides, by its parameters: {counts}")
        versions = tuple(dict.fromkeys(peer.info["version"] for peer in reversed(peers.values())))
    return Result(case, times.pop(""), times, versions, failed)


def table(results: Sequence[Result]) -> Table:
    """Milliseconds a step, median and below it lowest to highest turn, and the ratio, for a terminal."""
    title = f"a training step, batch {results[0].case.batch}, {len(machine.cores())} cores, ms"
    view = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("network", "cnnjax", *MODES, "ratio"):
        view.add_column(name, justify="left" if name == "network" else "right", no_wrap=True)
    for result in results:
        theirs = [_spread(result.theirs[mode]) if mode in result.theirs else "did not run" for mode in MODES]
        ratio = f"{result.ratio:.2f}" + (f"\n≥ {result.case.required:.1f}" if result.case.required else "")
        view.add_row(result.case.name, _spread(result.ours), *theirs, ratio)
    view.caption = f"{', '.join(results[0].versions)}; ratio: the best of PyTorch over cnnjax, and what is wanted"
    return view


def _spread(seconds: Sequence[float]) -> str:
    low, middle, high = (1e3 * each for each in (min(seconds), statistics.median(seconds), max(seconds)))
    digits = 1 if high < 100 else 0
    return f"{middle:.{digits}f}\n{low:.{digits}f}–{high:.{digits}f}"
