"""Images a second from JPEG files to batches on the host, beside other libraries' loaders on the same files, in one run."""

import contextlib
import dataclasses
import importlib.resources
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image
from rich import box
from rich.table import Table

from cnnjax import data, errors, machine
from cnnjax.bench.peer import Peer, take_turns

FILES, WIDTH, HEIGHT, QUALITY = 512, 500, 375, 95
"""JPEG files of ImageNet's usual size, about 110 kB each."""
SIDE, BATCH = 224, 64
TURN_S = 4.0
"""A turn is long beside what a loader holds ready."""
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)
"""Of what is cropped at random: Szegedy et al. 2014, §6."""

_HERE = pathlib.Path(__file__).parent
_NAME = "photographs_as_files"


@dataclasses.dataclass(frozen=True)
class Loader:
    """A way from files to batches.

    Attributes:
      name: for the table.
      command: after the Python that runs it.
      ours: whether this Python runs it, or the one that has the others' libraries.
      processes: whether a process for each core reads; else threads do.
    """

    name: str
    command: tuple[str, ...]
    ours: bool = True
    processes: bool = False


_PEER = ("-m", "cnnjax.bench.input_peer")
LOADERS = (
    Loader("cnnjax, threads", _PEER),
    Loader("cnnjax, processes", _PEER, processes=True),
    Loader("torch DataLoader", (str(_HERE / "torch_input_peer.py"),), ours=False, processes=True),
    Loader("tf.data", (str(_HERE / "tensorflow_input_peer.py"),), ours=False, processes=True),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured.

    Attributes:
      rates: loader → images a second of each turn.
      versions: of the libraries.
      failed: loader → why it could not be run.
    """

    rates: dict[str, list[float]]
    versions: tuple[str, ...]
    failed: dict[str, str]

    def ratio(self, name: str) -> float:
        """The best of ours over a loader, medians: above one where ours is faster."""
        ours = max(statistics.median(self.rates[each.name]) for each in LOADERS if each.ours)
        return ours / statistics.median(self.rates[name])


def measure(python: str, turns: int, say: Callable[[str], None], files: int = FILES, batch: int = BATCH) -> Result:
    """Times all loaders, a turn of each after the other.

    Args:
      python: of an environment with torch, TensorFlow, or both.
      turns: of each.
      say: takes one line for the user.
      files: how many there are.
      batch: images of one.
    """
    cores = len(machine.cores())
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as opened:
        root = pathlib.Path(place)
        write(root / "files", files)
        data.prepare_folder(_NAME, root / "files", 0, (0, 0, 100), root / "sets")
        request: dict[str, Any] = {
            "folder": str(root / "files"),
            "data_dir": str(root / "sets"),
            "name": _NAME,
            "side": SIDE,
            "area": AREA,
            "aspect": ASPECT,
            "batch": batch,
            "ahead": 4 * cores,  # more than any of them has read between two turns
        }
        peers, failed = {}, {}
        for loader in LOADERS:
            command = [sys.executable if loader.ours else python, *loader.command]
            try:
                asked = {**request, "workers": cores if loader.processes else 0}
                peers[loader.name] = opened.enter_context(Peer(loader.name, command, asked))
            except errors.UserError as error:
                failed[loader.name] = str(error)
                say(str(error))
        times = take_turns(peers, turns, TURN_S)
        versions = tuple(dict.fromkeys(peer.info["version"] for peer in peers.values()))
    return Result({name: [batch / each for each in seconds] for name, seconds in times.items()}, versions, failed)


def write(folder: pathlib.Path, count: int) -> None:
    """JPEG files in two class folders, parts of scikit-learn's two photographs."""
    source = importlib.resources.files("sklearn.datasets.images")
    for label, name in enumerate(("china.jpg", "flower.jpg")):
        (folder / str(label)).mkdir(parents=True)
        with Image.open(str(source / name)) as opened:
            whole = opened.convert("RGB")
        for number in range(label, count, 2):
            left, top = 7 * number % (whole.width - WIDTH + 1), 3 * number % (whole.height - HEIGHT + 1)
            part = whole.crop((left, top, left + WIDTH, top + HEIGHT))
            part.save(folder / str(label) / f"{number}.jpg", quality=QUALITY)


def table(result: Result) -> Table:
    """Images a second, a core, and by how much ours is faster, for a terminal."""
    cores = len(machine.cores())
    title = f"JPEG files of {WIDTH}×{HEIGHT}, cropped by area to {SIDE}×{SIDE}, {cores} cores"
    view = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("loader", "images/s", "low–high", "images/s a core", "ratio"):
        view.add_column(name, justify="left" if name == "loader" else "right", no_wrap=True)
    for loader in LOADERS:
        if loader.name in result.failed:
            view.add_row(loader.name, "did not run")
            continue
        rates: Sequence[float] = result.rates[loader.name]
        middle = statistics.median(rates)
        spread = f"{min(rates):,.0f}–{max(rates):,.0f}"
        view.add_row(
            loader.name, f"{middle:,.0f}", spread, f"{middle / cores:,.0f}", f"{result.ratio(loader.name):.2f}"
        )
    view.caption = f"{', '.join(result.versions)}; ratio: the best of cnnjax over it"
    return view
