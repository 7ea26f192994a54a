"""The report of a study: complete as text, safe with any text, honest about what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from lrsearch.exceptions import UnsupportedError
from lrsearch.integrations.optuna import COST_KEY, ERROR_KEY, SPACE_KEY, VERDICT_KEY, edge_key
from lrsearch.schedules import export
from lrsearch.search import FAMILY, MULTIPLIER, PLAN_KEY, ScheduleSpace
from lrsearch.stability import Edge, Reading, Verdict
from lrsearch.sweeps import masked, schedule_of
from lrsearch.visualization import report
from lrsearch.visualization._report import page

BUDGET, EDGE = 100, 0.2
SPACE = ScheduleSpace(BUDGET, families=("linear", "cosine", "constant", "uba"))
HOSTILE = "<script>alert(1)</script>"
CLOSING = '</script><img src=x onerror="alert(2)">'
SECRET = "sesame-7"
URL = f"postgresql://me:{SECRET}@host/db"
FINISHED = [  # family, multiplier, metric
    ("linear", 1.1, 0.100),
    ("linear", 0.8, 0.104),
    ("cosine", 0.9, 0.110),
    ("linear", 1.6, 0.118),
    ("constant", 0.7, 0.300),
]
SECTIONS = ["found", "sure", "cost", "why", "use", "trials", "figures", "provenance"]
CHROME = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def attributes(family: str, multiplier: float, until: int, curved: bool) -> dict[str, Any]:
    values = {FAMILY: family, MULTIPLIER: multiplier, "uba_phi": 1.0}
    plan = SPACE.plan(values, Edge.known(EDGE))
    found: dict[str, Any] = {
        PLAN_KEY: plan.to_dict(),
        COST_KEY: {"steps": float(until), "watch": until / 50},
    }
    for step in range(10, until + 1, 10):
        reading = Reading(
            step=step,
            learning_rate=plan.peak * (1 - step / (2 * BUDGET)),
            budget=BUDGET,
            peak=plan.peak,
            loss=2.0 / step,
            initial_loss=2.0,
            annealed_loss=1.5 / step,
            gradient_norm=0.5,
            sharpness=2.0 / plan.peak if curved else None,
            threshold=2.0 if curved else None,
            cost=step / 50,
        )
        found[f"lrsearch:reading:{step:010d}"] = reading.to_dict()
    return found


def add(
    study: optuna.Study,
    family: str,
    multiplier: float,
    *,
    state: TrialState = TrialState.COMPLETE,
    until: int = BUDGET,
    curved: bool = True,
    verdict: Verdict | None = None,
    error: str | None = None,
    **told: Any,
) -> None:
    """A trial of ours, as a sweep leaves it."""
    known = attributes(family, multiplier, until, curved)
    known |= {} if verdict is None else {VERDICT_KEY: verdict.to_dict()}
    known |= {} if error is None else {ERROR_KEY: error}
    trial = create_trial(
        state=state,
        params={FAMILY: family, MULTIPLIER: multiplier},
        distributions={
            FAMILY: CategoricalDistribution(SPACE.families),
            MULTIPLIER: FloatDistribution(*SPACE.multiplier, log=True),
        },
        user_attrs=known,
        **told,
    )
    study.add_trial(trial)


def stopped(regime: str, reason: str, step: int) -> Verdict:
    return Verdict(stop=True, regime=regime, side="hot", step=step, reason=reason)  # type: ignore[arg-type]


def swept(name: str = "a study", *, curved: bool = True) -> optuna.Study:
    """A finished sweep: five trials to the end, two stopped, one failed."""
    study = optuna.create_study(study_name=name)
    study.set_user_attr(SPACE_KEY, SPACE.fingerprint())
    task = {"name": f"task {HOSTILE}", "metric": f"loss {HOSTILE}", "direction": "minimize"}
    study.set_user_attr("lrsearch:task", task)
    trace = ((0.1, 0.5), (0.2, 0.3), (0.4, None))
    edge = Edge(learning_rate=EDGE, uncertainty=1.2, method="annealed runs", optimizer="SGD",
                proxy_rate=EDGE, proxy_steps=40, cost=50.0, trace=trace)  # fmt: skip
    study.set_user_attr(edge_key("t", ""), edge.to_dict())
    for family, multiplier, value in FINISHED:
        add(study, family, multiplier, value=value, curved=curved)
    for until, regime in ((20, "diverged"), (50, "below the edge")):
        verdict = stopped(regime, f"{regime}: {CLOSING}", until)
        add(study, "linear", 7.0, state=TrialState.PRUNED, until=until, verdict=verdict)
    add(study, "cosine", 1.0, state=TrialState.FAIL, until=10,
        error=f"OperationalError: {URL} says {CLOSING}")  # fmt: skip
    return study


class Reader(HTMLParser):
    """What a reader without JavaScript sees, and every element there is."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self.ids, self.code = "", [], [], []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in ("meta", "br", "hr"):
            self._inside.append(tag)
        if tag == "pre":
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._inside):
            self.text += data + (" " if data.strip() else "")
        if "pre" in self._inside:
            self.code[-1] += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader._inside == []
    return reader


