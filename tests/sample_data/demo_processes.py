"""The demo's scripts as the demo runs them: processes of this interpreter on the real sample data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

SAMPLE_DATA = Path(__file__).resolve().parents[2] / "sample_data"
DEMO = SAMPLE_DATA / "demo"
FLIGHTS = SAMPLE_DATA / "flights_2013.parquet"
DEPLOYMENT = "flight-delay@production"

# The scripts are no package: they find each other beside themselves.
sys.path.insert(0, str(DEMO))


def run_script(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, DEMO / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{name} ended with {done.returncode}: {done.stderr}")
    return done


class Target:
    """A local target as store/release leaves it: `current` swapped by a rename."""

    def __init__(self, trained: Path, store: Path) -> None:
        self.trained = trained
        self.folder = store / "targets" / "production" / "flight-delay"
        self.revision = 0

    def point_to(self, version: str, digest: str | None = None) -> Path:
        """Make `version` effective under the next revision; returns the revision's folder."""
        import whole_files

        self.revision += 1
        folder = self.folder / "revisions" / str(self.revision)
        shutil.copytree(
            self.trained / "models" / "flight-delay" / version,
            folder / "model",
            ignore=shutil.ignore_patterns("reference.parquet"),
        )
        digest = digest or f"sha256:{whole_files.sha256(folder / 'model' / 'model.skops')}"
        pointer = {"deployment": DEPLOYMENT, "revision": self.revision, "version": version, "digest": digest}
        (folder / "revision.json").write_text(json.dumps(pointer))
        link = self.folder / ".next"
        link.symlink_to(f"revisions/{self.revision}")
        link.rename(self.folder / "current")
        return folder


class Scorer:
    """A running score.py; `next()` is the next status line it says."""

    def __init__(self, store: Path, *arguments: object) -> None:
        command = [sys.executable, DEMO / "score.py", "--data", FLIGHTS, "--store", store, "--inbox", store / "inbox"]
        self.process = subprocess.Popen(
            [*map(str, command), *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def next(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the scorer ended"
        found: dict[str, object] = json.loads(line)
        return found

    def until(self, key: str, value: object) -> dict[str, object]:
        while (said := self.next()).get(key) != value:
            pass
        return said

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code
