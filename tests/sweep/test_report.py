import html.parser
import io
import pathlib
import re

import pytest
from PIL import Image
from rich.console import Console

from cnnjax import errors
from cnnjax.sweep import report
from cnnjax.sweep.experiment import Claim, Experiment, Scale

CLAIMS = (
    Claim("deeper & plain is worse", "train/error", {"deep": 1, "shallow": -1}, paper="Fig. 1: about 20 against 13"),
    Claim("deeper has the lower loss", "train/loss", {"shallow": 1, "deep": -1}),
    Claim("the deepest <b>is</b> worst", "test/error", {"deepest": 1, "deep": -0.5}, above=0.01),
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
    written = report.write(EXPERIMENT, "digits", scale_folder)
    tags = Tags(written.path.read_text(encoding="utf-8"))
    assert not [tag for tag, _ in tags.seen if tag in ("script", "link", "iframe", "b", "images")]
    sources = [value for _, attributes in tags.seen for name, value in attributes.items() if name in ("src", "href")]
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "url(" not in written.path.read_text(encoding="utf-8")
    assert all(attributes["alt"] for tag, attributes in tags.seen if tag == "img")
    assert [attributes["name"] for tag, attributes in tags.seen if "name" in attributes] == ["viewport"]


def test_the_page_tells_everything(scale_folder):
    text = " ".join(Tags(report.write(EXPERIMENT, "", scale_folder).path.read_text(encoding="utf-8")).text)
    for expected in (
        *(claim.text for claim in CLAIMS),
        *SCALE.arms,
        *("Does depth hurt?", "He et al. 2015", "Small <images>.", "Fig. 1: about 20 against 13", "not run here"),
        *("✓ reproduced", "✗ contradicted", "? inconclusive", "train/error: plain56 − plain20 > 0 pp"),
        *(
            "test/error: plain110 − 0.5·plain56 > 1 pp",
            "Mean [98.33 % interval]",
            "1 contradicted",
            "272,474",
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
    runs = report.store.load(scale_folder).query("arm in ['plain20', 'plain56']")
    common, differing = report._settings(runs, ["plain20", "plain56"])
    assert dict(common) == {"seed": "0, 1, 2 (one a run)", "model.width": "16", "data.mean": "(0.5, 0.5)"}
    assert dict(differing) == {"model.name": ["plain20", "plain56"], "optimiser.lr": ["0.1", "0.01"]}


def test_a_setting_that_changed_between_seeds_of_an_arm_shows(write_run):
    write_run("plain20", 0, config={"lr": 0.1})
    run = write_run("plain20", 1, config={"lr": 0.2})
    _, differing = report._settings(report.store.load(run.parent), ["plain20"])
    assert differing == [("lr", ["0.1, 0.2"])]


def test_plots_are_images_and_nothing_half_written_is_left(scale_folder):
    report.write(EXPERIMENT, "digits", scale_folder)
    report.write(EXPERIMENT, "digits", scale_folder)
    names = sorted(path.name for path in (scale_folder / "plots").iterdir())
    assert names == ["claims.png", "final_test_error.png", "final_train_error.png", "learning_curves.png"]
    for path in (scale_folder / "plots").iterdir():
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert image.width > 600
            assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 5
    assert sorted(path.name for path in scale_folder.iterdir() if path.is_file()) == ["report.html"]


def test_a_failed_write_keeps_the_report_that_was_there(scale_folder, monkeypatch):
    page = report.write(EXPERIMENT, "digits", scale_folder).path
    before = page.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(pathlib.Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report.write(EXPERIMENT, "digits", scale_folder)
    assert page.read_bytes() == before
    assert not list(scale_folder.rglob(".*"))


def test_verdicts_and_arms_of_the_report(scale_folder):
    written = report.write(EXPERIMENT, "digits", scale_folder)
    assert [each.verdict for each in written.verdicts] == ["reproduced", "contradicted", "inconclusive"]
    arms = {arm.name: arm for arm in written.arms}
    assert list(arms) == list(SCALE.arms)
    assert (arms["plain20"].finished, arms["plain20"].outcome) == (3, "completed")
    assert arms["plain20"].seconds == pytest.approx(3 * 61.5)
    assert (arms["plain110"].finished, arms["plain110"].planned) == (1, 3)
    assert (arms["resnet20"].outcome, arms["resnet20"].parameters) == ("not run", None)


def test_a_report_before_anything_finished(write_run):
    status = {"state": "running", "outcome": None, "summary": None}
    run = write_run("plain20", status=status)
    (run / "metrics.jsonl").unlink()
    written = report.write(EXPERIMENT, "digits", run.parents[1])
    assert {each.verdict for each in written.verdicts} == {"inconclusive"}
    assert "running" in written.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_report_where_every_error_is_nought(write_run, seeds):
    for arm in SCALE.arms:
        for seed in range(seeds):
            run = write_run(arm, seed, 0.0)
            rows = '{"step": 10, "train/error": 0.0, "test/error": 0.0}\n{"step": 20, "test/error": NaN}\n'
            (run / "metrics.jsonl").write_text(rows)
    written = report.write(EXPERIMENT, "digits", run.parents[1])
    assert [each.verdict for each in written.verdicts][:2] == ["inconclusive"] * 2
    assert ("no spread" in " ".join(written.verdicts[0].notes)) == (seeds > 1)
    assert len(list((run.parents[1] / "plots").iterdir())) == 4


def test_an_unknown_scale_and_an_empty_folder_are_the_users_errors(scale_folder, tmp_path):
    with pytest.raises(errors.UserError, match="digits"):
        report.write(EXPERIMENT, "digit", scale_folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.UserError, match="holds no run"):
        report.write(EXPERIMENT, "digits", tmp_path / "empty")


def test_the_summary_fits_80_columns_and_is_plain_text_in_a_file(scale_folder):
    output = io.StringIO()
    report.print_summary(Console(file=output, width=80), report.write(EXPERIMENT, "digits", scale_folder))
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
    report.print_summary(console, report.summarise(EXPERIMENT, "", report.store.load(scale_folder)))
    assert "\x1b[1;32m✓ reproduced" in output.getvalue()
