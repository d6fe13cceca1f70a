"""The `quarterdeck` command: the bare form opens the console at once, every other goes through click."""

from __future__ import annotations

import sys

#: What `console_store` answers when the arguments are not those of the bare form.
_NOT_BARE = object()


def console_store(arguments: list[str]) -> object:
    """The store the bare form names (a string, None for the default), or `_NOT_BARE`.

    The bare form is `quarterdeck`, `quarterdeck --store DIR` and `quarterdeck --store=DIR`.
    """
    if not arguments:
        return None
    if len(arguments) == 2 and arguments[0] == "--store" and arguments[1]:
        return arguments[1]
    if len(arguments) == 1 and arguments[0].startswith("--store=") and arguments[0] != "--store=":
        return arguments[0].removeprefix("--store=")
    return _NOT_BARE


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status (`store.protocol.ExitCode`)."""
    if arguments is None:
        arguments = sys.argv[1:]
    # A shell that asks for completions passes no arguments either: that question is click's.
    store = console_store(arguments)
    if store is _NOT_BARE or _completing():
        if arguments[:1] == ["drift"] and not _completing():
            # Its worker takes longer to start than the command line to be read.
            from console import comparison

            if comparison.wanted(arguments):
                comparison.start()
        # click takes a tenth of what the console may take until its first frame, so only here.
        from console.commands import run

        return run(arguments)
    from console.commands.opening import open_console

    return open_console(None if store is None else str(store))


def _completing() -> bool:
    import os

    return "_QUARTERDECK_COMPLETE" in os.environ


if __name__ == "__main__":
    sys.exit(main())
