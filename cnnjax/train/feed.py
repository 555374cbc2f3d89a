"""Where the batches of a program come from: what the devices' own memory and streams have in common."""

from typing import TYPE_CHECKING, Any, Protocol

from cnnjax.train.step import Sums

if TYPE_CHECKING:
    from cnnjax.train.state import TrainState

Kind = tuple[bool, int]
"""Of a step: whether parameters are held fast, and the side that images are resized to, or 0."""


class Feed(Protocol):
    """Runs a program's steps on batches of its training set, and its evaluation on either set.

    Attributes:
      waited_s: seconds that the devices had nothing to do because no batch was there, so far.
    """

    waited_s: float

    def run(
        self, kind: Kind, train_state: "TrainState", sums: Sums, done: int, count: int, scale: float
    ) -> tuple["TrainState", Sums]:
        """Steps of one kind, within one epoch; see `cnnjax.train.program.Program.run`."""

    def evaluate(self, variables: Any, name: str) -> Sums:
        """The metric's sums over ``"train"`` or ``"test"``, on the devices."""

    def close(self) -> None:
        """Ends what reads ahead; what is asked for afterwards is read anew."""
