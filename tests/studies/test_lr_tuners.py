"""The study of tuners: its scripts run, and its page is made of its committed raw results."""

from __future__ import annotations

from pathlib import Path

STUDY = Path(__file__).parents[2] / "studies" / "lr_tuners"


def test_quick_forms_run_resume_and_make_a_page(tuners, tmp_path: Path, capsys) -> None:
    for part in ("short_long", "minibatch"):
        script, out = tuners(part), tmp_path / "raw" / part
        script.main(["--quick", "--out", str(out)])
        first = {path: path.stat().st_mtime_ns for path in out.iterdir()}
        assert len(first) == 1
        script.main(["--quick", "--out", str(out)])
        assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == first
    page = tmp_path / "results.md"
    tuners("report").main(["--raw", str(tmp_path / "raw"), "--out", str(page)])
    assert "| quick, gd |" in page.read_text()
    assert "## gd, averaging 0.9" in page.read_text()


def test_the_page_is_made_of_the_committed_results(tuners, tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    tuners("report").main(["--out", str(page)])
    assert page.read_text() == (STUDY / "results.md").read_text()


def test_an_onset_is_where_the_rate_is_low_for_good(tuners) -> None:
    spirals = tuners("spirals")
    rates = [1.0] * 20 + [0.4] * 5 + [0.8] * 15 + [0.3] * 20
    run = {"readings": [[i + 1, rate, 1.0, 1.0, 1.0] for i, rate in enumerate(rates)]}
    assert spirals.onset(run) == 41
    steady = {"readings": [[i + 1, 1.0, 1.0, 1.0, 1.0] for i in range(40)]}
    assert spirals.onset(steady) is None


def test_constants_are_tried_until_the_best_lies_inside(tuners, monkeypatch) -> None:
    script = tuners("short_long")

    def run(problem, kind, seed, rule, value, look=True):
        return {"final": (value - 1.0) ** 2 if value < 3 else float("nan"), "look": look}

    monkeypatch.setattr(script, "run", run)
    tried = list(script.constants(None, "gd", 0))
    assert {k for k, _ in tried} == {-3, -2, -1, 0, 1, 2}
    assert tried[-1][0] == 0
    assert tried[-1][1]["look"]
