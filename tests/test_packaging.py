"""What the package says about itself agrees with what it is."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

import lrsearch

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIN = re.compile(r"[A-Za-z0-9._-]+==[^\s;+]+")


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_version_is_that_of_the_metadata() -> None:
    assert lrsearch.__version__ == importlib.metadata.version("lrsearch")


@pytest.mark.parametrize("name", ["py.typed", "tasks/digits.npz"])
def test_data_file_is_in_the_package(name: str) -> None:
    assert files("lrsearch").joinpath(name).is_file()


def test_command_is_installed() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="lrsearch")
    assert command.value == "lrsearch.cli:main"
    assert callable(command.load())


def test_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    hosts = {"lightning", "ray", "transformers"}
    assert set(extras) == hosts | {"dashboard", "dev", "grpc", "postgresql", "viz"}
    assert all(extras.values())


def test_users_get_a_range_not_a_pin() -> None:
    requirements = [*PROJECT["dependencies"], PROJECT["requires-python"]]
    requirements += [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    assert [line for line in requirements if re.search(r"==|<|~=|>=.*,", line)] == []


def test_constraints_pin_everything_we_install() -> None:
    pinned = pins()
    assert [line for line in pinned if not PIN.fullmatch(line)] == []
    assert "torch==2.13.0" in pinned
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["dev"], *extras["viz"]]
    names = {normal(re.split(r"[\[>]", line)[0]) for line in wanted}
    assert names - {normal(line.split("==")[0]) for line in pinned} == set()


def test_quick_start_is_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^#+ quick ?start\b.*?$(.*?)(?=^#+ |\Z)", readme, re.I | re.M | re.S)
    assert section, "README.md has no section 'Quick start'"
    blocks = re.findall(r"^```.*?\n(.*?)^```", section[1], re.M | re.S)
    lines = [re.sub(r"#.*|^\$ ", "", line).strip() for line in "\n".join(blocks).splitlines()]
    assert [line for line in lines if re.match("make|pip|python", line)] == [
        "make demo",
        "make test",
    ]
