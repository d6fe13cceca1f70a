"""What the command line accepts, what it refuses, and in which words; no agent is needed for any of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from console import cli
from console.commands.group import COMMANDS


def run(*arguments: str) -> int:
    return cli.main(list(arguments))


@pytest.mark.parametrize(
    ("arguments", "store"), [([], None), (["--store", "x"], "x"), (["--store=x"], "x")], ids=["none", "two", "one"]
)
def test_the_bare_forms_open_the_console(arguments: list[str], store: str | None) -> None:
    assert cli.console_store(arguments) == store


@pytest.mark.parametrize("arguments", [["ls"], ["--store"], ["--store="], ["--help"], ["--store", "x", "ls"]])
def test_other_forms_do_not(arguments: list[str]) -> None:
    assert cli.console_store(arguments) is cli._NOT_BARE


def test_the_bare_form_imports_no_click(tmp_path: Path) -> None:
    probe = (
        "import sys; from console import cli; cli.main(['--store', sys.argv[1]]);"
        " print([m for m in ('click', 'duckdb', 'pandas', 'plotext', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_console_without_a_terminal_is_refused_in_two_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "--store", str(tmp_path)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "quarterdeck: The console needs a terminal, and this is none.",
        "  For scripts: quarterdeck ls KIND --json; over ssh: ssh -t HOST quarterdeck",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert capsys.readouterr().out.startswith(f"Usage: quarterdeck {command}")


def test_the_group_lists_every_command_in_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    run("--help")
    listed = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert not [line for line in listed if line.endswith("...")]


@pytest.mark.parametrize("name", ["approve", "reject", "gate", "diff", "changes"])
def test_what_is_not_built_is_not_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name) == 2
    assert f"There is no command '{name}'" in capsys.readouterr().err


def test_a_misspelt_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("promte") == 2
    assert capsys.readouterr().err.splitlines() == [
        "quarterdeck: There is no command 'promte'.",
        "  Did you mean: quarterdeck promote",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ls", "Missing argument 'KIND'. Choose from: datasets, runs,"),
        ("ls nothing", "'nothing' is not one of 'datasets'"),
        ("ls runs --limit -1", "-1 is not in the range x>=0"),
        ("ls runs --at yesterday", "'yesterday' is not a time"),
        ("ls runs --window 1d", "ls runs takes no --window, --since or --until."),
        ("promote flight-delay --to production --reason x", "'flight-delay' is not MODEL@VERSION."),
        ("promote flight-delay@2 --reason x", "Missing option '--to'."),
        ("promote flight-delay@2 --to production", "Missing option '--reason'."),
        ("promote flight-delay@2 --to production --reason x --canary 10", "No such option"),
        ("rollback flight-delay --reason x", "'flight-delay' is not MODEL@ENV."),
        ("retry flight-delay@production", "Missing option '--reason'."),
        ("note runs/a", "Missing argument 'TEXT'."),
        ("agent", "Missing command."),
        ("journal export --format ecs", "'ecs' is not 'csv'."),
        ("restore /does/not/exist", "File '/does/not/exist' does not exist."),
    ],
)
def test_usage_errors_are_two_lines_and_exit_2(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*line.split()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[0]
    assert len(lines) <= 2


@pytest.mark.parametrize("stream", [">&-", "2>&-"])
def test_a_closed_stream_costs_only_what_would_have_gone_there(stream: str) -> None:
    command = f"{sys.executable} -m console.cli ls nothing --json {stream}"
    done = subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert ("'nothing' is not one of" in done.stderr) == (stream == ">&-")
    assert "Traceback" not in done.stderr


def test_usage_errors_are_objects_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ls", "nothing", "--json") == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["code"], error["name"]) == (2, "usage")


def test_a_reason_that_says_json_asks_for_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("promote", "x", "--to", "production", "--reason", "--", "--json") == 2
    assert capsys.readouterr().err.startswith("quarterdeck: ")


@pytest.mark.parametrize("command", [["agent", "status"], ["agent", "stop"]])
def test_without_an_agent_they_exit_3_and_start_none(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--store", str(tmp_path), *command) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"quarterdeck: No agent runs for {tmp_path}.",
        "  Start one with: quarterdeck agent start",
    ]
    assert list(tmp_path.iterdir()) == []
