"""`quarterdeck demo`: a throw-away store, the conductor that plays the story on it, and the console in front."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from store.protocol import ExitCode, Refusal

#: Days of flights per second: the ten months that are scored then take five minutes.
USUAL_SPEED = 1.0
#: Seconds that the conductor has to end its children and the agent, and to remove the store.
TIDY_SECONDS = 30.0
#: What the console says before the story's first deployment.
AWAITS = "waiting for the first deployment: the demo trains version 1, then promotes it"
#: Where in the store the conductor says what the operator is to know.
NEWS = Path("log", "demo.news")
#: Tells the conductor whom it must not outlive (sample_data/demo/lifeline.py).
_PARENT = "QUARTERDECK_DEMO_PARENT"


def run_demo(speed: float | None = None, keep: Path | None = None, story: str = "flights") -> int:
    """Open the console on the story while it is played; returns the exit status.

    `speed` is in days of flights (weeks of answers) per second, `story` flights or employment. The store goes with
    the console unless `keep` names its folder; a store kept from before is taken up where it was. Raises `Refusal`
    where there is no terminal or no sample data.
    """
    from console.commands.opening import open_console

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refusal(
            ExitCode.USAGE,
            "The demo needs a terminal, and this is none.",
            "Without one: quarterdeck demo --headless --keep DIR",
        )
    with _store(keep) as store, _conductor(store, speed, keep is None, ["--stop-agent", "--story", story]):
        return open_console(store, AWAITS, lambda: read_news(store))


def run_headless(
    speed: float | None = None, keep: Path | None = None, until: date | None = None, story: str = "flights"
) -> int:
    """Play the story to the event day `until` with no console; returns the exit status, 1 where it failed.

    What happens is said on standard output.
    """
    more = ["--exit-at-end", "--stop-agent", "--story", story]
    if until is not None:
        more += ["--until", until.isoformat()]
    with _store(keep) as store, _conductor(store, speed, keep is None, more) as conductor:
        return conductor.wait()


def read_news(store: Path) -> str:
    """What the conductor has for the operator (sample_data/demo/play.py); "" while it has nothing."""
    try:
        return (store / NEWS).read_text("utf-8").strip()
    except OSError:
        return ""


def sample_data() -> Path:
    """The folder of the sample data: beside this package in a checkout, inside it in an installed wheel.

    Raises `Refusal` where it is in neither.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "sample_data", here.parent / "sample_data"):
        if (folder / "demo" / "play.py").is_file():
            return folder
    raise Refusal(
        ExitCode.USAGE,
        f"The sample data is neither in {here} nor beside it.",
        "Install quarterdeck again; its wheel holds it.",
    )


#: The settings of a demo's store.
_SETTINGS = """\
[monitor]
# The weather of any one day is unlike a month's; a week of flights is what it takes to call it drift.
alert_window = "1w"
"""


@contextmanager
def _store(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        store = keep.expanduser().absolute()
        store.mkdir(parents=True, exist_ok=True)
        _write_settings(store)
        yield store
        return
    store = Path(tempfile.mkdtemp(prefix="quarterdeck-demo-"))
    try:
        _write_settings(store)
        yield store
    finally:
        # The conductor removes it, so that it also goes when this process is killed; here for when that one was.
        shutil.rmtree(store, ignore_errors=True)


def _write_settings(store: Path) -> None:
    path = store / "quarterdeck.toml"
    if not path.exists():
        path.write_text(_SETTINGS, encoding="utf-8")


@contextmanager
def _conductor(
    store: Path, speed: float | None, throw_away: bool, more: list[str]
) -> Iterator[subprocess.Popen[bytes]]:
    script = sample_data() / "demo" / "play.py"
    command = [sys.executable, str(script), "--store", str(store), "--speed", str(speed or USUAL_SPEED), *more]
    if throw_away:
        command.append("--remove-store")
    quiet = None if "--exit-at-end" in more else subprocess.DEVNULL
    conductor = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=quiet,
        stderr=quiet,
        # A session of its own: what the terminal sends to its group, and its hang-up, are the console's alone.
        start_new_session=True,
        env=_environment(),
    )
    try:
        yield conductor
    finally:
        conductor.terminate()
        try:
            conductor.wait(TIDY_SECONDS)
        except subprocess.TimeoutExpired:
            conductor.kill()
            conductor.wait()
        if conductor.returncode < 0:
            # It was killed before it could tidy up; its children went with it, the agent did not.
            _stop_agent(store)


def _stop_agent(store: Path) -> None:
    from console.link import Client, open_socket
    from store.protocol import Empty

    deadline = time.monotonic() + TIDY_SECONDS
    try:
        with Client.connect(store, start_agent=False) as client:
            client.call("stop", Empty())
        while time.monotonic() < deadline:
            open_socket(store).close()
            time.sleep(0.05)
    except Refusal:
        return  # none answers (any more)


def _environment() -> dict[str, str]:
    """This process's, in which the scripts find the `console` package that runs here, installed or not."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    # With a "safe path" the scripts would not find each other.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return {**inherited, "PYTHONPATH": path, _PARENT: str(os.getpid())}
