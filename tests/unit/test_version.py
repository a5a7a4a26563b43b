"""One version, wherever it is written."""

import tomllib
from pathlib import Path

import shortlist

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_and_the_project_file_say_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert shortlist.__version__ == project["version"]
