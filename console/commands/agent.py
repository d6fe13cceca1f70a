"""`quarterdeck agent`: the process behind the console, in the foreground or the background."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
import msgspec

from console.commands import output
from console.commands.group import json_option, store_folder, store_option
from console.link import Client, open_socket
from store.protocol import AgentStatus, Empty, ExitCode, Field, Refusal

STOP_SECONDS = 30.0


@click.group(no_args_is_help=False)
def agent() -> None:
    """Run, start or stop the store's process.

    The console starts one in the background when none runs.
    """


@agent.command()
@store_option
def run() -> None:
    """Run in the foreground (for systemd); SIGTERM ends it."""
    store = store_folder()
    os.execv(
        sys.executable, [sys.executable, "-P", "-m", "store.agent", "--store", str(store.absolute()), "--foreground"]
    )


@agent.command()
@json_option
@store_option
def start(as_json: bool) -> int:
    """Start one in the background, unless one runs."""
    with Client.connect(store_folder()) as client:
        found: AgentStatus = client.call("status", Empty())
    if as_json:
        print(output.json_text(status_object(found)))
    else:
        from console import text

        print(f"The agent of {text.clean(found.store)} runs as process {found.pid}.")
    return 0


@agent.command()
@json_option
@store_option
def stop(as_json: bool) -> int:
    """Let it finish what it has taken on, and end."""
    store = store_folder()
    with Client.connect(store, start_agent=False) as client:
        assert client.hello is not None
        pid = client.hello.pid
        client.call("stop", Empty())
    _until_gone(store, pid)
    print(output.json_text({"stopped": pid}) if as_json else f"The agent, process {pid}, has ended.")
    return 0


def _until_gone(store: Path, pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            open_socket(store).close()
            os.kill(pid, 0)
        except (Refusal, ProcessLookupError):
            if not Path(f"/proc/{pid}").exists():
                return
        except PermissionError:
            pass  # Another user's process: only its socket tells.
        time.sleep(0.02)
    raise Refusal(
        ExitCode.REFUSED,
        f"The agent, process {pid}, has not ended after {STOP_SECONDS:.0f} s.",
        f"Its log: {store / 'log' / 'agent.log'}",
    )


@agent.command()
@json_option
@store_option
def status(as_json: bool) -> int:
    """How the agent is; exit status 3 when none runs."""
    with Client.connect(store_folder(), start_agent=False) as client:
        found: AgentStatus = client.call("status", Empty())
    if as_json:
        print(output.json_text(status_object(found)))
        return 0
    output.print_fields(
        [
            Field("process", str(found.pid)),
            Field("store", found.store),
            Field("version", found.version),
            Field("schema", found.schema),
            Field("since", found.started_at, "time"),
            Field("journal sequence", found.sequence, "number"),
            Field("connections", found.connections, "number"),
            Field("arrivals waiting", found.queue, "number"),
            Field("taken in", found.taken, "number"),
            Field("quarantined", found.quarantined, "number"),
            Field("memory", found.memory_bytes, "bytes"),
            Field("CPU time", found.cpu_seconds, "duration"),
            Field("store size", found.store_bytes, "bytes"),
        ]
    )
    return 0


def status_object(found: AgentStatus) -> dict[str, object]:
    return {**msgspec.to_builtins(found), "started_at": output.iso(found.started_at)}
