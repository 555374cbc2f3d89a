"""A configuration, made ready to run: compiled once, whatever the seed, the epoch and the number of steps."""

import pathlib
from typing import Any

import jax
import numpy as np
import pytest

from cnnjax import config as configs
from cnnjax import errors
from cnnjax.data import pipeline
from cnnjax.nn import onednn
from cnnjax.train.program import Program


def bits(state: Any) -> list[bytes]:
    raw = state.replace(rng=jax.random.key_data(state.rng))
    return [np.array(leaf).tobytes() for leaf in jax.tree.leaves(raw)]


def steps(program: Program, *counts: int, seed: int = 0) -> tuple[Any, Any]:
    """State and sums after dispatches of so many steps."""
    state, sums, done = program.init(seed), program.zero(), 0
    for count in counts:
        state, sums = program.run(state, sums, done, count)
        done += count
    return state, sums


@pytest.mark.parametrize("counts", [(1, 10), (5, 6), (4, 4, 3), (1,) * 11])
def test_so_many_steps_in_any_pieces(counts: tuple[int, ...], program: Program) -> None:
    (whole, whole_sums), (state, sums) = steps(program, 11), steps(program, *counts)
    assert int(state.step) == 11
    assert bits(state) == bits(whole)
    assert program.task.compute(sums) == program.task.compute(whole_sums)


def test_compiled_once(recipe: configs.ConfigDict) -> None:
    """For every epoch, every number of steps and every seed there is one program."""
    program = Program(recipe)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    state, sums = program.init(0), program.zero()
    state, sums = program.run(state, sums, 0, 4)
    program.evaluate(state, "train")
    program.evaluate(state, "test")
    assert compiled, "the listener hears compilations"
    compiled.clear()
    for done, count in ((4, 4), (8, 3), (11, 11)):
        state, sums = program.run(state, sums, done, count)
        program.evaluate(state, "train")
        program.evaluate(state, "test")
        sums = program.zero()
    state = program.init(1)
    program.run(state, sums, 0, 4)
    assert compiled == []


def test_state_is_donated(program: Program) -> None:
    state, sums = program.init(0), program.zero()
    after, _ = program.run(state, sums, 0, 1)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params) + jax.tree.leaves(state.opt_state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))


def lowered(program: Program, state: Any, sums: Any) -> Any:
    data = program.feed.arrays["train"]
    numbers = (*(jax.numpy.int32(0),) * 3, jax.numpy.float32(1))
    return program.feed.compiled[False, 0].lower(state, sums, data, jax.numpy.arange(len(data["label"])), *numbers)


def test_the_program_does_not_grow_with_depth(recipe: configs.ConfigDict) -> None:
    """Scanned stages, their weight decay included: as many instructions for 1202 layers as for 32; unrolled, many more."""

    def instructions(depth: int, scan: bool = True) -> int:
        program = Program(configs.override(recipe, {"model.depth": depth, "model.scan": scan}))
        return lowered(program, program.abstract, jax.eval_shape(program.zero)).as_text().count("\n")

    assert instructions(1202) == instructions(32)
    assert instructions(32, scan=False) > 1.3 * instructions(32)


def test_every_byte_of_the_state_is_aliased(program: Program) -> None:
    """The new state takes the memory of the old one; of the metric's three sums nothing is donated."""
    state, sums = program.init(0), program.zero()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state.replace(rng=jax.random.key_data(state.rng))))
    assert lowered(program, state, sums).compile().memory_analysis().alias_size_in_bytes == size


