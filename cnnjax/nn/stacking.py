"""Stages of identical blocks, unrolled or scanned, and the names that hide which.

A scanned stage traces and compiles its identical blocks once, however many there are. It holds one leaf a parameter for
all of them, stacked along the first axis, under a key that says which blocks: ``block2_to_9``. Outside of state and
checkpoints only the unstacked names are seen (``stage2/block7/conv1``): :func:`unstack` and :func:`stack` convert.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import errors
from cnnjax.nn.conv import CONVOLUTION
from cnnjax.nn.rows import Settings

KEPT = {
    "all": None,
    "convolutions": jax.checkpoint_policies.save_only_these_names(CONVOLUTION),
    "blocks": jax.checkpoint_policies.nothing_saveable,
}
"""What of a stage is kept for the backward pass, beside the inputs of its blocks: all that derivatives need, the results of
convolutions (normalisation and activation are computed again: cheaper than to write and read them), or nothing."""

_STACKED = re.compile(r"block(\d+)_to_(\d+)")


class Buildable(Protocol):
    """A block, as data; see `cnnjax.nn.shortcut.Block`."""

    def module(self, settings: Settings, name: str) -> nn.Module:
        """The block under a name, to be applied to ``x``."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A row of a network's table: ``block1``, which may change the shape, then identical blocks that keep it.

    Attributes:
      name: of the scope.
      first: the first block.
      rest: what the others are.
      blocks: how many in all.
      scan: whether the others are one scanned block with stacked parameters.
      keep: what is kept for the backward pass, see :data:`KEPT`.
    """

    name: str
    first: Buildable
    rest: Buildable
    blocks: int
    scan: bool = False
    keep: str = "all"

    def __call__(self, x: jax.Array, settings: Settings) -> jax.Array:
        return _Stage(self, settings, name=self.name)(x)


class _Stage(nn.Module):
    stage: Stage
    settings: Settings

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        stage = self.stage

        def run(block: nn.Module, x: jax.Array) -> jax.Array:
            return block(x)

        def kept(in_loop: bool) -> Callable[[nn.Module, jax.Array], jax.Array]:
            if stage.keep == "all":
                return run
            # Outside of a loop the compiler would merge what is computed again with the first time.
            return nn.remat(run, policy=KEPT[stage.keep], prevent_cse=not in_loop)

        once = kept(in_loop=False)
        x = once(stage.first.module(self.settings, "block1"), x)
        if not stage.scan or stage.blocks < 3:
            for number in range(2, stage.blocks + 1):
                x = once(stage.rest.module(self.settings, f"block{number}"), x)
            return x
        repeated = kept(in_loop=True)
        every = nn.scan(
            lambda block, x, _: (repeated(block, x), None),
            variable_axes={"params": 0, "batch_stats": 0, "intermediates": 0},
            split_rngs={"params": True, "dropout": True},
            length=stage.blocks - 1,
        )
        return every(stage.rest.module(self.settings, f"block2_to_{stage.blocks}"), x, None)[0]


def unstack(tree: Any) -> Any:
    """The same tree with every scanned stage's stacked leaves given block by block.

    Args:
      tree: any pytree with dictionaries of parameters, statistics or the like in it; leaves are arrays or shapes.

    Raises:
      UserError: a stacked leaf does not hold as many blocks as its key says.
    """
    return jax.tree.map(lambda node: _unstack(node) if isinstance(node, dict) else node, tree, is_leaf=_is_dict)


def stack(tree: Any, like: Any) -> Any:
    """The inverse of :func:`unstack`: ``tree`` in the form of ``like``, a tree that a model's ``init`` has made."""
    return jax.tree.map(
        lambda form, node: _stack(node, form) if isinstance(form, dict) else node, like, tree, is_leaf=_is_dict
    )


def names(tree: Any) -> dict[str, Any]:
    """Leaves of a nested dictionary by their unstacked path: ``{"stage2/block7/conv1/kernel": ...}``."""
    paths, _ = jax.tree_util.tree_flatten_with_path(unstack(tree))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}


def marked(params: Any, decide: Callable[[str], float]) -> Any:
    """A number for each parameter, as a tree like ``params`` of arrays that broadcast to it.

    Args:
      params: parameters or their shapes; the leaves of scanned stages are stacked, and get a number a block.
      decide: unstacked name → number.
    """
    # Shapes for leaves and numpy for numbers: in a traced step neither may cost an operation a block.
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), params)
    each = [np.full((1,) * leaf.ndim, decide(name), np.float32) for name, leaf in names(shapes).items()]
    return stack(jax.tree.unflatten(jax.tree.structure(unstack(shapes)), each), like=params)


def _is_dict(node: Any) -> bool:
    return isinstance(node, dict)


def _blocks(key: str) -> range | None:
    match = _STACKED.fullmatch(key)
    return range(int(match[1]), int(match[2]) + 1) if match else None


def _slice(leaf: Any, index: int) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
    return leaf[index]


def _together(*leaves: Any) -> Any:
    return (np if isinstance(leaves[0], np.ndarray) else jnp).stack(leaves)


def _unstack(tree: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, node in tree.items():
        node = _unstack(node) if isinstance(node, dict) else node
        blocks = _blocks(key)
        if blocks is None:
            flat[key] = node
        else:
            for leaf in jax.tree.leaves(node):
                if leaf.shape[:1] != (len(blocks),):
                    raise errors.UserError(
                        f"{key} holds {len(blocks)} blocks, and a leaf of it is of shape {leaf.shape}"
                    )
            for index, number in enumerate(blocks):
                flat[f"block{number}"] = jax.tree.map(lambda leaf, index=index: _slice(leaf, index), node)
    return flat


def _stack(tree: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    stacked: dict[str, Any] = {}
    for key, form in like.items():
        blocks = _blocks(key)
        if blocks is not None:
            each = [_stack(tree[f"block{number}"], form) for number in blocks]
            stacked[key] = jax.tree.map(_together, *each)
        elif isinstance(form, dict):
            stacked[key] = _stack(tree[key], form)
        else:
            stacked[key] = tree[key]
    return stacked
