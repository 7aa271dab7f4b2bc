"""What must agree outside the library: lists of dependencies, the documents, what is committed."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
REQUIREMENTS = [Requirement(line) for line in PROJECT["dependencies"] + EXTRAS]
FOLDERS = {".ci", "chapters", "data", "lib", "solutions", "tests"}
DOCUMENTS = {"README.md", "LICENSE", "CITATION.cff", "CONTRIBUTING.md"}
SETTINGS = {"Makefile", "pyproject.toml", "constraints.txt", "environment.yml", ".gitignore"}


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_conda_takes_everything_from_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    python = f"python{PROJECT['requires-python']}"
    assert conda == [python, "pip"], "name packages in pyproject.toml only"
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    installed = [line for line in pip if not line.startswith("--")]
    assert installed == ["-c constraints.txt", "-e ."]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_constraints_lie_within_the_ranges(requirement: Requirement):
    exact = {name.lower(): version for name, version in constraints().items()}
    assert requirement.name in exact, f"{requirement.name} has no exact version in constraints.txt"
    assert requirement.specifier.contains(exact[requirement.name])


def test_readme_opens_with_the_two_commands():
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:30])
    assert "make lab" in first_screen and "make test" in first_screen


def test_links_of_the_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), ROOT / "data/README.md"]:
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_make_knows_the_commands_it_names():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^#   make (\w+)", makefile, flags=re.MULTILINE))
    assert named == set(re.search(r"\.PHONY: (.*)", makefile)[1].split())


def committed() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return done.stdout.splitlines()


def test_top_level_holds_what_the_map_says():
    assert {name.split("/")[0] for name in committed()} <= FOLDERS | DOCUMENTS | SETTINGS


def test_nothing_large_is_committed():
    files = [ROOT / name for name in committed()]
    assert not [file for file in files if file.exists() and file.stat().st_size > 2_000_000]
