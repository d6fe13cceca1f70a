"""The conductor of the demo: has version 1 trained, promotes it, has the months after it scored, has version 2 trained.

    python play.py --store STORE [--speed DAYS_PER_SECOND] [--until DAY] [--exit-at-end]

What it does to the store it does through the `quarterdeck` command, as anybody would; version 2 it only has
trained: promoting it, and rolling back, is the operator's. A store that it played on before is taken up where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

from agent_end import end_agent
from children import Children
from lifeline import die_with_parent, set_on


@dataclass(frozen=True)
class Tale:
    """What is told: scripts with their arguments. Version 2 is trained from the event day `second_from` on."""

    model: str
    data: str
    first: tuple[str, ...]
    scorer: tuple[str, ...]
    second: tuple[str, ...] = ()
    second_from: date = date.max


TALES = {
    "flights": Tale(
        "flight-delay",
        "flights_2013.parquet",
        ("train.py", "--version", "1", "--train", "2013-01..2013-02", "--reference", "2013-03"),
        ("score.py",),
        ("train.py", "--version", "2", "--train", "2013-01..2013-06", "--hold-out", "6"),
        # By then all that version 2 learns from has been seen.
        date(2013, 7, 1),
    ),
    "employment": Tale("employment", "employment_ma.parquet", ("employment.py", "train"), ("employment.py", "score")),
}
#: Seconds between two looks at what the conductor waits for.
LOOK_SECONDS = 0.4
#: Seconds until a version whose training has ended must have been taken in by the store.
TAKEN_IN_SECONDS = 120.0


class Stopped(Exception):
    """The conductor was asked to end."""


class Failed(Exception):
    """The story cannot go on; the message says why."""


class Story:
    """One telling of a tale on one store."""

    def __init__(
        self, options: argparse.Namespace, children: Children, log: IO[str], stopping: threading.Event
    ) -> None:
        self.tale = TALES[options.story]
        self.store: Path = options.store
        self.inbox: Path = self.store / "inbox"
        self.options = options
        self.children = children
        self.log = log
        self.stopping = stopping

    def tell(self) -> None:
        """Raises `Failed`, and `Stopped` once `stopping` is set."""
        if self.options.exit_at_end:
            # No console starts the agent: it is to see the training as it goes.
            self.children.command("agent", "start", "--store", self.store)
        if not self._is_trained("1"):
            trainer = self._start("training version 1", self.tale.first)
            while (code := trainer.poll()) is None:
                self._pause()
            if code != 0:
                raise Failed(f"the training of version 1 ended with {code}")
        self._await_version("1")
        if not os.path.lexists(self.store / "targets" / "production" / self.tale.model / "current"):
            self._promote("1", "the first version of the demo")
        self._score()
        if self.options.exit_at_end:
            self._await_taken_in()
        self.say("all is told")
        self.announce("the demo is over: no more data comes")

    def _start(self, what: str, script: tuple[str, ...], *more: object, listen: bool = False) -> subprocess.Popen[str]:
        data = self.options.sample_data / self.tale.data
        process = self.children.script(*script, "--data", data, "--inbox", self.inbox, *more, listen=listen)
        self.say(what)
        return process

    def _is_trained(self, version: str) -> bool:
        return (self.inbox / "models" / self.tale.model / version).exists()

    def _await_version(self, version: str) -> None:
        """Wait until the store has taken in `version` of the model."""
        named = f"{self.tale.model}@{version}"
        deadline = time.monotonic() + TAKEN_IN_SECONDS
        while time.monotonic() < deadline:
            done = self.children.command("ls", "versions", "--store", self.store, "--limit", "0", "--json")
            if done.returncode != 0:
                self.say(f"ls versions: {done.stderr.strip()}")
            elif any(row.get("id") == named for row in json.loads(done.stdout)):
                self.say(f"{named} is registered")
                return
            self._pause()
        raise Failed(f"{named} was trained but the store did not take it in")

    def _await_taken_in(self) -> None:
        """Wait until the agent has nothing left to take in."""
        before = -1
        deadline = time.monotonic() + TAKEN_IN_SECONDS
        while time.monotonic() < deadline:
            done = self.children.command("agent", "status", "--store", self.store, "--json")
            if done.returncode == 0:
                status = json.loads(done.stdout)
                # Twice the same: what has just arrived may not be counted as waiting yet.
                if status["queue"] == 0 and status["taken"] == before:
                    return
                before = status["taken"]
            self._pause()
        raise Failed("the agent did not take in everything")

    def _promote(self, version: str, reason: str) -> None:
        named = f"{self.tale.model}@{version}"
        done = self.children.command(
            "promote", named, "--to", "production", "--store", self.store, "--reason", reason, "--wait"
        )
        if done.returncode != 0:
            raise Failed(f"promote: {done.stderr.strip()}")
        self.say(f"{named} is promoted to production")

    def _score(self) -> None:
        """Have the scorer at work until its end; version 2 is trained once its months have passed."""
        more: list[object] = ["--store", self.store, "--speed", self.options.speed]
        if self.options.first:
            more += ["--from", self.options.first]
        if self.options.until:
            more += ["--until", self.options.until]
        scorer = self._start("scoring", self.tale.scorer, *more, listen=True)
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        assert scorer.stdout is not None
        threading.Thread(target=_pass_on, args=(scorer.stdout, said), name="scorer", daemon=True).start()
        trainer: subprocess.Popen[str] | None = None
        said_trained = False
        while line := self._next(said):
            print(line, file=self.log, flush=True)
            scored = json.loads(line)
            day = scored.get("day", "")
            if said_trained and scored.get("version") == "2":
                self.announce("")  # the operator has promoted it
            if trainer is None and day >= str(self.tale.second_from) and not self._is_trained("2"):
                trainer = self._start("training version 2", self.tale.second)
            if trainer is not None and not said_trained and trainer.poll() is not None:
                said_trained = self._say_trained(trainer)
        if scorer.wait() != 0:
            raise Failed(f"the scorer ended with {scorer.returncode}")
        if trainer is not None and not said_trained:
            while trainer.poll() is None:
                self._pause()
            self._say_trained(trainer)

    def _say_trained(self, trainer: subprocess.Popen[str]) -> bool:
        if trainer.returncode == 0:
            self.say("version 2 is trained; promoting it is the operator's")
            self.announce("version 2 is trained: P promotes it")
        else:
            self.say(f"the training of version 2 ended with {trainer.returncode}")
        return True

    def _next(self, said: queue.SimpleQueue[str]) -> str:
        """The scorer's next line, "" when it has ended."""
        while True:
            try:
                return said.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if self.stopping.is_set():
                    raise Stopped from None

    def _pause(self) -> None:
        if self.stopping.wait(LOOK_SECONDS):
            raise Stopped

    def announce(self, text: str) -> None:
        """For whoever sits at the console (console/demo.py reads it)."""
        news = self.store / "log" / "demo.news"
        news.with_suffix(".new").write_text(text, encoding="utf-8")
        news.with_suffix(".new").replace(news)

    def say(self, text: str) -> None:
        line = f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}"
        print(line, file=self.log, flush=True)
        if self.options.exit_at_end:
            # Nobody looks at a screen: then this is what there is to see.
            print(line, flush=True)


