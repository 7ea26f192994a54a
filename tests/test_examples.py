"""The examples run as a newcomer runs them, in a folder of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from lrsearch import Schedule
from lrsearch.integrations.optuna import plan_of, readings_of

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
CLI = [sys.executable, "-W", "error", "-c", "from lrsearch.cli import main; main()"]


def run(folder: Path, *command: str) -> str:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_example_is_run_here_and_short() -> None:
    scripts = {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}
    assert set(scripts) == {
        "averaged.py",
        "edge_of_stability.py",
        "finished_run.py",
        "optuna_minimal.py",
        "own_task.py",
        "ray_cluster.py",
        "robust.py",
        "torchrun.py",
        "tuner.py",
    }
    assert all(text.count("\n") < 150 for text in scripts.values())


def test_tuner(tmp_path: Path) -> None:
    script = str(EXAMPLES / "tuner.py")
    said = run(tmp_path, sys.executable, "-W", "error", script, "--steps", "60")
    greedy = re.search(r"sigma 1, step +60: loss ([\d.]+), .* cost 210 gradients", said)
    again = re.search(r"without it: loss ([\d.]+), cost 60 gradients", said)
    assert greedy is not None
    assert again is not None
    assert max(float(greedy[1]), float(again[1])) < 0.3
    schedule = Schedule.load(tmp_path / "schedule.json")
    assert (schedule.family, schedule.budget) == ("piecewise", 60)


def test_robust(tmp_path: Path) -> None:
    said = run(tmp_path, sys.executable, "-W", "error", str(EXAMPLES / "robust.py"))
    rows = [line.split() for line in said.splitlines() if re.match(r" *\d+\.\d+ ", line)]
    losses, rises = ([float(row[i]) for row in rows] for i in (0, 1))
    assert losses == sorted(losses)
    assert rises == sorted(rises, reverse=True)  # nothing on the front is beaten in both
    number = int(re.search(r"chosen: trial (\d+)", said)[1])
    assert Schedule.load(tmp_path / "robust.json").provenance["trial"] == number


def test_averaged(tmp_path: Path) -> None:
    script = str(EXAMPLES / "averaged.py")
    options = ["--trials", "4", "--budget", "60"]
    said = run(tmp_path, sys.executable, "-W", "error", script, *options)
    rows = re.findall(r"^(\w+) +loss ([\d.]+), last weights ([\d.]+)$", said, re.MULTILINE)
    losses = {family: (float(loss), float(last)) for family, loss, last in rows}
    assert list(losses) == ["linear", "swa", "ema", "two_phase"]
    for family, (loss, last) in losses.items():
        assert loss < 1.0  # chance is 2.3
        assert (loss == last) == (family in ("linear", "two_phase"))
    best = Schedule.load(tmp_path / "best.json")
    assert f"best: {best.family}, peak {best.peak:.4g}" in said


@pytest.mark.distributed
def test_optuna_minimal(tmp_path: Path) -> None:
    script = str(EXAMPLES / "optuna_minimal.py")
    options = ["--budget", "60", "--storage", "sqlite:///sweep.db"]
    said = run(tmp_path, sys.executable, "-W", "error", script, "--trials", "3", *options)
    best = Schedule.load(tmp_path / "best.json")
    assert f"best: {best.family}, peak {best.peak:.4g}, width " in said
    assert best.budget == 60
    # The same command again goes on.
    run(tmp_path, sys.executable, script, "--trials", "1", *options, "--out", "again.json")
    study = optuna.load_study(study_name="digits", storage=f"sqlite:///{tmp_path / 'sweep.db'}")
    assert len(study.trials) == 4
    assert study.best_value < 0.5
    assert all(plan_of(t.user_attrs) and readings_of(t.user_attrs) for t in study.trials)
    again = Schedule.load(tmp_path / "again.json")
    assert again.provenance["metric"] == study.best_value <= best.provenance["metric"]
    assert {p.name for p in tmp_path.iterdir()} == {"best.json", "again.json", "sweep.db"}


@pytest.mark.distributed
def test_torchrun(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script = ["--nproc-per-node", "2", str(EXAMPLES / "torchrun.py")]
    options = ["--budget", "60", "--storage", "sqlite:///sweep.db"]
    said = run(tmp_path, *command, *script, "--trials", "3", *options)
    best = Schedule.load(tmp_path / "best.json")
    assert said.count(f"best: {best.family}, peak {best.peak:.4g}, width ") == 1
    # The same command again goes on.
    run(tmp_path, *command, *script, "--trials", "1", *options)
    study = optuna.load_study(study_name="digits-ddp", storage=f"sqlite:///{tmp_path / 'sweep.db'}")
    assert len(study.trials) == 4
    assert study.best_value < 0.7
    assert all(plan_of(t.user_attrs) and readings_of(t.user_attrs) for t in study.trials)
    assert {p.name for p in tmp_path.iterdir()} == {"best.json", "sweep.db"}


def test_edge_of_stability(tmp_path: Path) -> None:
    said = run(tmp_path, sys.executable, "-W", "error", str(EXAMPLES / "edge_of_stability.py"))
    *lines, last = said.splitlines()
    rho = [float(line.split("rho ")[1]) for line in lines]
    assert rho[0] < 0.7
    assert rho[: rho.index(max(rho))] == sorted(rho[: rho.index(max(rho))])  # it climbs
    assert all(0.9 < r < 1.15 for r in rho[-15:])  # and stays
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < losses[len(losses) // 2]  # while the loss goes on falling
    assert int(last.split()[0]) <= 3 * len(rho)  # products


def test_finished_run(tmp_path: Path) -> None:
    script = str(EXAMPLES / "finished_run.py")
    said = run(tmp_path, sys.executable, "-W", "error", script, "--budget", "200").splitlines()
    assert said[0].startswith("the convex bound ranks: linear < rex < cosine")
    finished, longer = (float(line.rpartition(":")[2].split()[-1]) for line in said[1:3])
    assert longer < finished < 0.5
    assert "from the checkpoint of step 160 on" in said[2]
    code = (tmp_path / "refined.py").read_text()
    assert "BUDGET = 200" in code
    compile(code, "refined.py", "exec")


@pytest.mark.distributed
def test_own_task(tmp_path: Path) -> None:
    task = f"{EXAMPLES / 'own_task.py'}:task"
    sizes = ["--budget", "60", "--trials", "3"]
    places = ["--storage", "sqlite:///own.db", "--out", "out"]
    said = run(tmp_path, *CLI, "sweep", task, *sizes, *places)
    best = Schedule.load(tmp_path / "out" / "curve-60.json")
    assert "edge learning rate" in said
    assert f"{best.peak:.3g}" in said
    assert best.budget == 60
    assert best.provenance["metric"] < 0.35  # a constant guess has 0.5
    study = optuna.load_study(study_name="curve-60", storage=f"sqlite:///{tmp_path / 'own.db'}")
    assert len(study.trials) == 3
    assert study.best_value == best.provenance["metric"]


@pytest.mark.distributed
def test_ray_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    script = str(EXAMPLES / "ray_cluster.py")
    options = ["--trials", "2", "--budget", "40", "--storage-path", str(tmp_path / "runs")]
    said = run(tmp_path, sys.executable, script, *options)
    best = Schedule.load(tmp_path / "best.json")
    assert f"best: {best.family}, peak {best.peak:.4g}, width " in said
    assert best.budget == 40
    assert best.provenance["metric"] < 2.5
