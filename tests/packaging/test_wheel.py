"""What is installed is what runs: the wheel holds all that the program reads at run time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git would take, so that leftovers of the work tree do not hide a gap."""
    source = tmp_path_factory.mktemp("source")
    for name in ("console", "store", "sample_data", "pyproject.toml", "README.md"):
        found = ROOT / name
        if found.is_dir():
            shutil.copytree(found, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(found, source)
    built = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel alone in a new environment that borrows the dependencies of this one; its bin folder."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Comes after the wheel's own packages; the editable install's own .pth file is not read that way.
    dependencies = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (site / "zz-dependencies.pth").write_text(
        f"import sys; sys.path.append({os.fspath(dependencies)!r})\n", encoding="utf-8"
    )
    script = folder / "bin" / "quarterdeck"
    script.write_text(
        f"#!{folder / 'bin' / 'python'}\nimport sys\nfrom console.cli import main\nsys.exit(main())\n", encoding="utf-8"
    )
    script.chmod(0o755)
    return folder / "bin"


def test_it_holds_the_migrations_and_the_sample_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    migrations = {path.name for path in (ROOT / "store" / "database" / "migrations").glob("*.sql")}
    assert migrations <= {Path(name).name for name in names if name.startswith("store/database/migrations/")}
    assert "console/sample_data/demo/play.py" in names
    assert any(name.startswith("console/sample_data/") and name.endswith(".parquet") for name in names)


def test_it_holds_nothing_of_the_tests(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"console", "store"}


def test_the_command_is_declared(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entry = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "quarterdeck = console.cli:main" in archive.read(entry).decode()


def test_the_installed_command_works_far_from_any_checkout(installed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed / "quarterdeck", *arguments, "--store", str(store)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    listed = run("ls", "runs", "--json")
    try:
        assert (listed.returncode, listed.stdout, listed.stderr) == (0, "[]\n", "")
    finally:
        stopped = run("agent", "stop")
    assert stopped.returncode == 0, stopped.stderr


def test_the_installed_demo_finds_its_data(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "python", "-c", "from console.demo import sample_data; print(sample_data())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("site-packages/console/sample_data")
