"""`quarterdeck agent`: the process behind the console, in the foreground or the background."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import click
import msgspec

from console.agent_process import end, state_of
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


accept_loss_option = click.option(
    "--accept-loss",
    is_flag=True,
    help="Go on without what is damaged or missing, where the agent refuses to start and says what that is.",
)


@agent.command()
@accept_loss_option
@store_option
def run(accept_loss: bool) -> None:
    """Run in the foreground (for systemd); SIGTERM ends it."""
    command = [sys.executable, "-P", "-m", "store.agent", "--store", str(store_folder().absolute()), "--foreground"]
    os.execv(sys.executable, [*command, "--accept-loss"] if accept_loss else command)


@agent.command()
@accept_loss_option
@json_option
@store_option
def start(accept_loss: bool, as_json: bool) -> int:
    """Start one in the background, unless one runs."""
    with Client.connect(store_folder(), accept_loss=accept_loss) as client:
        found: AgentStatus = client.call("status", Empty())
    if as_json:
        print(output.json_text(status_object(found)))
    else:
        from console import text

        print(f"The agent of {text.clean(found.store)} runs as process {found.pid}.")
    return 0


@agent.command()
@click.option("--force", is_flag=True, help="End it even if it does not answer: SIGTERM, then SIGKILL.")
@json_option
@store_option
def stop(force: bool, as_json: bool) -> int:
    """Let it finish what it has taken on, and end."""
    store = store_folder()
    try:
        with Client.connect(store, start_agent=False) as client:
            assert client.hello is not None
            pid = client.hello.pid
            client.call("stop", Empty())
        _until_gone(store, pid)
        words = f"The agent, process {pid}, has ended."
    except Refusal as refusal:
        # One that answers and says no is not to be forced, nor is there anything to force where none runs.
        if not force or "pid" not in refusal.detail:
            raise
        pid, words = end(store)
    print(output.json_text({"stopped": pid, "how": words}) if as_json else words)
    return 0


def _until_gone(store: Path, pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            open_socket(store).close()
            os.kill(pid, 0)
        except (Refusal, ProcessLookupError):
            # One that its parent has not collected has ended, too.
            if state_of(pid) in ("", "Z"):
                return
        except PermissionError:
            pass  # Another user's process: only its socket tells.
        time.sleep(0.02)
    raise Refusal(
        ExitCode.REFUSED,
        f"The agent, process {pid}, has not ended after {STOP_SECONDS:.0f} s.",
        f"End it: quarterdeck --store {shlex.quote(str(store))} agent stop --force (its log: "
        f"{store / 'log' / 'agent.log'})",
        {"pid": pid},
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
