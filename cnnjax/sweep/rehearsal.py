"""What a sweep would do, without doing it."""

from rich.table import Table

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.sweep import measures, progress, words
from cnnjax.sweep.plan import Arm, Sweep
from cnnjax.train import loop, streamed
from cnnjax.train.program import Program

_HERE = {"execution.devices": 1, "dataset.classes": ()}
"""Of the devices that workers will have nothing is known; classes have been chosen already."""
ALONE = {"init.weights": "", "init.head": "", "init.added": ""}
"""Of weights that another arm has still to make, too."""


def check(arm: Arm) -> None:
    """Raises a `UserError` where training would refuse an arm's settings.

    Its program is made, of a few images, and not compiled. What depends on devices, or on another arm's weights, is left out.
    """
    if not arm.config.model.name:
        return  # the network is that of weights
    config = configs.override(arm.config, {**_HERE, **(ALONE if arm.source else {})})
    try:
        sets = {name: progress.examples(arm, name) for name in ("train", "test")}
        config = streamed.left(config) if config.execution.stream else config
        loop.check(Program(config, sets=sets), config)
    except errors.UserError as error:
        raise errors.UserError(f"arm {arm.name}: {error}") from None


def table(sweep: Sweep) -> Table:
    """Every arm with its parameters, what is to do, and for how long.

    Raises:
      UserError: a claim is about nothing that is measured, or training would refuse an arm, see :func:`check`.
    """
    measures.check_claims(sweep.claims)
    for arm in sweep.arms:
        check(arm)
    seconds, basis = progress.seconds(sweep)
    total = sum(seconds[arm.name] * len(arm.pending()) for arm in sweep.arms)
    view = Table(
        title=f"{sweep.experiment.name} · {sweep.scale_name}: what would run",
        caption=f"estimate: {basis}; all that is to do, one run after the other: {words.duration(total)}",
    )
    for name in ("arm", "parameters", "MACs", "seeds", "to do", "estimated s a run", "settings"):
        view.add_column(name, justify="right" if name not in ("arm", "settings") else "left", overflow="fold")
    for arm in sweep.arms:
        view.add_row(
            arm.name,
            *(f"{count:,}" for count in progress.size(arm)),
            str(len(arm.seeds)),
            str(len(arm.pending())),
            f"{seconds[arm.name]:.0f}",
            " ".join(f"{key}={value}" for key, value in arm.overrides.items()),
        )
    return view
