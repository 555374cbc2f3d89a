"""Plans of made-up answers."""

import dataclasses
import json

import pytest
from ml_collections import ConfigDict

from cnnjax import errors
from cnnjax.plan import report
from cnnjax.plan.collectives import Collective
from cnnjax.plan.compiled import Answer, Compiled
from cnnjax.plan.topology import GIB, TPUS, Topology
from cnnjax.plan.worker import other_batch

CONFIG = ConfigDict({"model": {"name": "resnet50", "dtype": "bfloat16"}})
V3 = Topology("v3:2x2", "tpu", (2, 2), TPUS["v3"])
REDUCE = Collective("all-reduce", "f32", 8, 2, 100_000_000)
# 16 images a device: a chip of two devices computes for 1 ms, and reads for 2.
STEP = Compiled(128, GIB, 0, 2 * GIB, 0, True, 61.5e9, 0.9e9, (REDUCE,), 1.0)
HALF = dataclasses.replace(STEP, batch=64, temporary=GIB)
ANSWER = Answer(
    8, 16 * GIB, (STEP, HALF), 8, 450_000, 25_557_032, "resnet50", 1_281_167, 20 * GIB, 0, "jax 0", ("a note",)
)


def test_times_and_rates():
    plan = report.make(CONFIG, V3, ANSWER)
    found = json.loads(json.dumps(report.facts(plan)))
    sent = 2 * 2 * 100e6 * 7 / 8 / 332e9
    assert found["roofline"] == pytest.approx(
        {"compute": 1e-3, "memory": 2e-3, "link": sent, "seconds": 2e-3, "bound": "memory"}
    )
    assert found["images_per_second"] == pytest.approx(64_000)
    assert found["hours"] == pytest.approx(0.25)
    # 16,000 a chip; 2036 were measured.
    assert [each["ratio"] for each in found["published"]] == pytest.approx([2036 / 16_000, 2022 / 16_000])
    shown = dict(report.rows(plan))
    assert shown["images/s, estimated"] == "64,000, 16,000 a chip"
    assert shown["the recipe, estimated"] == "0.2 h for 450,000 steps, 45 epochs; 1.0 chip-hours"
    assert shown["training set"] == "20.00 GiB more on each device, which does not fit"
    assert shown["note"] == "a note"


def test_what_hosts_send():
    """Images of a batch, and the same a second: 19.3 MB in 2 ms."""
    streamed = dataclasses.replace(ANSWER, resident=0, sent=128 * 224 * 224 * 3)
    shown = dict(report.rows(report.make(CONFIG, V3, streamed)))
    assert shown["training set"] == "streamed: the hosts send 18.38 MiB of images a step, 9.63 GB/s at the estimate"


def test_the_largest_batch_lies_on_the_line():
    """3 GiB with 128 images, 2 with 64: 1 without any, and 960 more images in the 15 left."""
    assert ANSWER.largest() == 960
    assert dataclasses.replace(ANSWER, unit=7).largest() == 959
    assert dataclasses.replace(ANSWER, examples=500).largest() == 496
    assert dataclasses.replace(ANSWER, steps=(STEP,)).largest() is None
    assert dataclasses.replace(ANSWER, steps=(STEP, dataclasses.replace(HALF, temporary=2 * GIB))).largest() is None


@pytest.mark.parametrize("taken", [True, False])
def test_what_does_not_fit(taken):
    """Whether it is the compiler that refuses it, or we."""
    large = dataclasses.replace(STEP, batch=2048, temporary=32 * GIB, fits=taken)
    with pytest.raises(errors.UserError) as error:
        report.make(CONFIG, V3, dataclasses.replace(ANSWER, steps=(large, HALF)))
    assert "batch_size = 2,048 does not fit: a device of v3:2x2 has 16.00 GiB" in str(error.value)
    assert "takes 33.00 GiB, 17.00 GiB more; about 960 would fit" in str(error.value)
    with pytest.raises(errors.UserError, match=r"17\.00 GiB more$"):
        report.make(CONFIG, V3, dataclasses.replace(ANSWER, steps=(large,)))


def test_no_speed_is_said_where_none_is_known():
    gpu = Topology("gpu:8", "gpu", (1, 8))
    step = dataclasses.replace(STEP, flops=None, size=None)
    plan = report.make(CONFIG, gpu, dataclasses.replace(ANSWER, steps=(step,)))
    found = report.facts(plan)
    assert not {"roofline", "images_per_second", "hours", "published"} & found.keys()
    assert found["collectives"][0]["bytes"] == 100_000_000
    shown = dict(report.rows(plan))
    assert "not said" in shown["speed"]
    assert not any("estimated" in name for name in shown)


@pytest.mark.parametrize(
    ("batch", "total", "fits", "unit", "other"),
    [
        (256, 4, True, 8, 128),
        (250, 4, True, 8, 120),
        (32, 4, True, 32, 64),  # the half is none: the double
        (40, 4, True, 32, 32),
        (1024, 32, False, 8, 256),  # half of what fits
        (8, 32, False, 8, 0),  # there is no smaller one
    ],
)
def test_the_second_batch(batch, total, fits, unit, other):
    step = dataclasses.replace(STEP, batch=batch, arguments=total * GIB, temporary=0, fits=fits)
    assert other_batch(step, unit, 16 * GIB) == other


def test_a_page_keeps_one_section_a_command():
    page = report.page("", "cnnjax plan a", "one")
    page = report.page(page, "cnnjax plan b", "two")
    page = report.page(page, "cnnjax plan a", "three")
    assert page.count("# Plans") == 1
    assert [each.strip() for each in page.split("\n## ")[1:]] == ["`cnnjax plan a`\n\nthree", "`cnnjax plan b`\n\ntwo"]
    assert page == report.page(page, "cnnjax plan b", "two")


def test_markdown_has_every_row_and_collective():
    plan = report.make(CONFIG, V3, ANSWER)
    text = report.markdown(plan)
    assert all(f"| {what} | {value} |" in text for what, value in report.rows(plan))
    assert "| all-reduce | f32 | 8 | 2 | 100.00 | 175.00 |" in text


def test_small_numbers_have_small_units():
    small = dataclasses.replace(STEP, arguments=4608, temporary=19_337_728, results=12, flops=13.9e6, size=400.0)
    shown = dict(report.rows(report.make(CONFIG, V3, dataclasses.replace(ANSWER, steps=(small,)))))
    assert shown["of which"] == "arguments 4.50 KiB, results 12 B, in between 18.44 MiB, program 0 B"
    assert shown["operations of a step"] == "13.90 MFLOP, 868.75 kFLOP an image"
    assert shown["bytes of a step"] == "400 B, 25 B an image"
