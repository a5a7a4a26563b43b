"""docs/adr/0005-dependencies.md has a line for every direct dependency, and for nothing else."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FROM_NPM = {"aws-cdk", "asl-validator"}


def name_of(requirement: str) -> str:
    """`moto[server]==5.2.5` -> `moto`."""
    return re.split(r"[\[<>=~! ]", requirement)[0].lower()


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [
        project["project"]["dependencies"],
        project["build-system"]["requires"],
        *project["dependency-groups"].values(),
    ]
    return {name_of(entry) for group in groups for entry in group if isinstance(entry, str)}


def explained() -> set[str]:
    page = (ROOT / "docs" / "adr" / "0005-dependencies.md").read_text()
    first_cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    return {name_of(name) for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}


def test_each_dependency_says_why_it_is_one() -> None:
    # GIVEN what pyproject.toml declares, and what comes from npm
    wanted = declared() | FROM_NPM

    # WHEN the page is read
    found = explained()

    # THEN both have the same names
    assert found == wanted
