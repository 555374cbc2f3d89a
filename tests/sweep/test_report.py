import html.parser
import io
import json
import pathlib
import re

import pytest
from ml_collections import ConfigDict
from PIL import Image
from rich.console import Console

from cnnjax import errors
from cnnjax.sweep import outcome, page, report, store, summary
from cnnjax.sweep.experiment import Claim, Experiment, Scale
from cnnjax.sweep.plan import Arm, Sweep

CLAIMS = (
    Claim("deeper & plain is worse", "train/error", {"deep": 1, "shallow": -1}, paper="Fig. 1: about 20 against 13"),
    Claim("deeper has the lower loss", "train/loss", {"shallow": 1, "deep": -1}),
    Claim("the deepest <b>is</b> worst", "test/error", {"deepest": 1, "deep": -0.5, "shallow": -0.5}, above=0.01),
)
SCALE = Scale(
    config="../configs/resnet.py",
    arms={arm: {} for arm in ("plain20", "plain56", "plain110", "resnet20")},
    roles={"shallow": "plain20", "deep": "plain56", "deepest": "plain110"},
    seeds=(0, 1, 2),
    note="Small <images>.",
)
EXPERIMENT = Experiment(
    "Does depth hurt?", "He et al. 2015", {"digits": SCALE}, CLAIMS, pathlib.Path("/home/me/experiments/degradation.py")
)


def sweep(folder, **asked):
    """The sweep whose runs are in a folder."""
    arms = [
        Arm(name, pathlib.Path(), {}, ConfigDict({"seed": 0, "model": {"name": name}}), folder / name, SCALE.seeds)
        for name in SCALE.arms
    ]
    return Sweep(EXPERIMENT, "digits", SCALE, folder, arms, **asked)


def text_of(folder):
    """The words of the page."""
    report.write(sweep(folder))
    return " ".join(Tags((folder / report.PAGE).read_text(encoding="utf-8")).text)


@pytest.fixture
def scale_folder(write_run):
    for seed in range(3):
        write_run("plain20", seed, 0.1 + 0.01 * seed, config={"optimiser": {"lr": 0.1}})
        run = write_run("plain56", seed, 0.3 + 0.02 * seed, config={"optimiser": {"lr": 0.01}})
    write_run("plain110", 0, 0.4)
    write_run("plain110", 1, status={"outcome": "diverged", "summary": {}}, evaluations=2)
    error = "ValueError: <script>alert('x')</script>"
    write_run("plain110", 2, status={"state": "failed", "outcome": None, "error": error, "summary": None})
    write_run("left-over", 9)
    return run.parents[1]


class Tags(html.parser.HTMLParser):
    """Collects tags, and checks that they close in order."""

    def __init__(self, text):
        super().__init__()
        self.seen, self.open, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_needs_nothing_else(scale_folder):
    report.write(sweep(scale_folder))
    written = (scale_folder / report.PAGE).read_text(encoding="utf-8")
    tags = Tags(written)
    assert not [tag for tag, _ in tags.seen if tag in ("script", "link", "iframe", "b", "images")]
    sources = [value for _, attributes in tags.seen for name, value in attributes.items() if name in ("src", "href")]
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "url(" not in written
    assert all(attributes["alt"] for tag, attributes in tags.seen if tag == "img")
    assert [attributes["name"] for tag, attributes in tags.seen if "name" in attributes] == ["viewport"]


def test_the_page_tells_everything(scale_folder):
    text = text_of(scale_folder)
    for expected in (
        *(claim.text for claim in CLAIMS),
        *SCALE.arms,
        *("Does depth hurt?", "He et al. 2015", "Small <images>.", "Fig. 1: about 20 against 13", "not run here"),
        *("✓ reproduced", "✗ contradicted", "? inconclusive", "train/error: plain56 − plain20 > 0 pp"),
        *(
            "test/error: plain110 − 0.5·plain56 − 0.5·plain20 > 1 pp",
            "Mean [98.33 % interval]",
            "1 contradicted",
            "272,474",
            "40,551,040",
            "11.00 ± 1.00",
            "32.00 ± 2.00",
        ),
        *("plain110 seed 1 diverged", "<script>alert('x')</script>", "1 completed, 1 diverged, 1 failed", "not run"),
        *("optimiser.lr", "0.01", "model.width", "packages.flax", "0.12.8", "(one a run)"),
        "cnnjax run experiments/degradation.py --scale digits",
    ):
        assert expected in text, expected
    assert "left-over" not in text
    assert "/home/me" not in text


def test_settings_are_told_apart(scale_folder):
    runs = store.load(scale_folder).query("arm in ['plain20', 'plain56']")
    common, differing = page._settings(runs, ["plain20", "plain56"])
    assert dict(common) == {"seed": "0, 1, 2 (one a run)", "model.width": "16", "data.mean": "(0.5, 0.5)"}
    assert dict(differing) == {"model.name": ["plain20", "plain56"], "optimiser.lr": ["0.1", "0.01"]}


def test_a_setting_that_changed_between_seeds_of_an_arm_shows(write_run):
    write_run("plain20", 0, config={"lr": 0.1})
    run = write_run("plain20", 1, config={"lr": 0.2})
    _, differing = page._settings(store.load(run.parent), ["plain20"])
    assert differing == [("lr", ["0.1, 0.2"])]


