"""The commands that change something; each is one action of the terminal, with the agent's same checks."""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import click
import msgspec

from console.commands import output
from console.commands.group import json_option, store_folder, store_option
from console.commands.times import read_duration, read_future, time_option
from console.link import Client
from store.protocol import ActionName, ActionParams, ExitCode, ListParams, Outcome, Page, Plan, Refusal

#: Ids that are named where none was given.
OPEN_SHOWN = 20

reason_option = click.option("--reason", metavar="TEXT", required=True, help="Why; goes into the journal.")
optional_reason = click.option("--reason", metavar="TEXT", default="", help="Why; goes into the journal.")
expect_option = click.option(
    "--expect", type=click.IntRange(min=0), metavar="REV", help="Refuse unless the deployment is at revision REV."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
wait_option = click.option("--wait", is_flag=True, help="Return when the target has taken it, or failed.")


def split_version(text: str) -> tuple[str, str]:
    """`MODEL@VERSION` in two; raises `Refusal` (usage)."""
    model, at, version = text.rpartition("@")
    if not at or not model or not version:
        raise Refusal(ExitCode.USAGE, f"{text!r} is not MODEL@VERSION.", "For instance: flight-delay@2")
    return model, version


def check_deployment(text: str) -> str:
    """`MODEL@ENV` as it is; raises `Refusal` (usage)."""
    model, at, environment = text.rpartition("@")
    if not at or not model or not environment:
        raise Refusal(ExitCode.USAGE, f"{text!r} is not MODEL@ENV.", "For instance: flight-delay@production")
    return text


@click.command()
@click.argument("version", metavar="MODEL@VERSION")
@click.option("--to", "environment", metavar="ENV", required=True, help="The environment.")
@reason_option
@expect_option
@dry_run_option
@wait_option
@json_option
@store_option
def promote(version: str, environment: str, **options: Any) -> int:
    """Make a version the one that serves."""
    model, number = split_version(version)
    return _act("promote", f"{model}@{environment}", version=number, **options)


@click.command()
@click.argument("deployment", metavar="MODEL@ENV")
@click.option("--to", "version", metavar="VERSION", default="", help="Default: what served before.")
@reason_option
@expect_option
@dry_run_option
@wait_option
@json_option
@store_option
def rollback(deployment: str, version: str, **options: Any) -> int:
    """Go back to the version before."""
    return _act("rollback", check_deployment(deployment), version=version, **options)


@click.command()
@click.argument("deployment", metavar="MODEL@ENV")
@reason_option
@expect_option
@dry_run_option
@wait_option
@json_option
@store_option
def abort(deployment: str, **options: Any) -> int:
    """Give up a change that is under way.

    The version that is effective stays.
    """
    return _act("abort", check_deployment(deployment), **options)


@click.command()
@click.argument("subjects", metavar="MODEL@ENV|QUARANTINE-ID…", nargs=-1)
@optional_reason
@expect_option
@dry_run_option
@wait_option
@json_option
@store_option
def retry(subjects: tuple[str, ...], **options: Any) -> int:
    """Try a failed change or arrivals again.

    A deployment needs --reason; arrivals are named by their ids in `ls quarantine`, any number of them.
    """
    subjects = tuple(dict.fromkeys(subjects))
    if not subjects:
        return _nothing_named(as_json=options["as_json"])
    for subject in subjects:
        if "@" in subject:
            check_deployment(subject)
            if not options["reason"]:
                raise click.UsageError("Missing option '--reason'.")
    if len(subjects) == 1:
        return _act("retry", subjects[0], **options)
    if options["expect"] is not None:
        raise click.UsageError("--expect is for one deployment.")
    return _act_on_each("retry", subjects, **options)


def _nothing_named(*, as_json: bool) -> int:
    """`retry` without ids, as `retry $(…)` may come to it: done where nothing waits to be retried."""
    params = ListParams("quarantine", "state=open", limit=OPEN_SHOWN)
    with Client.connect(store_folder()) as client:
        page: Page = client.call("list", params)
    if page.total:
        ids = " ".join(str(row[0]) for row in page.rows) + (" …" if page.total > len(page.rows) else "")
        words = f"{page.total} {'file is' if page.total == 1 else 'files are'} in quarantine"
        raise Refusal(ExitCode.USAGE, f"Nothing was named to be retried; {words}.", f"quarterdeck retry {ids}")
    print(output.json_text({"retried": []}) if as_json else "Nothing is in quarantine: there is nothing to retry.")
    return 0


#: One cause may have opened several.
alerts_argument = click.argument("alerts", metavar="ALERT…", nargs=-1, required=True)


def _alert_command(action: ActionName, text: str) -> click.Command:
    def command(alerts: tuple[str, ...], **options: Any) -> int:
        return _act_on_each(action, alerts, **options)

    decorators: list[Callable[[Any], Any]] = [
        alerts_argument,
        optional_reason,
        dry_run_option,
        json_option,
        store_option,
    ]
    for decorate in reversed(decorators):
        command = decorate(command)
    return click.command(name=action, help=text)(command)


ack = _alert_command("ack", "Take charge of alerts.")


def _read_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else read_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=param) from None


