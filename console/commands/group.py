"""The command group: finds a command's module when it is asked for, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from console.commands.output import print_error, says_json
from store.protocol import ExitCode, Refusal, default_store

#: command -> module in this package; the module's attribute has the command's name.
COMMANDS = {
    "demo": "demo",
    "agent": "agent",
    "init": "upkeep",
    "ls": "listing",
    "show": "listing",
    "drift": "drift",
    "promote": "acting",
    "rollback": "acting",
    "abort": "acting",
    "retry": "acting",
    "ack": "acting",
    "mute": "acting",
    "resolve": "acting",
    "alerts": "alerts",
    "note": "acting",
    "journal": "journal",
    "backup": "upkeep",
    "restore": "upkeep",
    "doctor": "upkeep",
}

Command = TypeVar("Command", bound=Callable[..., Any])


class LazyGroup(click.Group):
    """Imports `console.commands.MODULE` only for the command that runs (or for the list of all)."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found = getattr(importlib.import_module(f"console.commands.{module}"), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean: quarterdeck {near[0]}" if near else "All commands: quarterdeck --help"
            raise Refusal(ExitCode.USAGE, f"There is no command {args[0]!r}.", hint)
        return super().resolve_command(ctx, args)


def _remember_store(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.find_root().obj = Path(value).expanduser()


def store_option(command: Command) -> Command:
    """`--store DIR`, on the group and on every command: it may stand on either side of the command's name."""
    return click.option(
        "--store",
        metavar="DIR",
        expose_value=False,
        callback=_remember_store,
        help="The store. Default: $QUARTERDECK_STORE, else quarterdeck in the XDG data folder.",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON; errors are objects on stderr.")(command)


def store_folder() -> Path:
    """The store that this command line names."""
    named = click.get_current_context().find_root().obj
    return named if isinstance(named, Path) else default_store()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="quarterdeck", message="quarterdeck %(version)s")
@store_option
@click.pass_context
def quarterdeck(ctx: click.Context) -> int:
    """The terminal operations console for machine-learning models in production.

    Without a command: open the console.
    """
    if ctx.invoked_subcommand is None:
        from console.commands.opening import open_console

        return open_console(store_folder())
    return 0


def run(arguments: list[str]) -> int:
    """Runs the command line `arguments`; prints errors, returns the exit status."""
    as_json = says_json(arguments)
    _open_what_is_closed()
    try:
        status = quarterdeck.main(args=list(arguments), prog_name="quarterdeck", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else int(ExitCode.DONE)
    except Refusal as refusal:
        print_error(refusal, as_json)
        return int(refusal.code)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        print_error(_usage(error), as_json)
        return int(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        print("", file=sys.stderr)
        return 130
    except (BrokenPipeError, SystemExit):
        # The reader (`head`, a pager) has enough, which click turns into an exit with status 1. Nothing was
        # refused; and the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return int(ExitCode.DONE)
    except OSError as error:
        print_error(Refusal(ExitCode.USAGE, str(error)), as_json)
        return int(ExitCode.USAGE)


def _open_what_is_closed() -> None:
    """Started with `>&-` or `2>&-`, a stream is None: prints to standard error would then go to standard output."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _usage(error: click.ClickException) -> Refusal:
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "quarterdeck"
    # click lays some messages out over several lines.
    return Refusal(ExitCode.USAGE, " ".join(error.format_message().split()), f"Usage: {path} --help")
