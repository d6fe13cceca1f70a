"""Opens the console on a store; imports no click, since the bare command comes straight here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from store.protocol import ExitCode, Refusal, default_store


def open_console(store: str | Path | None, awaits: str = "", news: Callable[[], str] | None = None) -> int:
    """The console on `store` (None: the default one); the exit status when it has closed.

    `awaits` is what it says while nothing is deployed, where that is not for the operator to change;
    `news` gives what is to be told of who else works on the store.
    """
    folder = default_store() if store is None else Path(store).expanduser()
    try:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise Refusal(
                ExitCode.USAGE,
                "The console needs a terminal, and this is none.",
                "For scripts: quarterdeck ls KIND --json; over ssh: ssh -t HOST quarterdeck",
            )
        from console.launch import launch

        return launch(folder, awaits=awaits, news=news)
    except Refusal as refusal:
        from console.commands.output import print_error

        print_error(refusal, as_json=False)
        return int(refusal.code)
