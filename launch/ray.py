"""``python -m launch.ray``: runs an experiment on a Ray cluster, one actor an arm."""

import argparse
import contextlib
import dataclasses
import os
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnjax import arguments, errors
from cnnjax.sweep import pool
from cnnjax.sweep.plan import Arm, Sweep
from cnnjax.sweep.work import Work
from launch import command

# For a cluster that is started here: it reports to nobody, and training is what its machine is for (Ray's niceness is 15).
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    return command.main("ray", "run an experiment, or what is left of it, on a Ray cluster", _add, _pool, words)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", help="of a running cluster; default: $RAY_ADDRESS, else one is started here")
    parser.add_argument("--cores", type=arguments.count, default=1, help="CPU cores of each worker; default: 1")
    parser.add_argument("--gpus", type=arguments.position, default=0, help="GPUs of each worker; default: 0")
    parser.add_argument("--tpus", type=arguments.position, default=0, help="TPU chips of each worker; default: 0")
    parser.add_argument(
        "--retries",
        type=arguments.position,
        default=command.RETRIES,
        help=f"of an arm whose worker was lost; default: {command.RETRIES}",
    )


def _pool(options: argparse.Namespace) -> pool.Open:
    command.need("ray", "ray")
    wanted = {"CPU": options.cores, "GPU": options.gpus, "TPU": options.tpus}
    wanted = {name: count for name, count in wanted.items() if count}

    @contextlib.contextmanager
    def opened(sweep: Sweep) -> Iterator[Ray]:
        import ray

        # "local" is a cluster of its own: without an address Ray tries the last one here for minutes, also where that is dead.
        address = options.address or os.environ.get("RAY_ADDRESS") or "local"
        try:
            _knock(address)
            with warnings.catch_warnings():
                # JAX warns of a fork beside its threads; what Ray forks becomes another program at once.
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
        except (OSError, ValueError, RuntimeError) as error:
            raise errors.UserError(
                f"no Ray cluster answers at {address}: {error}; one with a token wants RAY_AUTH_MODE=token, and its own token"
            ) from error
        try:
            yield Ray(sweep, wanted, options.workers or len(sweep.arms), options.retries)
        finally:
            ray.shutdown()

    return opened


class Ray:
    """Workers on the nodes of the cluster that this process is connected to; Ray says where, and when.

    Args:
      sweep: whose arms they train.
      wanted: what each takes of a node: resource → amount.
      at_once: how many are asked for at a time.
      retries: see `pool.Pool`.

    Raises:
      UserError: no node has what a worker takes.
    """

    def __init__(self, sweep: Sweep, wanted: Mapping[str, int], at_once: int, retries: int) -> None:
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        have = [{name: node.get(name, 0) for name in ("CPU", "GPU", "TPU")} for node in nodes]
        if not any(all(node[name] >= amount for name, amount in wanted.items()) for node in have):
            raise errors.UserError(f"no node of the cluster has {_words(wanted)}; there are: {_each(have)}")
        fit = sum(min(int(node[name] // amount) for name, amount in wanted.items()) for node in have)
        self.at_once, self.retries = at_once, retries
        self.words = f"{min(at_once, fit)} at a time on {len(have)} Ray node{'s' if len(have) > 1 else ''}"
        self._sweep, self._wanted = sweep, wanted

    def start(self, tasks: Sequence[pool.Task]) -> list["Worker"]:
        """Has an actor for each task wait for its resources."""
        return [self._start(task) for task in tasks]

    def _start(self, task: pool.Task) -> "Worker":
        import ray

        own = {name: amount for name, amount in self._wanted.items() if name not in ("CPU", "GPU")}
        # Two calls at a time: it is told to stop while it trains.
        actor = ray.remote(
            num_cpus=self._wanted.get("CPU", 0),
            num_gpus=self._wanted.get("GPU", 0),
            resources=own,
            max_concurrency=2,
            max_restarts=0,
        )(Work)
        given = command.work(self._sweep, task, self._wanted["CPU"])
        return Worker(*task, actor.remote(**dataclasses.asdict(given)))


class Worker:
    """An actor at work on an arm. It ends with the process that started it, with its node, and with its host process.

    Attributes:
      arm: what it trains.
      seeds: which runs of it.
    """

    def __init__(self, arm: Arm, seeds: Sequence[int], actor: Any) -> None:
        self.arm, self.seeds = arm, seeds
        self._actor, self._result = actor, actor.__call__.remote()

    def end(self) -> pool.End | None:
        """See `pool.Worker`."""
        import ray

        if not ray.wait([self._result], timeout=0)[0]:
            return None
        try:
            found = pool.end(self.arm, ray.get(self._result))
        except ray.exceptions.RayTaskError as error:
            found = pool.End(command.reason(str(error)))
        except ray.exceptions.RayError as error:
            found = pool.End(f"its node or its host process was lost ({type(error).__name__})", lost=True)
        self.kill()
        return found

    def stop(self) -> None:
        """Asks it to save and to end; one that waits for resources does not begin."""
        self._actor.stop.remote()

    def kill(self) -> None:
        """Ends it without saving."""
        import ray

        ray.kill(self._actor)


def _knock(address: str) -> None:
    """Raises an `OSError` where nothing listens at ``HOST:PORT``: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _words(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in resources.items() if amount) or "nothing"


def _each(nodes: Sequence[Mapping[str, float]]) -> str:
    return "; ".join(map(_words, nodes)) or "none"


if __name__ == "__main__":
    sys.exit(main())
