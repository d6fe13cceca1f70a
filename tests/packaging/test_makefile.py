"""`make` sets up once, says what is wrong with a Python that will not do, and the README names its commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make") or ""

pytestmark = pytest.mark.skipif(not MAKE, reason="make is not installed")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment.pop("VENV", None)
    return subprocess.run(
        [MAKE, "-f", str(ROOT / "Makefile"), "--no-print-directory", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


def python(folder: Path, body: str) -> Path:
    """A stand-in for an interpreter."""
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return script


def test_an_old_python_is_named(project: Path) -> None:
    old = python(project, 'case "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac')
    done = make(project, "setup", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.9.2 is too old: Quarterdeck needs Python 3.11 or later" in done.stderr


def test_a_missing_python_is_named(project: Path) -> None:
    done = make(project, "setup", "PYTHON=python-that-is-not-there")
    assert "There is no python-that-is-not-there" in done.stderr


def test_a_python_without_venv_is_told_the_package(project: Path) -> None:
    bare = python(project, 'case "$2" in "import ensurepip") exit 1;; *) exit 0;; esac')
    done = make(project, "setup", f"PYTHON={bare}")
    assert "apt install python3-venv" in done.stderr


def test_set_up_does_nothing_when_nothing_changed(project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / ".quarterdeck-ready").touch()
    done = make(project, "setup", "PYTHON=false")
    assert (done.returncode, done.stderr) == (0, "")


def test_set_up_runs_again_when_the_dependencies_changed(project: Path) -> None:
    (project / ".venv").mkdir()
    stamp = project / ".venv" / ".quarterdeck-ready"
    stamp.touch()
    os.utime(stamp, (0, 0))
    assert make(project, "setup", "PYTHON=false").returncode != 0


def test_the_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / "README.md").read_text()
    assert "make --no-print-directory test" in (ROOT / ".ci" / "run").read_text()