def test_a_dispatch_copies_nothing_to_the_host(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX's arrays give their values to the host through one property: it is watched, because CPUs have no guard."""
    state, sums = steps(program, 1)
    kind, seen = type(sums["loss"]), []
    original = kind._value.fget
    monkeypatch.setattr(kind, "_value", property(lambda array: (seen.append(array.shape), original(array))[1]))
    with jax.transfer_guard_device_to_host("disallow_explicit"):
        for done in range(1, 11):
            state, sums = program.run(state, sums, done, 1)
        jax.block_until_ready(sums)
    assert seen == []
    float(sums["loss"])
    assert seen == [()], "the property is the one that is used"


def test_a_step_on_a_batch_that_is_fed_is_that_on_the_resident_set(program: Program) -> None:
    """The second step of the second epoch, by the program that takes the batch from the set and by one that is given it."""
    epoch, first = 1, 1
    done = program.steps_per_epoch + first
    begun = program.init(0).replace(step=jax.numpy.int32(done))
    resident, sums = program.run(jax.tree.map(jax.numpy.copy, begun), program.zero(), done, 1)
    arrays = {name: np.asarray(each) for name, each in program.feed.arrays["train"].items()}
    order = pipeline.permutation(begun.rng, epoch, len(arrays["label"]))
    index = np.asarray(pipeline.batch_indices(order, first, program.config.batch_size))
    fed, new = program.layout.compile_step(program.step)(begun, pipeline.take(arrays, index), np.float32(1))
    for one, other in zip(numbers_of(resident), numbers_of(fed), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert float(new["count"]) == program.config.batch_size
    assert float(new["loss"]) == pytest.approx(float(sums["loss"]), rel=1e-5)


def numbers_of(state: Any) -> list[np.ndarray]:
    """All of a state's numbers."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.replace(rng=jax.random.key_data(state.rng)))]


def test_seed_decides(program: Program) -> None:
    assert bits(program.init(3)) == bits(program.init(3))
    one, other = program.init(3), program.init(4)
    assert bits(one) != bits(other)
    (_, first), (_, second) = steps(program, 1, seed=3), steps(program, 1, seed=4)
    assert float(first["loss"]) != float(second["loss"])


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_seed_out_of_range(seed: int, program: Program) -> None:
    with pytest.raises(errors.UserError, match="a seed lies in 0"):
        program.init(seed)


def test_metric_counts_every_example_of_the_batches(program: Program) -> None:
    _, sums = steps(program, 4, 4)
    assert float(sums["count"]) == 8 * 128


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"batch_size": 2000}, "batch size 2000 does not fit a set of 1437 examples"),
        ({"batch_size": 0}, "batch size 0 does not fit"),
        ({"model.bn_group": 7}, "BN groups of 7 do not divide a batch of 128"),
        ({"model.depth": 9}, "6n"),
        ({"model.name": "resnet_cifer"}, "did you mean resnet_cifar"),
        ({"model.shortcut": "D"}, "shortcut"),
        ({"dataset.name": "digit"}, "did you mean digits"),
        ({"duration": "soon"}, "a duration is written"),
        ({"optimizer.decay": "none"}, "unknown kind of weight decay 'none'"),
        ({"optimizer.decay_multipliers": (("kernel$", 1.0),)}, "nothing matches"),
        ({"evaluation.batch_size": 0}, "expected at least 1"),
        ({"execution.devices": 9}, "execution.devices = 9, but there are 8"),
        ({"execution.accumulate": 0}, "execution.accumulate is at least 1, not 0"),
        ({"execution.keep": "block"}, "unknown execution.keep 'block'; did you mean blocks"),
        ({"execution.parallel": "xmap"}, "unknown execution.parallel 'xmap'"),
    ],
)
def test_what_cannot_be(overrides: dict[str, Any], words: str, recipe: configs.ConfigDict) -> None:
    with pytest.raises(errors.UserError) as caught:
        Program(configs.override(recipe, overrides))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_digits_are_not_mirrored(recipe: configs.ConfigDict) -> None:
    said: list[str] = []
    program = Program(configs.override(recipe, {"task.flip": True}), said.append)
    assert program.task.flip is False
    assert said == ["task.flip is off: mirrored images of digits are no longer of their class"]


@pytest.mark.parametrize(
    ("changes", "form"),
    [
        pytest.param({}, "onednn", id="one device"),
        pytest.param({"execution.cpu_convolution": "xla"}, "canonical", id="turned off"),
        pytest.param({"execution.devices": 8}, "canonical", id="a mesh"),
        pytest.param({"execution.devices": 8, "execution.parallel": "pmap"}, "onednn", id="pmap"),
    ],
)
def test_convolutions_are_onednns_where_a_program_has_one_cpu_device(tiny, changes, form) -> None:
    program = Program(configs.override(tiny, changes))
    assert (program.conv_form, program.model.conv_form) == (form, form)


def test_a_failing_probe_is_said_in_one_line_and_everything_works(tiny, monkeypatch) -> None:
    monkeypatch.setattr(onednn, "failure", lambda: "the probe ended with status -6: no")
    said: list[str] = []
    assert Program(tiny, said.append).conv_form == "canonical"
    assert said == ["convolutions are XLA's own and slower: the probe ended with status -6: no"]


def test_an_unknown_choice_of_convolution_is_named(tiny) -> None:
    with pytest.raises(errors.UserError, match="'onednn'; available: auto, xla"):
        Program(configs.override(tiny, {"execution.cpu_convolution": "onednn"}))


@pytest.mark.parametrize("text", ["0 steps", "0.001 epochs", "7 examples"])
def test_a_duration_of_no_step_is_named(tiny, text) -> None:
    with pytest.raises(errors.UserError, match=f"duration is at least one step, not '{text}'"):
        Program(configs.override(tiny, {"duration": text}))


def test_an_unknown_dtype_of_the_reduction_is_named(tiny) -> None:
    with pytest.raises(
        errors.UserError, match=r"unknown execution.grad_reduce_dtype 'bfloat17'; did you mean bfloat16"
    ):
        Program(configs.override(tiny, {"execution.grad_reduce_dtype": "bfloat17"}))


@pytest.mark.parametrize(("weight", "heads", "said"), [(0.0, "both", True), (0.3, "both", False), (0.0, "none", False)])
def test_auxiliary_classifiers_that_would_not_be_trained(weight: float, heads: str, said: bool) -> None:
    recipe = configs.load(pathlib.Path(__file__).parents[2] / "configs" / "googlenet_digits.py")
    program = Program(configs.override(recipe, {"model.auxiliary": heads, "task.auxiliary_weight": weight}))
    found = [note for note in program.notes if "auxiliary classifiers (aux1, aux2) are not trained" in note]
    assert bool(found) == said


def test_gradients_are_reduced_in_another_type_under_pmap_only(tiny) -> None:
    with pytest.raises(errors.UserError, match=r"grad_reduce_dtype = bfloat16 wants execution.parallel = pmap"):
        Program(configs.override(tiny, {"execution.grad_reduce_dtype": "bfloat16"}))


def test_wrong_labels_are_the_training_sets_alone(recipe: configs.ConfigDict) -> None:
    plain, noisy = (Program(configs.override(recipe, {"dataset.wrong_labels": share})) for share in (0.0, 0.25))
    labels = {
        name: [np.asarray(each.feed.arrays[name]["label"]) for each in (plain, noisy)] for name in ("train", "test")
    }
    assert (labels["train"][0] != labels["train"][1]).mean() == pytest.approx(0.25, abs=1e-3)
    np.testing.assert_array_equal(*labels["test"])
