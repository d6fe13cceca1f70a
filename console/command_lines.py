"""What is done and shown in the console as the command lines that do and print the same, ready for a shell."""

from __future__ import annotations

import datetime
import shlex

from console.quoting import quoted_name, quoted_value
from store.protocol import ActionParams, DistributionParams, ListParams


def command_line(params: ActionParams) -> str:
    """The command that does what `params` ask for, ready for a shell."""
    words = ["quarterdeck"]
    match params.action:
        case "promote":
            model, _, environment = params.subject.rpartition("@")
            words += ["promote", f"{model}@{params.version}", "--to", environment]
        case "rollback":
            words += ["rollback", params.subject]
            if params.version:
                words += ["--to", params.version]
        case _:
            words += [params.action, params.subject]
    if params.action == "mute" and params.until is not None:
        words += ["--until", _iso(params.until)]
    if params.reason:
        words += ["--reason", params.reason]
    if params.expect is not None and params.action in ("promote", "rollback", "abort", "retry"):
        words += ["--expect", str(params.expect)]
    if params.dry_run:
        words.append("--dry-run")
    return shlex.join(words)


def listing_command(params: ListParams) -> str:
    """The `quarterdeck ls` line that prints the listing `params` describe."""
    words = ["quarterdeck", "ls", params.kind]
    filters = [f"{quoted_name(name)}={quoted_value(value)}" for name, value in params.scope.items()]
    if params.filter:
        filters.append(params.filter)
    if filters:
        words += ["--filter", " ".join(filters)]
    if params.sort:
        words += ["--sort", params.sort]
    if params.window:
        words += ["--window", params.window]
    return shlex.join([*words, *_span(params)])


def feature_command(params: DistributionParams) -> str:
    """The `quarterdeck show` line that tells what `params` ask of a feature."""
    return shlex.join(["quarterdeck", "show", "drift", params.deployment, "--feature", params.feature, *_span(params)])


def _span(params: ListParams | DistributionParams) -> list[str]:
    moments = (("--at", params.at), ("--since", params.since), ("--until", params.until))
    return [word for name, moment in moments if moment is not None for word in (name, _iso(moment))]


def _iso(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