@click.command()
@alerts_argument
@click.option(
    "--for", "seconds", metavar="DURATION", callback=_read_duration, help="How long: 30m, 4h, 2d. Default: a day."
)
@time_option(
    "--until", "Until TIME instead, which is to come: +4h, or YYYY-MM-DDTHH:MMZ. At most 90 days.", read_future
)
@optional_reason
@dry_run_option
@json_option
@store_option
def mute(alerts: tuple[str, ...], seconds: float | None, until: float | None, **options: Any) -> int:
    """Keep alerts quiet for a while."""
    if seconds is not None and until is not None:
        raise click.UsageError("--for and --until do not go together.")
    return _act_on_each("mute", alerts, until=until if seconds is None else time.time() + seconds, **options)


resolve = _alert_command("resolve", "Close alerts: they are over.")


@click.command()
@click.argument("subject", metavar="KIND/NAME")
@click.argument("text", required=False)
@click.option("--reason", metavar="TEXT", default="", help="The same as TEXT.")
@json_option
@store_option
def note(subject: str, text: str | None, reason: str, as_json: bool) -> int:
    """Write TEXT beside a thing.

    For instance: quarterdeck note deployments/flight-delay@production "watching it"
    """
    words = text or reason
    if not words:
        raise click.UsageError("Missing argument 'TEXT'.")
    return _act("note", subject, reason=words, as_json=as_json)


def _act_on_each(action: ActionName, subjects: tuple[str, ...], *, as_json: bool, **options: Any) -> int:
    """One after the other: a refusal of one stops none of the others, and the first gives the exit status.

    With `--json` a line an outcome, and one an error.
    """
    statuses = [int(ExitCode.DONE)]
    wanted = list(dict.fromkeys(subjects))
    for number, subject in enumerate(wanted):
        try:
            _act(action, subject, as_json=as_json, **options)
        except Refusal as refusal:
            if refusal.code is ExitCode.NO_AGENT:
                left = len(wanted) - number
                if left == len(wanted):
                    raise
                message = (
                    f"{refusal.message} {action} is not known to be done for {subject}, nor asked for {left - 1} more."
                )
                raise Refusal(refusal.code, message, refusal.hint, refusal.detail) from refusal
            named = refusal if re.search(rf"\b{re.escape(subject)}\b", refusal.message) else _about(subject, refusal)
            output.print_error(named, as_json)
            statuses.append(int(refusal.code))
    failed = len(statuses) - 1
    if failed and not as_json:
        print(f"{action}: {len(wanted) - failed} of {len(wanted)} done, {failed} not", file=sys.stderr)
    return next((status for status in statuses if status), int(ExitCode.DONE))


def _about(subject: str, refusal: Refusal) -> Refusal:
    return Refusal(refusal.code, f"{subject}: {refusal.message}", refusal.hint, {**refusal.detail, "subject": subject})


def _act(
    action: ActionName,
    subject: str,
    *,
    as_json: bool,
    reason: str = "",
    version: str = "",
    expect: int | None = None,
    dry_run: bool = False,
    wait: bool = False,
    until: float | None = None,
) -> int:
    params = ActionParams(
        action=action,
        subject=subject,
        version=version,
        reason=reason,
        expect=expect,
        dry_run=dry_run,
        wait=wait,
        request_id=str(uuid.uuid4()),
        via="cli",
        until=until,
    )
    with Client.connect(store_folder()) as client:
        if dry_run:
            return _print_plan(client.call("plan", params), as_json)
        outcome: Outcome = client.call("act", params)
    if as_json:
        print(output.json_text(msgspec.to_builtins(outcome)))
    else:
        print_outcome(outcome)
    if outcome.phase == "failed":
        raise Refusal(
            ExitCode.REFUSED,
            f"{outcome.subject} revision {outcome.revision} failed: {outcome.message}",
            f"Try again: quarterdeck retry {outcome.subject} --reason TEXT",
        )
    return 0


def print_outcome(outcome: Outcome) -> None:
    from console import text

    line = f"{outcome.action} {text.clean(outcome.subject)}"
    if outcome.before or outcome.after:
        line += f": {output.weights(outcome.before)} -> {output.weights(outcome.after)}"
    if outcome.revision:
        line += f", revision {outcome.revision} {outcome.phase}"
    if outcome.repeated:
        line += " (it had been done before)"
    print(line)
    if outcome.message and outcome.message != outcome.warning:
        print(f"  {text.clean(outcome.message, 600)}")
    if outcome.warning:
        print(f"  warning: {text.clean(outcome.warning, 600)}")


def _print_plan(plan: Plan, as_json: bool) -> int:
    """What would happen; the exit status is what the action's would be."""
    from console import text

    if as_json:
        print(output.json_text(msgspec.to_builtins(plan)))
    else:
        print(f"{plan.action} {text.clean(plan.subject)} (revision {plan.revision}, danger {plan.danger})")
        if plan.before or plan.after:
            print(f"  {output.weights(plan.before)} -> {output.weights(plan.after)}")
        output.print_fields(plan.facts)
        print(f"  {text.clean(plan.command, 600)}")
    if not plan.allowed:
        raise Refusal(ExitCode.REFUSED, plan.why or f"{plan.action} {plan.subject} is refused.")
    return 0