@pytest.fixture
def no_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is not installed: then a page is also quick to make."""
    for name in ("plotly", "plotly.offline", "plotly.graph_objects"):
        monkeypatch.setitem(sys.modules, name, None)


def test_the_sections_tell_what_there_is(no_plotly: None) -> None:
    study = swept()
    text = page(study, storage=URL)
    seen = read(text)
    assert [i for i in seen.ids if i in SECTIONS] == SECTIONS
    words = re.sub(r"\s+", " ", seen.text)
    # Found: the product that makes the peak.
    assert "0.22 = 1.1 (multiplier) x 1 (alignment of its shape) x 0.2 (edge of" in words
    assert "5 trials finished, 2 stopped early, 1 failed, 0 still open." in words
    assert "After 5 finished runs the best schedule is expected to be" in words
    assert "has not been trained again with fresh seeds" in words
    # Cost: 8 trials of their steps and 2 % for watching; 50 gradients of 100 steps for the edge.
    spent = (5 * 100 + 20 + 50 + 10) * 1.02 / 100
    assert f"Everything together cost {spent + 0.5:.1f} full runs" in words
    assert "far below the edge 1 0.51 0.50" in words
    assert "diverged 1 0.20 0.80" in words
    assert f"{spent + 0.5 + 1.3:.1f}: stopping 2 trials saved 1.3 full runs" in words
    # Why: a family that was not tried is not said to have lost.
    assert "uba not tried" in words
    assert "nothing: not tried" in words
    assert "the winner's" in words
    # Every trial, with why it ended.
    assert sum(tag == "details" for tag, _ in seen.tags) == 8
    assert f"end: diverged: {CLOSING}" in seen.text
    assert "to step 100: at the edge: rho" in words
    # No figures, and said so.
    assert "pip install 'lrsearch[viz]'" in words


def test_the_code_is_what_export_gives(no_plotly: None) -> None:
    study = swept("digits")
    winner = schedule_of(study, None)
    code = read(page(study)).code
    assert export(winner, "torch") in code
    assert json.loads(next(c for c in code if c.startswith("{"))) == winner.to_dict()
    assert any(".rescale(200)" in c for c in code)
    for block in code:
        if "import" in block:
            compile(block, "block", "exec")


def test_text_of_others_opens_no_element(no_plotly: None) -> None:
    text = page(swept(HOSTILE))
    seen = read(text)
    assert HOSTILE in seen.text
    assert CLOSING in seen.text
    assert "<script>alert" not in text
    assert [tag for tag, _ in seen.tags if tag == "img"] == []
    assert not any(name.startswith("on") for _, held in seen.tags for name in held)


def test_no_password_is_shown(no_plotly: None, tmp_path: Path) -> None:
    text = page(swept(), storage=f"{URL}?password={SECRET}")
    assert SECRET not in text
    assert "postgresql://me:***@host/db?password=***" in text


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("at postgresql://a:b@c/d, and x@y", "at postgresql://a:***@c/d, and x@y"),
        ("mysql://u:p@ss/w@h:5/d", "mysql://u:***@h:5/d"),
        ("redis://:pw@h", "redis://:***@h"),
        ("host=h password=pw user=u", "host=h password=*** user=u"),
        ("sqlite:///a b.db", "sqlite:///a b.db"),
        ("grpc://h:1/x", "grpc://h:1/x"),
    ],
)
def test_what_is_masked(told: str, shown: str) -> None:
    assert masked(told) == shown


def test_a_lucky_trial_and_retrainings_are_told(no_plotly: None) -> None:
    study = swept()
    add(study, "constant", 0.72, value=0.095)
    told = read(page(study)).text
    assert "it was lucky" in re.sub(r"\s+", " ", told)
    winner = schedule_of(study, None)
    from lrsearch.search import confirmation_seed

    for turn, value in enumerate((0.12, 0.13)):
        seed = confirmation_seed(0, int(winner.provenance["trial"]), turn)
        study.set_user_attr(f"lrsearch:confirmation:{winner.provenance['trial']}:{seed}", value)
    told = re.sub(r"\s+", " ", read(page(study)).text)
    assert "retrained with 2 fresh seeds 0.125" in told
    assert "retraining winners with fresh seeds 2.00" in told


def test_studies_with_less_in_them_say_what_there_is(no_plotly: None) -> None:
    empty = optuna.create_study(study_name="empty")
    assert "has no trials yet" in read(page(empty)).text
    failed = optuna.create_study(study_name="failed")
    add(failed, "linear", 1.0, state=TrialState.FAIL, until=10, error="OSError: no data")
    told = read(page(failed)).text
    assert "No trial has finished" in told
    assert "OSError: no data" in told
    foreign = optuna.create_study(study_name="foreign")
    foreign.optimize(lambda t: t.suggest_float("lr", 0.0, 1.0), n_trials=3)
    told = read(page(foreign)).text
    assert "has no schedule of lrsearch" in told
    assert "lr = " in told
    running = swept()
    running.ask()
    assert "while 1 trial ran" in read(page(running)).text
    blind = swept(curved=False)
    assert "No reading of this run has a sharpness" in read(page(blind)).text
    several = optuna.create_study(study_name="several", directions=["minimize", "maximize"])
    for family, multiplier, value in FINISHED[:3]:
        add(several, family, multiplier, values=[value, value])
    told = read(page(several)).text
    assert "no single best trial: 3 trials" in told
    assert "objective 1 (maximize)" in told


def test_a_file_that_cannot_be_written_is_told(no_plotly: None, tmp_path: Path) -> None:
    study = optuna.create_study()
    assert report(study, tmp_path / "new" / "x.html").read_text().startswith("<!doctype html>")
    with pytest.raises(UnsupportedError, match=r"cannot write the report .*Is a directory"):
        report(study, tmp_path)


@pytest.mark.skipif(CHROME is None, reason="needs chromium, chromium-browser or google-chrome")
def test_in_a_browser(tmp_path: Path) -> None:
    """With JavaScript the figures are drawn without an error; nothing of others' text runs."""
    pytest.importorskip("plotly")
    path = report(swept(HOSTILE), tmp_path / "report.html", storage=URL)
    text = path.read_text(encoding="utf-8")
    assert SECRET not in text
    assert text.count("Plotly.newPlot(box") == 1  # plotly itself stands there once, not per figure
    assert len(text) < 6_500_000
    drawn = browse(path, "--enable-logging=stderr", f"--screenshot={tmp_path / 'seen.png'}")
    assert "CONSOLE" not in drawn.stderr, drawn.stderr
    assert drawn.stdout.count('class="plot js-plotly-plot"') == 6
    picture = (tmp_path / "seen.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000  # a blank one has a few kB
    quiet = tmp_path / "quiet.html"  # the browser runs none of its scripts
    quiet.write_text(text.replace("script-src 'unsafe-inline'", "script-src 'none'"))
    plain = read(browse(quiet).stdout)
    assert "js-plotly-plot" not in str(plain.tags)
    assert "trial 0 reached" in plain.text.lower()
    assert sum(tag == "details" for tag, _ in plain.tags) == 8


def browse(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CHROME), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,1200",
         f"--user-data-dir={path.parent / 'home'}", "--virtual-time-budget=8000", *options,
         "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
