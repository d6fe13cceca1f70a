"""quarterdeck.toml: every setting of a store, with its default and its meaning."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from store.protocol import ExitCode, Refusal

FILE_NAME = "quarterdeck.toml"


class EnvironmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: str = "local"
    """Which release target serves this environment."""
    danger: int = 2
    """How hard the console asks before a change: 1 (y/N), 2 (before → after), 3 (type the model's name)."""


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    folders: list[str] = []
    """Folders watched beside the store's own `inbox`; relative to the store."""
    settle_seconds: float = 0.15
    """A file that was not renamed into place counts as whole when it kept its size this long."""
    rescan_seconds: float = 60.0
    """How often the folders are walked for what the kernel did not report (network file systems)."""
    polling: bool = False
    """Poll instead of inotify."""
    max_document_bytes: int = 4 << 20
    """Largest run.json, params.json or model.json."""


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base_window_seconds: int = 3600
    """Width of the finest window that counts are kept for."""
    alert_window: str = "1d"
    """How often alerts are decided: at the end of each window of this width."""
    alert_span: int = 7
    """How many of these windows together an alert is decided on."""
    open_after: int = 2
    """Decisions in a row that must pass the threshold before an alert opens."""
    psi_warn: float = 0.1
    psi_alarm: float = 0.25
    min_rows: int = 200
    """Windows with fewer rows raise no alert."""
    min_labelled: int = 200
    auc_drop: float = 0.05
    """Realised AUC this far below the reference's opens an alert."""
    loss_rise: float = 0.10
    """Relative rise of log loss, MAE or RMSE over the reference's that opens an alert."""
    close_after: int = 7
    """Decisions in a row well below the threshold that close an alert."""


class AccessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    group: str = ""
    """Members of this group may open the socket; "" leaves it to its owner."""
    operators: list[str] = []
    """Users who may change things; empty means whoever may open the socket."""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: str = "INFO"
    max_bytes: int = 4 << 20
    files: int = 4


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    environments: dict[str, EnvironmentSettings] = msgspec.field(
        default_factory=lambda: {
            "production": EnvironmentSettings(danger=3),
            "staging": EnvironmentSettings(danger=2),
        }
    )
    watch: WatchSettings = WatchSettings()
    monitor: MonitorSettings = MonitorSettings()
    access: AccessSettings = AccessSettings()
    log: LogSettings = LogSettings()


def load(store: Path) -> Settings:
    """The settings of `store`; defaults where the file or a key is absent.

    Raises `Refusal` (usage) that names the file, the key and what was expected.
    """
    path = store / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(ExitCode.USAGE, f"{path}: {error}", "Mend the file or remove it.") from error
    try:
        return msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Refusal(ExitCode.USAGE, f"{path}: {error}", "`quarterdeck init` writes a commented example.") from error


#: What `quarterdeck init` writes: every default, commented out.
TEMPLATE = """\
# Settings of this Quarterdeck store. Every value shown is the default.

# [environments.production]
# target = "local"          # which release target serves it
# danger = 3                # 1 asks y/N · 2 shows before and after · 3 also asks for the model's name

# [environments.staging]
# target = "local"
# danger = 2

# [watch]
# folders = []              # watched beside this store's inbox/
# settle_seconds = 0.15     # a file not renamed into place is whole when its size held this long
# rescan_seconds = 60       # walk the folders for what the kernel did not report
# polling = false           # poll instead of inotify (network file systems)
# max_document_bytes = 4194304

# [monitor]
# base_window_seconds = 3600
# alert_window = "1d"       # alerts are decided at the end of each
# alert_span = 7            # … on so many of them together
# open_after = 2            # decisions in a row that open an alert
# psi_warn = 0.1
# psi_alarm = 0.25
# min_rows = 200
# min_labelled = 200
# auc_drop = 0.05
# loss_rise = 0.10
# close_after = 7          # decisions in a row well below the threshold that close it

# [access]
# group = ""                # members may open the socket
# operators = []            # who may change things; empty: whoever may open the socket

# [log]
# level = "INFO"
# max_bytes = 4194304
# files = 4
"""