def test_plots_are_images_and_nothing_half_written_is_left(scale_folder):
    report.write(sweep(scale_folder))
    report.write(sweep(scale_folder))
    names = sorted(path.name for path in (scale_folder / "plots").iterdir())
    assert names == ["claims.png", "final_test_error.png", "final_train_error.png", "learning_curves.png"]
    for path in (scale_folder / "plots").iterdir():
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert image.width > 600
            assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 5
    assert sorted(path.name for path in scale_folder.iterdir() if path.is_file()) == ["experiment.json", "report.html"]


def test_a_failed_write_keeps_the_report_that_was_there(scale_folder, monkeypatch):
    report.write(sweep(scale_folder))
    page = scale_folder / report.PAGE
    before = page.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(pathlib.Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report.write(sweep(scale_folder))
    assert page.read_bytes() == before
    assert not list(scale_folder.rglob(".*"))


def test_verdicts_and_arms_of_the_report(scale_folder):
    written = report.write(sweep(scale_folder))
    assert [each.verdict for each in written.verdicts] == ["reproduced", "contradicted", "inconclusive"]
    arms = {arm.name: arm for arm in written.arms}
    assert list(arms) == list(SCALE.arms)
    assert (arms["plain20"].finished, arms["plain20"].outcome) == (3, "completed")
    assert arms["plain20"].seconds == pytest.approx(3 * 61.5)
    assert (arms["plain110"].finished, arms["plain110"].planned) == (1, 3)
    assert (arms["resnet20"].outcome, arms["resnet20"].parameters, arms["resnet20"].macs) == ("not run", None, None)
    assert arms["plain20"].figures == {
        "parameters": "272,474",
        "MACs": "40,551,040",
        "train error, %": "11.00 ± 1.00",
        "test error, %": "13.00 ± 1.00",
        "train/loss": "0.22 ± 0.02",
    }


def test_a_report_before_anything_finished(write_run):
    status = {"state": "running", "outcome": None, "summary": None}
    run = write_run("plain20", status=status)
    (run / "metrics.jsonl").unlink()
    written = report.write(sweep(run.parents[1]))
    assert {each.verdict for each in written.verdicts} == {"inconclusive"}
    assert {arm.outcome for arm in written.arms} >= {"1 running, 2 not run"}


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_report_where_every_error_is_nought(write_run, seeds):
    for arm in SCALE.arms:
        for seed in range(seeds):
            run = write_run(arm, seed, 0.0)
            rows = '{"step": 10, "train/error": 0.0, "test/error": 0.0}\n{"step": 20, "test/error": NaN}\n'
            (run / "metrics.jsonl").write_text(rows)
    written = report.write(sweep(run.parents[1]))
    assert [each.verdict for each in written.verdicts][:2] == ["inconclusive"] * 2
    assert ("no spread" in " ".join(written.verdicts[0].notes)) == (seeds > 1)
    assert len(list((run.parents[1] / "plots").iterdir())) == 4


def test_an_empty_folder_is_the_users_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.UserError, match="holds no run"):
        report.write(sweep(tmp_path / "empty"))


def test_the_summary_fits_80_columns_and_is_plain_text_in_a_file(scale_folder):
    output = io.StringIO()
    summary.show(Console(file=output, width=80), report.write(sweep(scale_folder)), scale_folder / report.PAGE)
    text = output.getvalue()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    for arm in SCALE.arms:
        assert re.search(rf"^{arm} .*\d/3", text, re.MULTILINE), arm
    for line in ("✓ reproduced", "✗ contradicted", "? inconclusive", "the deepest <b>is</b> worst"):
        assert line in text
    assert "11.00 ± 1.00" in text


def test_the_summary_has_colour_on_a_terminal(scale_folder):
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=True, color_system="standard")
    made = sweep(scale_folder)
    runs = store.load(scale_folder)
    summary.show(console, outcome.summarise(made, runs[runs["arm"].isin(SCALE.arms)]))
    assert "\x1b[1;32m✓ reproduced" in output.getvalue()


def shown(folder, **asked):
    output = io.StringIO()
    summary.show(Console(file=output, width=80), report.write(sweep(folder, **asked)))
    return output.getvalue()


def test_runs_with_other_settings_are_named_and_not_counted(scale_folder):
    before = report.write(sweep(scale_folder))
    for seed, hash_ in ((1, "0123456789ab"), (2, "ba9876543210")):
        file = scale_folder / "plain20" / f"seed-{seed}" / "run.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "hash": hash_}))
    after = report.write(sweep(scale_folder))
    assert (before.verdicts[0].seeds, after.verdicts[0].seeds) == ((0, 1, 2), (0,))
    assert (before.others, after.others) == ((), ("plain20 seed 1, 2",))
    assert after.arms[0].finished == 1
    assert "plain20 seed 1, 2" in text_of(scale_folder)
    assert re.search(r"not counted, other settings *\nplain20 seed 1, 2 *\n", shown(scale_folder))


def test_what_runs_said_of_themselves(write_run):
    for seed in range(2):
        run = write_run("plain20", seed, status={"notes": [f"a/seed-{seed}: resumed, not bit-exact"]})
    folder = run.parents[1]
    (write_run("plain20", 2) / "status.json").write_bytes(b"\xff")
    for text in (text_of(folder), shown(folder)):
        assert "plain20 seed 0, 1: resumed, not bit-exact" in text
        assert "plain20 seed 2: status.json is damaged" in text


def test_the_command_is_the_one_that_was_used(write_run):
    folder = write_run("plain20", 7).parents[1]
    arguments = ("--config.duration=2 epochs",)
    written = report.write(sweep(folder, arguments=arguments))
    assert written.command == (
        "cnnjax run experiments/degradation.py --scale digits --seeds 0,1,2,7 '--config.duration=2 epochs'"
    )
