"""A training run as files: run.json and params.json whole, metrics.jsonl a line at a time while it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from whole_files import write_json


class RunFolder:
    """Context manager for runs/<name>: `running` on entry, `finished` or `failed` on exit."""

    def __init__(self, inbox: Path, name: str, params: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.name = name
        self.folder = inbox / "runs" / name
        self.params = params
        self.facts = {"name": name, "status": "running", "started_at": _now(), **facts}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        # A repeated run begins its metrics anew; the first line counts from here on.
        (self.folder / "metrics.jsonl").unlink(missing_ok=True)
        write_json(self.folder / "params.json", self.params)
        write_json(self.folder / "run.json", self.facts)
        return self

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl: whoever follows the file sees it at once."""
        line = json.dumps({"step": step, "time": time.time(), **metrics})
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ended = {"status": "finished" if error is None else "failed", "ended_at": _now()}
        if error is not None:
            ended["error"] = f"{type(error).__name__}: {error}"
        write_json(self.folder / "run.json", {**self.facts, **ended})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
