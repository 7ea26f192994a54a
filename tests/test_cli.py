"""The command line in real processes: what it prints, where, how it ends, what it leaves behind."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

import lrsearch
from lrsearch.cli import app
from lrsearch.integrations.optuna import ERROR_KEY
from lrsearch.schedules import Schedule, families, tuner_families
from lrsearch.schedules import export as render
from lrsearch.sweeps import open_storage, open_study

BUDGET, TRIALS = 40, 4
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(lrsearch.__file__).parents[1])}
# Written beside task.py: what goes wrong, and a metric to maximise.
MORE_TASKS = """
import math
from task import evaluate, task as make

def broken(model):
    raise OSError("the disk is gone")

good = make()
always = make(name="always", evaluate=broken)
diverging = make(name="diverging", evaluate=lambda model: math.nan)
nan = make(name="nan", loss=lambda model, batch: model(batch[0]).sum() * math.nan)
in_loss = make(name="in loss", loss=lambda model, batch: broken(model))
score = make(name="score", evaluate=lambda model: -evaluate(model), direction="maximize",
             metric="score [points]")
spaced = make(name="my group/my task")
"""


def study_at(folder: Path, name: str | None = None, file: str = "s.db"):
    return open_study(
        open_storage(f"sqlite:///{folder}/{file}", create=False), name or f"curve-{BUDGET}"
    )


def everything(folder: Path, name: str | None = None) -> list[Any]:
    study = study_at(folder, name)
    return [study.user_attrs, *((t.number, t.state, t.user_attrs) for t in study.get_trials())]


def sweep(task: str = "task.py:task", trials: int = TRIALS, storage: str = "s.db") -> list[str]:
    return ["sweep", task, "--trials", str(trials), "--storage", f"sqlite:///{storage}"]


def one_document(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def tasks(shell):
    (shell.folder / "more.py").write_text(MORE_TASKS)
    return shell


@pytest.fixture(scope="module")
def swept(make_shell, tmp_path_factory):
    """A folder with a finished sweep, whose trial 2 was stopped for its rate; read only."""
    shell = make_shell(tmp_path_factory.mktemp("swept"))
    rates = [word for rate in ("0.05", "0.1", "30") for word in ("--enqueue", rate)]
    shell.command = shell.run(*sweep(), *rates, "--out", "found here", picture=True)
    assert shell.command.code == 0, shell.command.err
    return shell


# Report


def test_a_report_is_written_where_it_is_asked_for(swept) -> None:
    for arguments, name in [
        ((f"curve-{BUDGET}",), f"curve-{BUDGET}.html"),
        (("--study", f"curve-{BUDGET}", "--out", "new/r.html"), "new/r.html"),
        (("-o", "new"), f"new/curve-{BUDGET}.html"),
    ]:
        command = swept.run("report", *arguments, "--storage", "sqlite:///s.db")
        assert (command.code, command.out) == (0, f"wrote {name}\n"), command.err
        text = (swept.folder / name).read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>")
        assert "diverged" in text
        (swept.folder / name).unlink()
    told = swept.run("report", "--json", "--storage", "sqlite:///s.db", "-o", "x.html")
    assert one_document(told.out) == {"study": f"curve-{BUDGET}", "report": "x.html"}


def test_a_report_that_cannot_be_is_told_in_a_sentence(swept) -> None:
    for arguments, words in [
        (("nothing",), "there is no study 'nothing' in this storage"),
        (("a", "--study", "b"), "two studies are named, 'a' and 'b'"),
        (("postgresql://u:sesame@h/d",), "postgresql://u:***@h/d is a storage"),
        (("--out", "task.py/x.html"), "cannot write the report task.py/x.html"),
    ]:
        command = swept.run("report", *arguments, "--storage", "sqlite:///s.db")
        assert command.code == 1
        assert words in command.err
        assert "sesame" not in command.err + command.out
        assert "Traceback" not in command.err


# Help


@pytest.mark.parametrize(
    "command", [None, "edge", "regimes", "report", "sweep", "show", "solution", "export"]
)
def test_help_teaches_every_option(command: str | None) -> None:
    """As a user starts it: in an interpreter of its own; help does not wait for torch."""
    code = (
        "import sys\nfrom lrsearch.cli import main\n"
        "try: main()\nfinally: assert 'torch' not in sys.modules"
    )
    arguments = [*([command] if command else []), "--help"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    tree = typer.main.get_command(app)
    if command is None:
        for name in tree.commands:
            assert re.search(rf"^  {name}  ", done.stdout, re.MULTILINE)
        assert "Exit codes" in done.stdout
        return
    assert f"Example: lrsearch {command}" in done.stdout
    for parameter in tree.commands[command].params:
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert option in done.stdout
        assert parameter.help or parameter.name == "help"


def test_usage_errors_end_with_2(shell) -> None:
    for arguments, word in [
        (["sweep"], "TASK"),
        (["sweeep"], "sweeep"),
        (["sweep", "digits", "--bogus"], "--bogus"),
        (["sweep", "digits", "--trials", "0"], "--trials"),
        (["sweep", "digits", "--confirm", "-1"], "--confirm"),
        (["sweep", "digits", "--seed", "-1"], "--seed"),
        (["sweep", "digits", "--budget", "0"], "--budget"),
        (["sweep", "digits", "--budget", "-5"], "--budget"),
        (["sweep", "digits", "--budget", "many"], "--budget"),
        (["edge", "digits", "--budget", "0"], "--budget"),
        (["show", "--top", "0"], "--top"),
    ]:
        command = shell.run(*arguments)
        assert command.code == 2, arguments
        assert word in command.err
        assert command.out == ""
    assert {p.name for p in shell.folder.iterdir()} == {"task.py", ".output"}


# Regimes


def test_a_regime_map_is_printed_and_written(shell) -> None:
    arguments = ["regimes", "task.py:task", "--resolution", "1", "--out", "here"]
    command = shell.run(*arguments, picture=True)
    assert command.code == 0, command.err
    for word in ("1|2", "2|3", "best start", "x edge", "regimes-curve-40.html"):
        assert word in command.out
    document = one_document((shell.folder / "here" / f"regimes-curve-{BUDGET}.json").read_text())
    again = shell.run(*arguments, "--json")  # remembered: nothing is trained
    assert again.code == 0
    told = one_document(again.out)
    assert told.pop("files") == {"map": f"here/regimes-curve-{BUDGET}.json"}
    assert told == document
    assert "plotly" in again.err


def test_a_regime_map_that_cannot_be_is_told_in_a_sentence(shell) -> None:
    command = shell.run("regimes", "task.py:task", "--resolution", "0.3")
    assert command.code == 1
    assert command.err.startswith("error: task 'curve': the resolution must be 1, 1/2, 1/4")


# Solutions


def test_kinds_of_solution_are_told_and_remembered(swept, shell) -> None:
    made = swept.folder / "found here" / f"curve-{BUDGET}.json"
    other = shell.folder / "other.json"
    Schedule("cosine", peak=0.02, budget=BUDGET).save(other)
    arguments = ["solution", "task.py:task", str(made), str(other), "--seeds", "2", "--out", "here"]
    command = shell.run(*arguments)
    assert command.code == 0, command.err
    assert len([line for line in command.out.splitlines() if ", seed " in line]) == 4
    assert "cosine, peak 0.02 " in command.out
    again = shell.run(*arguments, "--json")
    assert again.code == 0
    assert ", seed " not in again.err  # nothing is trained again
    rows = one_document(again.out)["solutions"]
    assert [row["schedule"]["family"] for row in rows][1] == "cosine"
    for row in rows:
        assert len({run["metric"] for run in row["runs"]}) == 2
        assert all(run["sharpness"] > 0 and run["sparsity"] >= 0 for run in row["runs"])


def test_a_solution_that_is_none(shell) -> None:
    Schedule("constant", peak=1e9, budget=BUDGET).save(shell.folder / "hot.json")
    command = shell.run("solution", "task.py:task", "hot.json", "--seeds", "1")
    assert command.code == 1
    assert "diverged with seed 0" in command.err


# A whole sweep


def test_a_sweep_leaves_the_winner_and_its_page(swept) -> None:
    text = swept.command.out
    assert text.startswith(f"task curve: error, {BUDGET} steps a run, study curve-{BUDGET}\n")
    assert "edge learning rate" in text
    assert [line for line in text.splitlines() if line.startswith("trial 3: ")]
    assert "diverged" in next(x for x in text.splitlines() if x.startswith("trial 2: "))
    study = study_at(swept.folder)
    winner = Schedule.load(swept.folder / "found here" / f"curve-{BUDGET}.json")
    assert winner.provenance["trial"] == study.best_trial.number
    assert winner.provenance["metric"] == study.best_value
    assert winner.budget == BUDGET
    page = (swept.folder / "found here" / f"curve-{BUDGET}.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert f"curve-{BUDGET}" in page
    assert {p.name for p in (swept.folder / "found here").iterdir()} == {
        f"curve-{BUDGET}.json",
        f"curve-{BUDGET}.html",
    }
    assert f"cost {sum(r['cost'] for r in board(swept)):.1f} full runs for 4 trials" in text


def board(shell) -> list[dict[str, Any]]:
    shown = shell.run("show", "--storage", "sqlite:///s.db", "--json")
    assert shown.code == 0, shown.err
    return one_document(shown.out)["leaderboard"]


def commands_in(text: str) -> list[list[str]]:
    lines = text[text.rindex("next:") :].splitlines()[1:]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.strip()]


def test_the_last_lines_are_commands_that_work(tasks) -> None:
    """Also where names have spaces, families were chosen, and the folder is another one."""
    first = tasks.run(
        *sweep("more.py:spaced", 2, "my sweeps.db"), "--families", "linear,cosine",
        "--out", "the winner's", "--seed", "1",
    )  # fmt: skip
    assert first.code == 0, first.err
    export, show, go_on = commands_in(first.out)
    assert [c[0] for c in (export, show, go_on)] == ["export", "show", "sweep"]
    exported = tasks.run(*export)
    assert exported.code == 0, exported.err
    compile(exported.out, "snippet", "exec")
    shown = tasks.run(*show)
    assert shown.code == 0, shown.err
    assert "why it ended" in shown.out
    more = tasks.run(*go_on)
    assert more.code == 0, more.err
    study = study_at(tasks.folder, f"my group/my task-{BUDGET}", "my sweeps.db")
    assert len(study.get_trials()) == 4
    written = sorted(p.suffix for p in (tasks.folder / "the winner's").iterdir())
    assert written == [".html", ".json"]
    assert not list(tasks.folder.glob("*.json"))


def test_a_finished_sweep_has_nothing_to_do_and_more_trials_go_on(shell) -> None:
    first = shell.run(*sweep(trials=2))
    before, trained = everything(shell.folder), len(shell.log())
    again = shell.run(*sweep(trials=2))
    assert (first.code, again.code) == (0, 0)
    assert "remembered" in again.out
    assert everything(shell.folder) == before
    assert len(shell.log()) == trained
    more = shell.run(*sweep(trials=3))
    assert more.code == 0
    assert len(shell.log()) == trained + 1
    assert everything(shell.folder)[:3] == before


def test_json_is_one_document_and_progress_goes_elsewhere(shell) -> None:
    command = shell.run(*sweep(trials=2), "--json", "--confirm", "2")
    assert command.code == 0, command.err
    document = one_document(command.out)
    assert set(document) == {
        "study", "best", "cost", "leaderboard", "edge", "confirmation", "files",
    }  # fmt: skip
    assert [row["trial"] for row in document["leaderboard"]] in ([0, 1], [1, 0])
    assert document["best"] == json.loads(Path(shell.folder, f"curve-{BUDGET}.json").read_text())
    assert document["confirmation"]["trial"] == document["leaderboard"][0]["trial"]
    assert len(document["confirmation"]["values"]) == 2
    assert document["files"] == {
        "schedule": f"curve-{BUDGET}.json",
        "report": f"curve-{BUDGET}.html",
    }
    report = Path(shell.folder, document["files"]["report"]).read_text(encoding="utf-8")
    assert "retrained with 2 fresh seeds" in report  # written after them
    assert document["edge"]["learning_rate"] == document["leaderboard"][0]["edge"]
    assert "trial 1: " in command.err


def test_without_plotly_there_is_a_hint_and_no_failure(shell) -> None:
    command = shell.run(*sweep(trials=1))  # the shell blocks plotly
    assert command.code == 0
    assert (
        "the report has no figures, which need plotly: pip install 'lrsearch[viz]'" in command.out
    )
    assert {p.suffix for p in shell.folder.glob("curve*")} == {".json", ".html"}


def test_confirm_says_how_well_the_winner_reproduces_and_remembers(shell) -> None:
    first = shell.run(*sweep(trials=1), "--confirm", "2")
    assert first.code == 0, first.err
    assert first.out.count("retrained with seed") == 2
    (sentence,) = [x for x in first.out.splitlines() if x.startswith("winner (trial 0): error ")]
    assert re.search(r"(within|OUTSIDE) seed noise \(95 % of single runs expected in", sentence)
    trained = len(shell.log())
    again = shell.run(*sweep(trials=1), "--confirm", "2")
    assert sentence in again.out
    assert "retrained with seed" not in again.out
    assert len(shell.log()) == trained


def test_a_dry_run_says_what_it_would_cost_and_does_nothing(shell) -> None:
    command = shell.run(*sweep(trials=7), "--dry-run")
    assert command.code == 0, command.err
    assert f"at most 7 runs of {BUDGET} steps" in command.out
    assert "full runs" in command.out
    assert not list(shell.folder.glob("*.db"))
    document = one_document(shell.run(*sweep(trials=7), "--dry-run", "--json").out)
    assert document["full_runs"] == pytest.approx(document["edge"] / BUDGET + 7 * 1.02)


def test_a_sweep_ends_when_little_is_left(shell) -> None:
    command = shell.run(*sweep(trials=20), "--until", "90%")
    assert command.code == 0, command.err
    assert len(study_at(shell.folder).get_trials()) == 4
    assert "after 4 finished runs the best schedule is expected to be" in command.out
    assert "--until 90%" in command.out
    refused = shell.run(*sweep(), "--until", "soon")
    assert refused.code == 1
    assert "--until takes a share such as 1% or 0.01" in refused.err


def test_out_of_time_is_said_and_is_no_failure(shell) -> None:
    command = shell.start(*sweep(trials=50), "--timeout", "1", pace=0.02).wait()
    assert command.code == 0, command.err
    assert "out of time after 1 s: the same command goes on" in command.out
    assert 1 <= len(study_at(shell.folder).get_trials()) < 10


def test_no_time_at_all_finishes_nothing(shell) -> None:
    command = shell.run(*sweep(), "--timeout", "0")
    assert command.code == 3
    assert "no trials yet" in command.err


def test_enqueued_rates_are_tried_once_also_after_a_kill(shell) -> None:
    options = ["--enqueue", "cosine:0.05", "--enqueue", "0.03"]
    first = shell.start(*sweep(trials=4), *options, pace=0.02)
    folder = shell.folder / "s.db.runs" / f"curve-{BUDGET}"
    shell.until((folder / "trial-00000.pt").exists, "a checkpoint of trial 0")
    first.kill()
    again = shell.run(*sweep(trials=4), *options)
    assert again.code == 0, again.err
    rows = {row["trial"]: row for row in board(shell)}
    assert sorted(rows) == [0, 1, 2, 3]
    assert rows[0]["family"] == "cosine"
    assert [rows[0]["peak"], rows[1]["peak"]] == pytest.approx([0.05, 0.03])
    assert not {0.05, 0.03} & {round(rows[n]["peak"], 6) for n in (2, 3)}


def test_a_metric_to_maximise(tasks) -> None:
    command = tasks.run(*sweep("more.py:score"))
    assert command.code == 0, command.err
    assert "score [points]" in command.out
    rows = board(tasks)
    metrics = [row["metric"] for row in rows if row["metric"] is not None]
    assert len(metrics) >= 3
    assert metrics == sorted(metrics, reverse=True)
    winner = Schedule.load(tasks.folder / f"score-{BUDGET}.json")
    assert winner.provenance["metric"] == metrics[0]
    assert winner.provenance["direction"] == ["maximize"]


# Looking at it


def test_show_prints_every_trial_and_its_end(swept) -> None:
    shown = swept.run("show", "--storage", "sqlite:///s.db", "--study", f"curve-{BUDGET}")
    assert (shown.code, shown.err) == (0, "")
    heading, *rows = shown.out.splitlines()
    for word in ("trial", "error", "family", "multiplier", "peak rate", "cost", "why it ended"):
        assert word in heading
    assert {row.split()[0] for row in rows} >= {"0", "1", "2", "3"}
    assert "diverged" in shown.out
    assert f"study curve-{BUDGET}: cost" in rows[-1]
    top = swept.run("show", "--storage", "sqlite:///s.db", "--top", "1")
    best = study_at(swept.folder).best_trial.number
    assert [x.split()[0] for x in top.out.splitlines() if re.match(r" +\d+ ", x)] == [str(best)]


def test_show_tells_what_one_trial_was_doing(swept) -> None:
    best = study_at(swept.folder).best_trial.number
    shown = swept.run("show", "--storage", "sqlite:///s.db", "--trial", str(best))
    assert (shown.code, shown.err) == (0, "")
    first, *_, last = shown.out.splitlines()
    assert first.startswith(f"trial {best}: complete")
    assert last == "end: finished"
    assert "x edge" in shown.out
    plain = swept.run("show", "--storage", "sqlite:///s.db", "--trial", str(best), "--json")
    document = one_document(plain.out)
    assert document["row"]["trial"] == best
    for phase in document["phases"]:
        assert f"to step {phase['step']}: {phase['reason']}" in shown.out
    none = swept.run("show", "--storage", "sqlite:///s.db", "--trial", "99")
    assert none.code == 1
    assert "has no trial 99" in none.err


def test_show_as_json(swept) -> None:
    shown = swept.run("show", "--storage", "sqlite:///s.db", "--json")
    assert (shown.code, shown.err) == (0, "")
    document = one_document(shown.out)
    rows = document["leaderboard"]
    assert [row["state"] for row in rows] == ["complete"] * 3 + ["pruned"]
    assert rows[3]["metric"] is None
    assert all(row["peak"] == row["multiplier"] * row["alignment"] * row["edge"] for row in rows)
    assert document["cost"] == pytest.approx(sum(row["cost"] for row in rows))
    assert Schedule.from_dict(document["best"]).peak == rows[0]["peak"]


@pytest.mark.parametrize("command", ["show", "export"])
def test_looking_at_a_storage_that_is_not_there_makes_none(shell, command) -> None:
    for url, text in [
        ("sqlite:///none.db", "there is no storage none.db: run `lrsearch sweep` first"),
        ("journal:///none.log", "there is no storage none.log"),
    ]:
        done = shell.run(command, "--storage", url)
        assert done.code == 1
        assert text in done.err
        assert done.out == ""
    assert shell.run(command).code == 1  # the default one
    assert {p.name for p in shell.folder.iterdir()} == {"task.py", ".output"}


def test_unusable_storages(shell) -> None:
    (shell.folder / "text.db").write_text("hello\n")
    for arguments in (["show"], sweep()[:4]):
        for url in (
            "sqlite:///text.db",
            "sqlite:///.output",
            "journal:///text.db",
            "foo://someone:secret@host/db",
        ):
            done = shell.run(*arguments, "--storage", url)
            assert done.code == 1, (arguments, url)
            assert "error: cannot open the storage" in done.err
            assert len(done.err.splitlines()) == 1
            assert "secret" not in done.err + done.out
    assert (shell.folder / "text.db").read_text() == "hello\n"
    failed = shell.run("show", "--storage", "sqlite:///text.db", "--json")
    assert failed.code == 1
    assert one_document(failed.out)["error"] == "StorageError"


def test_a_study_that_is_not_there_is_answered_with_those_that_are(swept) -> None:
    done = swept.run("show", "--storage", "sqlite:///s.db", "--study", "other")
    assert done.code == 1
    assert f"no study 'other' in this storage, which has: curve-{BUDGET}" in done.err


# Exporting


def test_export_from_file_and_from_study_agree(swept) -> None:
    file = f"found here/curve-{BUDGET}.json"
    for form in ("json", "csv", "torch"):
        a = swept.run("export", file, "--format", form)
        b = swept.run("export", "--storage", "sqlite:///s.db", "--format", form)
        assert (a.code, b.code) == (0, 0), (a.err, b.err)
        assert a.out == b.out
    assert swept.run("export", file).out == (swept.folder / file).read_text()


def test_exported_numbers_are_those_of_the_schedule(swept, tmp_path) -> None:
    winner = Schedule.load(swept.folder / f"found here/curve-{BUDGET}.json")
    values = winner.values().tolist()
    text = swept.run("export", "--storage", "sqlite:///s.db", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["step"]) for row in rows] == list(range(BUDGET))
    assert [float(row["learning_rate"]) for row in rows] == values

    target = tmp_path / "deep" / "schedule.py"
    done = swept.run(
        "export", "--storage", "sqlite:///s.db", "--format", "torch", "-o", str(target)
    )
    assert (done.code, done.out) == (0, "")
    assert f"wrote {target}" in done.err
    assert "lrsearch" not in {
        w.split(".")[0] for w in re.findall(r"import (\S+)", target.read_text())
    }


def test_export_of_one_trial(swept) -> None:
    rows = {row["trial"]: row for row in board(swept)}
    for number in (1, 2):  # 2 was stopped
        done = swept.run("export", "--storage", "sqlite:///s.db", "--trial", str(number))
        assert done.code == 0, done.err
        document = one_document(done.out)
        assert document["provenance"]["trial"] == number
        assert document["peak"] == rows[number]["peak"]
    done = swept.run("export", "--storage", "sqlite:///s.db", "--trial", "99")
    assert done.code == 1
    assert "has no trial 99; its numbers end at 3" in done.err


def test_shape_parameters_from_the_command_line(shell) -> None:
    command = [
        *("sweep", "digits", "--budget", "40", "--trials", "2", "--families", "step,one_cycle"),
        *("--parameter", "drops=1,2", "--parameter", "step.factor=0.2..0.4"),
        *("--parameter", "one_cycle.momentum=kept", "--parameter", "rise=0.2"),
    ]
    done = shell.run(*command)
    assert done.code == 0, done.err
    (again,) = [line for line in done.out.splitlines() if "go on from here" in line]
    assert "--parameter drops=1,2 --parameter step.factor=0.2..0.4" in again
    study = open_study(
        open_storage(f"sqlite:///{shell.folder}/lrsearch.db", create=False), "digits-40"
    )
    found = {d["name"]: d for d in study.user_attrs["lrsearch:space"]["dimensions"]}
    assert found["step_drops"]["choices"] == [1.0, 2.0]
    assert (found["step_factor"]["low"], found["step_factor"]["high"]) == (0.2, 0.4)
    assert "one_cycle_rise" not in found


def test_families_that_average_from_the_command_line(shell) -> None:
    command = ["sweep", "digits-cnn", "--budget", "40", "--families", "swa,two_phase", "--out", "."]
    rates = ["--enqueue", "two_phase:0.003", "--enqueue", "swa:0.03"]
    done = shell.run(*command, *rates, "--trials", "2", "--confirm", "1")
    assert done.code == 0, done.err
    best = Schedule.load(shell.folder / "digits-cnn-40.json")
    assert best.family == "swa"
    assert best.averaging is not None
    assert "retrained with 1 fresh seeds" in done.out
    again = shell.run(*command, *rates, "--trials", "2")
    assert again.code == 0, again.err
    code = shell.run("export", "digits-cnn-40.json", "--format", "torch")
    assert "AVERAGE_FROM = " in code.out
    refused = shell.run("export", "digits-cnn-40.json", "--format", "csv")
    assert refused.code == 1
    assert "replace(schedule, family='constant', parameters={}, averaging=None)" in refused.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "drops",
            "--parameter takes NAME=VALUE, such as wsd.cooldown=0.2 or phi=0.5..5, got 'drops'",
        ),
        ("phi=", "--parameter takes NAME=VALUE"),
        ("phi=high", "no schedule takes this shape parameter: phi must be a finite number"),
        ("phi=5..2", "must be (low, high)"),
        ("rex.alpha=0.5", "unknown shape parameters ['rex.alpha']"),
    ],
)
def test_bad_shape_parameters_are_told_before_any_training(shell, text: str, said: str) -> None:
    done = shell.run("sweep", "digits", "--families", "uba", "--parameter", text)
    assert done.code == 1
    assert said in done.err


@pytest.mark.parametrize("form", ["csv", "json", "numpy", "optax", "torch", "transformers"])
def test_every_format_of_a_file(shell, form: str) -> None:
    schedule = Schedule("cosine", 0.1, 10)
    schedule.save(shell.folder / "s.json")
    done = shell.run("export", "s.json", "--format", form)
    assert done.code == 0, done.err
    assert done.out == render(schedule, form)


def test_a_format_that_cannot_say_it_names_the_way_out(shell) -> None:
    Schedule("rex", 0.1, 10).save(shell.folder / "rex.json")
    done = shell.run("export", "rex.json", "--format", "transformers")
    assert (done.code, done.out) == (1, "")
    assert "optimizers=(optimizer, schedule.torch(optimizer))" in done.err
    Schedule("cosine", 0.1, 10, warmup_steps=3).save(shell.folder / "warm.json")
    assert shell.run("export", "warm.json", "--format", "transformers").code == 1
    done = shell.run("export", "warm.json", "--format", "transformers", "--approximate")
    assert json.loads(done.out)["warmup_steps"] == 3


def test_families_are_listed_with_what_the_bound_says(shell) -> None:
    rows = json.loads(shell.run("families", "--budget", "400", "--json").out)["families"]
    assert [row["family"] for row in rows[-2:]] == list(tuner_families())
    assert [row["bound"] for row in rows[-2:]] == [None, None]
    rows = rows[:-2]
    assert {row["family"] for row in rows} == set(families())
    bounds = [row["bound"] for row in rows]
    assert bounds == sorted(bounds)
    assert rows[0]["family"] == "linear"
    assert rows[-1]["family"] == "constant"
    table = shell.run("families").out
    for name in (*families(), *tuner_families()):
        assert name in table
    assert "alpha*=0.5 (0..0.9)" in table
    assert "cycles*=2 (1|2|3|4), growth=1 (1|2)" in table
    tiny = json.loads(shell.run("families", "--budget", "2", "--json").out)["families"]
    assert tiny[-1]["bound"] is None
    assert shell.run("families", "--budget", "2").code == 0


def test_schedule_files_that_cannot_be_read(shell) -> None:
    good = Schedule(family="cosine", peak=0.1, budget=10).to_dict()
    for content, text in [
        (json.dumps(good | {"version": 99}), "from the future"),
        (json.dumps(good)[:-9], "not JSON"),
        (json.dumps(good | {"family": "spiral"}), "unknown schedule family 'spiral'"),
        (json.dumps(good | {"budget": 0}), "budget"),
        (json.dumps([1]), "must be a JSON object"),
        (None, "cannot read"),
    ]:
        path = shell.folder / "s.json"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        done = shell.run("export", "s.json")
        assert done.code == 1, content
        assert done.out == ""
        assert done.err.startswith("error: ")
        assert text in done.err
    (shell.folder / "s.json").write_text(json.dumps(good))
    unknown = shell.run("export", "s.json", "--format", "yaml")
    assert unknown.code == 1
    assert "known: csv, json, numpy" in unknown.err
    nowhere = shell.run("export", "s.json", "-o", ".output")
    assert nowhere.code == 1
    assert "error: cannot write .output" in nowhere.err


# The edge


def test_edge_measures_and_says_what_it_cost(shell) -> None:
    text = shell.run("edge", "task.py:task", "--seed", "3")
    assert text.code == 0, text.err
    assert "edge learning rate" in text.out
    assert f"full runs of {BUDGET} steps" in text.out
    assert f"next: lrsearch sweep task.py:task --budget {BUDGET}" in text.out
    plain = shell.run("edge", "task.py:task", "--seed", "3", "--json")
    assert plain.code == 0
    document = one_document(plain.out)
    assert f"{document['learning_rate']:.4g}" in text.out
    assert "annealed run 1" in plain.err
    other = one_document(shell.run("edge", "task.py:task", "--seed", "4", "--json").out)
    assert other["learning_rate"] != document["learning_rate"]
    assert {p.name for p in shell.folder.iterdir()} == {"task.py", ".output"}


# What goes wrong


def test_tasks_that_are_not_there(shell) -> None:
    (shell.folder / "bad.py").write_text("raise RuntimeError('half a file')")
    for name, text in [
        ("bogus", "no embedded task is called 'bogus'. Embedded are 'digits'"),
        ("bad.py:task", "failed with RuntimeError: half a file"),
        ("none.py:task", "does not exist"),
        ("task.py:other", "has no attribute 'other'"),
    ]:
        done = shell.run(*sweep(name))
        assert done.code == 1
        assert f"error: {'' if name != 'bad.py:task' else 'running '}" in done.err
        assert text in done.err
        assert "Traceback" not in done.err
    assert not (shell.folder / "s.db").exists()


def test_a_task_that_always_raises(tasks) -> None:
    done = tasks.run(*sweep("more.py:always"))
    assert done.code == 1
    assert "first 3 trials all failed, the last with OSError: the disk is gone: mend" in done.err
    assert [row["state"] for row in board(tasks)] == ["fail"] * 3
    shown = tasks.run("show", "--storage", "sqlite:///s.db")
    assert shown.out.count("OSError: the disk is gone") == 3
    trials = study_at(tasks.folder, f"always-{BUDGET}").get_trials()
    assert [t.user_attrs[ERROR_KEY] for t in trials] == ["OSError: the disk is gone"] * 3


def test_a_task_that_raises_in_its_loss(tasks) -> None:
    done = tasks.run(*sweep("more.py:in_loss"))
    assert done.code == 1
    assert "'in loss' failed while its edge was measured: OSError: the disk is gone" in done.err
    assert "Traceback" not in done.err
    failed = tasks.run("edge", "more.py:in_loss", "--json")
    assert failed.code == 1
    assert one_document(failed.out)["error"] == "TaskError"


def test_a_nan_loss(tasks) -> None:
    done = tasks.run(*sweep("more.py:nan"))
    assert done.code == 1
    assert "error: the loss is not finite before the first step" in done.err


def test_a_task_that_always_diverges_ends_with_3(tasks) -> None:
    done = tasks.run(*sweep("more.py:diverging"))
    assert done.code == 3
    assert "no trial of study" in done.err
    assert "4 pruned; 4 x diverged" in done.err
    assert not list(tasks.folder.glob("*.json"))
    shown = tasks.run("show", "--storage", "sqlite:///s.db", "--json")
    assert shown.code == 0
    assert one_document(shown.out)["best"] is None
    failed = tasks.run(*sweep("more.py:diverging"), "--json")
    assert failed.code == 3
    assert one_document(failed.out)["error"] == "StudyMismatchError"
    for arguments in (["export", "--storage", "sqlite:///s.db"],):
        exported = tasks.run(*arguments)
        assert exported.code == 1
        assert "no trial of study" in exported.err


def test_a_study_does_not_change_its_subject(tasks) -> None:
    name = f"curve-{BUDGET}"
    assert tasks.run(*sweep(trials=1), "--seed", "3").code == 0
    before = everything(tasks.folder)
    for task, options, text in [
        ("task.py:task", ["--budget", "41"], "budget was 40 and is now 41"),
        ("task.py:task", ["--families", "wsd"], "another search space: schedule_family was"),
        ("task.py:task", ["--seed", "4"], "begun with seed 3, not 4"),
        ("more.py:always", [], "is about task 'curve' (error), not 'always'"),
        ("more.py:score", [], "has direction minimize"),
    ]:
        done = tasks.run(*sweep(task), "--study", name, *options)
        assert done.code == 1, task
        assert text in done.err, done.err
        assert "annealed run" not in done.out
        assert everything(tasks.folder) == before
    assert not list(tasks.folder.glob("s.db.runs/*/trial-*.pt"))


def test_nonsense_is_refused_before_anything_is_done(shell) -> None:
    for options, text in [
        (["--enqueue", "cosine:fast"], "--enqueue takes [FAMILY:]RATE, such as cosine:0.1"),
        (["--enqueue", ""], "--enqueue takes [FAMILY:]RATE"),
        (["--enqueue", "cosinus:0.1"], "unknown schedule family 'cosinus'"),
        (["--enqueue", "nan"], "finite"),
        (["--enqueue=-0.1"], "> 0"),
        (["--families", "linear", "--enqueue", "cosine:0.1"], "does not search cosine"),
        (["--families", "spiral"], "unknown schedule families ['spiral']"),
        (["--families", "linear,linear"], "a family stands twice"),
        (["--watch-share", "0"], "share must lie in (0, 1]"),
        (["--out", "task.py"], "cannot write into task.py"),
    ]:
        done = shell.run(*sweep(), *options)
        assert done.code == 1, options
        assert text in done.err
        assert len(done.err.splitlines()) == 1
        assert shell.log() == []


def test_a_truncated_checkpoint_starts_that_trial_over(shell) -> None:
    first = shell.start(*sweep(), pace=0.02)
    path = shell.folder / "s.db.runs" / f"curve-{BUDGET}" / "trial-00000.pt"
    shell.until(path.exists, "a checkpoint")
    first.kill()
    os.truncate(path, path.stat().st_size // 2)
    again = shell.run(*sweep(trials=1))
    assert again.code == 0, again.err
    assert "trial 0 starts over: cannot read the checkpoint" in again.out
    assert shell.log()[-1][2] == BUDGET


def test_the_command_as_it_is_installed(tmp_path: Path) -> None:
    """One sweep in an interpreter of its own, with nothing imported beforehand."""
    code = "from lrsearch.cli import main; main()"
    arguments = ["sweep", "digits", "--budget", "20", "--trials", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert one_document(done.stdout)["study"] == "digits-20"
    assert (tmp_path / "digits-20.html").exists()