def _pass_on(lines: IO[str], said: queue.SimpleQueue[str]) -> None:
    for line in lines:
        said.put(line.strip())
    said.put("")


def main(arguments: list[str] | None = None) -> int:
    stopping = threading.Event()
    set_on(stopping, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    die_with_parent()
    options = _parser().parse_args(arguments)
    options.store = options.store.absolute()
    (options.store / "log").mkdir(parents=True, exist_ok=True)
    with (options.store / "log" / "demo.log").open("a", encoding="utf-8") as log:
        (options.store / "log" / "demo.news").unlink(missing_ok=True)  # of a telling before this one
        children = Children(log, json.loads(options.quarterdeck), os.environ)
        story = Story(options, children, log, stopping)
        code = 0
        try:
            story.tell()
        except Stopped:
            story.say("asked to end")
        except Exception as error:
            code = 1
            story.say(f"failed: {type(error).__name__}: {error}")
            story.announce("the demo's story broke off: log/demo.log in its store says why")
        try:
            if not options.exit_at_end:
                # The console is still open: whoever ends it ends this process, which then tidies up.
                stopping.wait()
            children.end()
            if options.stop_agent:
                end_agent(options.store, children)
        finally:
            if options.remove_store:
                shutil.rmtree(options.store, ignore_errors=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--story", choices=list(TALES), default="flights")
    parser.add_argument("--sample-data", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--speed", type=float, default=1.0, help="days of flights (weeks of answers) per second")
    parser.add_argument("--from", dest="first", default="", metavar="DAY", help="the first day that is scored")
    parser.add_argument("--until", default="", metavar="DAY", help="the last day that is scored")
    parser.add_argument(
        "--quarterdeck",
        default=json.dumps([sys.executable, "-m", "console.cli"]),
        metavar="JSON",
        help="the command, as a JSON list",
    )
    parser.add_argument("--exit-at-end", action="store_true", help="end with the story, not only when asked to")
    parser.add_argument("--stop-agent", action="store_true", help="stop the store's agent at the end")
    parser.add_argument("--remove-store", action="store_true", help="remove the store at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
