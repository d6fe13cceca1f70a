"""`python -m store.agent`: run the agent of a store, make an empty store, or restore one from a backup."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import msgspec

from store.protocol import ExitCode, Refusal, default_store


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m store.agent")
    parser.add_argument("--store", type=Path, default=None)
    parser.add_argument("--foreground", action="store_true", help="log to standard error too")
    parser.add_argument("--accept-loss", action="store_true", help="go on without what is damaged or missing")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("init", help="make the folders and a commented quarterdeck.toml, and end")
    commands.add_parser("examine", help="say what is whole and what is not, change nothing, and end")
    restoring = commands.add_parser("restore", help="make the store what a backup holds, and end")
    restoring.add_argument("file", type=Path)
    restoring.add_argument("--store", type=Path, default=argparse.SUPPRESS)
    arguments = parser.parse_args()
    store = (arguments.store or default_store()).expanduser().absolute()
    try:
        # Imported late, so that usage errors answer at once.
        from store.agent import agent

        if arguments.command == "restore":
            schema = agent.restore(store, arguments.file.absolute())
            sys.stdout.write(json.dumps({"store": str(store), "schema": schema}) + "\n")
        elif arguments.command == "examine":
            found = msgspec.to_builtins(agent.examine(store))
            sys.stdout.write(json.dumps(found) + "\n")
        elif arguments.command == "init":
            written = agent.initialise(store)
            sys.stdout.write(json.dumps({"store": str(store), "written": written}) + "\n")
        else:
            agent.run(store, arguments.foreground, arguments.accept_loss)
    except Refusal as refusal:
        if arguments.foreground:
            sys.stderr.write(f"quarterdeck: {refusal.message}\n  {refusal.hint}\n")
        else:
            # One JSON line: the console that started this process reads it.
            told = {"code": int(refusal.code), "message": refusal.message, "hint": refusal.hint}
            sys.stderr.write(json.dumps(told) + "\n")
        return int(refusal.code)
    return int(ExitCode.DONE)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    from store.monitor.files.scratch import remove_scratch

    remove_scratch()
    # The interpreter's own tear-down would print DuckDB's binding leaks; everything is closed already.
    os._exit(code)
