"""`lrsearch sweep --ray`: what the command line makes of it, with Ray and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lrsearch
from lrsearch.cli import app
from lrsearch.cli._optional import with_address
from lrsearch.cli._words import runner
from lrsearch.exceptions import UnsupportedError
from lrsearch.sweeps import SweepResult, sweep

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(lrsearch.__file__).parents[1])}
SWEEP = ["sweep", "digits", "--budget", "20", "--trials", "1"]
# What stands between a user and `lrsearch` where Ray was never installed.
WITHOUT_RAY = """
import sys
sys.modules["ray"] = None
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--ray"], ["--ray", "local"]),
        (["digits", "--ray"], ["digits", "--ray", "local"]),
        (["--ray", "--workers", "2"], ["--ray", "local", "--workers", "2"]),
        (["--ray", "auto"], ["--ray", "auto"]),
        (["--ray", "10.0.0.1:6379", "--json"], ["--ray", "10.0.0.1:6379", "--json"]),
        (["--ray=auto", "digits"], ["--ray=auto", "digits"]),
        (["--out", "--ray-of-light"], ["--out", "--ray-of-light"]),
        ([], []),
    ],
)
def test_ray_alone_is_this_machine(words: list[str], expected: list[str]) -> None:
    assert with_address(words) == expected


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The clusters that the command line would run on; the sweep itself runs here."""
    module = pytest.importorskip("lrsearch.sweeps.ray")
    asked: list[Any] = []

    def ray_sweep(*task_and_space: Any, cluster: Any, **options: Any) -> SweepResult:
        options.pop("checkpoint_seconds")
        asked.append(cluster)
        return sweep(*task_and_space, **options)

    monkeypatch.setattr(module, "ray_sweep", ray_sweep)
    monkeypatch.chdir(tmp_path)
    return asked


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--ray"], {"address": "local", "workers": None, "cpus": 1.0, "gpus": 0.0}),
        (["--ray", "--workers", "3"], {"address": "local", "workers": 3}),
        (["--ray", "auto"], {"address": "auto"}),
        (["--ray", "10.0.0.1:6379"], {"address": "10.0.0.1:6379"}),
        (
            ["--cpus-per-trial", "2", "--gpus-per-trial", "0.25", "--ray", "auto"],
            {"address": "auto", "cpus": 2.0, "gpus": 0.25, "files": None},
        ),
        (
            ["--ray", "--files", "s3://bucket", "--patience", "5"],
            {"files": "s3://bucket", "patience": 5.0},
        ),
    ],
)
def test_the_options_say_where_trials_run_and_what_they_take(clusters, words, expected) -> None:
    done = CliRunner().invoke(app, [*SWEEP, *words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (cluster,) = clusters
    assert {name: getattr(cluster, name) for name in expected} == expected


def test_the_command_for_more_trials_says_ray_again(clusters) -> None:
    done = CliRunner().invoke(
        app, [*SWEEP, "--ray", "auto", "--workers", "2"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "--ray auto --workers 2" in said


@pytest.mark.parametrize(
    "words",
    [
        ["--workers", "2"],
        ["--cpus-per-trial", "2"],
        ["--gpus-per-trial", "0.5"],
        ["--files", "/data"],
    ],
)
def test_its_options_without_ray_are_refused(tmp_path, monkeypatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*SWEEP, *words])
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert words[0] in said
    assert "need --ray" in said
    assert not list(tmp_path.glob("*.db"))


def test_rays_client_is_refused(tmp_path, monkeypatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*SWEEP, "--ray", "ray://head:10001"])
    assert done.exit_code == 1
    assert "--ray auto" in " ".join(done.output.split())


def test_without_ray_it_is_the_sweep_of_this_process() -> None:
    assert runner(None, None, 1.0, 0.0, None, 1800.0, 10.0) is sweep
    with pytest.raises(UnsupportedError, match="need --ray"):
        runner(None, 2, 1.0, 0.0, None, 1800.0, 10.0)


# Where Ray is not installed


def run(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_RAY + code, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_a_missing_ray_says_what_to_install(tmp_path: Path) -> None:
    code = "from lrsearch.cli import main; main()"
    done = run(code, *SWEEP, "--ray", folder=tmp_path)
    assert done.returncode == 1
    assert "pip install 'lrsearch[ray]'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.db"))


def test_everything_else_works_without_ray(tmp_path: Path) -> None:
    """Every module but Ray's own is imported, and a sweep sweeps."""
    code = """
import importlib, pkgutil
import lrsearch
from lrsearch.exceptions import MissingExtraError
missing = set()
for found in pkgutil.walk_packages(lrsearch.__path__, "lrsearch."):
    if found.name.rpartition(".")[2] == "__main__":
        continue
    if ".ray" in found.name and found.name != "lrsearch.ray":
        continue  # behind it
    try:
        importlib.import_module(found.name)
    except ImportError as error:
        missing.add(found.name)
        assert isinstance(error, MissingExtraError), error
assert missing == {"lrsearch.ray"}, missing
from lrsearch.cli import main
main()
"""
    done = run(code, *SWEEP, "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lrsearch.db").exists()


@pytest.mark.parametrize("statement", ["import lrsearch.ray", "lrsearch.ray"])
def test_the_module_for_ray_says_it_too(tmp_path: Path, statement: str) -> None:
    done = run(f"import lrsearch\n{statement}", folder=tmp_path)
    assert done.returncode == 1
    assert "MissingExtraError: lrsearch.ray needs Ray Tune" in done.stderr
    assert "pip install 'lrsearch[ray]'" in done.stderr
