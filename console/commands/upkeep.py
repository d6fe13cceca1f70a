"""`quarterdeck init`, `backup`, `restore` and `doctor`: the care of the store itself."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from console.commands import output
from console.commands.group import json_option, store_folder, store_option
from console.link import Client
from store.protocol import BackupDone, BackupParams, CheckResult, DoctorReport, Empty, ExitCode, Refusal

_SIGNS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


def run_agent_command(store: Path, *arguments: str) -> Any:
    """A command of the store that needs no running agent, in a process of its own; what it answers.

    The console itself never imports the database. Raises `Refusal` as that process tells it.
    """
    command = [sys.executable, "-P", "-m", "store.agent", "--store", str(store.absolute()), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    try:
        if done.returncode == 0:
            return msgspec.json.decode(done.stdout)
        told = msgspec.json.decode(done.stderr.strip().rpartition(b"\n")[2])
        refusal = Refusal(ExitCode(told["code"]), told["message"], told["hint"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"])[-1]
        refusal = Refusal(ExitCode.USAGE, f"The store's process ended with status {done.returncode}: {last}")
    raise refusal


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@json_option
def init(folder: Path, as_json: bool) -> int:
    """Make a store in DIR.

    It gets a commented quarterdeck.toml and the watched folders.
    """
    found = run_agent_command(folder, "init")
    if as_json:
        print(output.json_text(found))
    else:
        from console import text

        kept = "" if found["written"] else " (its quarterdeck.toml was kept)"
        print(
            f"{text.clean(found['store'], 400)} is ready{kept}. Open it: quarterdeck --store {shlex.quote(str(folder))}"
        )
    return 0


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@store_option
def backup(file: Path, as_json: bool) -> int:
    """Copy the store into FILE while in use."""
    with Client.connect(store_folder()) as client:
        done: BackupDone = client.call("backup", BackupParams(str(file.absolute())))
    if as_json:
        print(output.json_text(msgspec.to_builtins(done)))
    else:
        from console import text

        print(
            f"{text.clean(done.path, 400)}: {text.byte_size(done.bytes)} in {text.duration(done.seconds)}, "
            f"up to journal sequence {done.sequence}"
        )
    return 0


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@json_option
@store_option
def restore(file: Path, as_json: bool) -> int:
    """Put a backup in the store's place.

    No agent may run on the store.
    """
    found = run_agent_command(store_folder(), "restore", str(file.absolute()))
    if as_json:
        print(output.json_text(found))
    else:
        from console import text

        print(f"{text.clean(found['store'], 400)} is what {text.clean(file, 400)} holds, schema {found['schema']}.")
    return 0


@click.command()
@json_option
@store_option
def doctor(as_json: bool) -> int:
    """Check the store and this terminal.

    The lock, the disk, the tables, the journal, the digests, the targets, the watched folders, glyphs and colours.
    Without an agent the store's files are looked at themselves.

    Exit status 1 when a check failed.
    """
    checks = [*_agent_checks(), *terminal_checks()]
    if as_json:
        print(output.json_text([msgspec.to_builtins(check) for check in checks]))
    else:
        print_checks(checks)
    return int(ExitCode.REFUSED) if any(check.status == "failed" for check in checks) else 0


def print_checks(checks: list[CheckResult]) -> None:
    from console import text

    width = max(len(check.name) for check in checks)
    for check in checks:
        name = text.fit(text.clean(check.name, 40), width)
        print(f"{_SIGNS[check.status]:<8} {name}  {text.clean(check.found, 1_000)}")
        if check.hint and check.status != "ok":
            print(f"{'':<8} {'':<{width}}  {text.clean(check.hint, 1_000)}")


def _agent_checks() -> list[CheckResult]:
    store = store_folder()
    try:
        with Client.connect(store) as client:
            report: DoctorReport = client.call("doctor", Empty())
    except Refusal as refusal:
        told = CheckResult("agent", "failed", refusal.message, refusal.hint)
        if "pid" in refusal.detail:
            words = "not looked at: the agent has its files open"
            return [told, CheckResult("store", "warning", words, "Ask again when it answers or has ended.")]
        files = _offline_checks(store)
        if any(check.status == "failed" for check in files):
            # The same, looked at more closely.
            told = CheckResult("agent", "failed", "none runs, and none starts on these files")
        return [told, *files]
    return report.checks


def _offline_checks(store: Path) -> list[CheckResult]:
    """What the store's files say by themselves."""
    try:
        return msgspec.convert(run_agent_command(store, "examine"), list[CheckResult])
    except Refusal as refusal:
        return [CheckResult("store", "failed", refusal.message, refusal.hint)]


def terminal_checks() -> list[CheckResult]:
    """What the console can do in this terminal; never a failure, since each lack has its plain form."""
    import shutil

    from console.glyphs import choose

    columns, lines = shutil.get_terminal_size()
    checks = [
        CheckResult("terminal", "ok", os.environ.get("TERM") or "TERM is not set")
        if os.environ.get("TERM", "dumb") != "dumb"
        else CheckResult(
            "terminal",
            "warning",
            f"TERM={os.environ.get('TERM', '')}",
            "The console needs a cursor-addressed terminal.",
        ),
        CheckResult(
            "size",
            "ok" if columns >= 80 and lines >= 24 else "warning",
            f"{columns} columns, {lines} lines",
            "The screens are made for 80 × 24 and more.",
        ),
        CheckResult(
            "glyphs",
            "warning" if choose().ascii else "ok",
            "ASCII only" if choose().ascii else "Unicode",
            "Set LANG to a UTF-8 locale, for instance C.UTF-8, or QUARTERDECK_ASCII=0.",
        ),
        CheckResult("colours", "ok", colours()),
    ]
    if os.environ.get("TMUX"):
        checks.append(CheckResult("copy", "ok", "OSC 52 through tmux; needs: set -g set-clipboard on"))
    return checks


def colours() -> str:
    """How many colours will be used, and what says so."""
    if os.environ.get("NO_COLOR"):
        return "none (NO_COLOR)"
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return f"none (TERM={os.environ.get('TERM', '')})"
    if os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        return "16 million (COLORTERM)"
    term = os.environ.get("TERM", "")
    return "256 (TERM)" if "256color" in term else "16 (TERM)"
