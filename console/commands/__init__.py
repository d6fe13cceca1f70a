"""The commands of `quarterdeck`, each module imported only when its command runs."""

from __future__ import annotations


def run(arguments: list[str]) -> int:
    """Runs a command line that is not the bare form; returns the exit status."""
    from console.commands.group import run as run_group

    return run_group(arguments)
