"""The commented quarterdeck.toml that `quarterdeck init` writes."""

from __future__ import annotations

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

# [runs]
# silent_after = "1h"       # a running run that gave no word for so long is shown as "no word for 1 h"

# [monitor]
# base_window_seconds = 60
# compact = ["1h after 2d", "1d after 180d"]   # old counts are added up: --at is then exact to the hour, the day
# engine = ""               # "dask": large files are counted by a cluster (extra dask) …
# scheduler = ""            # … whose scheduler is at tcp://host:8786
# alert_window = "1d"       # alerts are decided at the end of each
# alert_span = 7            # … on so many of them together
# open_after = 2            # decisions in a row that open an alert
# psi_warn = 0.1           # PSI that is drift, beyond its noise floor and more than chance
# psi_alarm = 0.25         # PSI that is critical
# min_rows = 200           # with fewer rows only what is certain is drift, and no other alert opens
# min_labelled = 200
# auc_drop = 0.05
# loss_rise = 0.10
# close_after = 7          # decisions in a row well below the threshold that close it
# null_words = ["NA", "N/A", "#N/A", "<NA>", "NULL", "null", "None", "\\\\N"]   # no value: in CSV without quotes …
#                           # … and among numbers that are text
# preset = ""               # evidently · nannyml · sagemaker · vertex · whylogs: go by the defaults of that monitor

# [alerts]
# defaults = true           # the rules drift, performance, missing and volume, which need no configuration
# default_route = ""        # for rules that name none; the route called default, if there is one
# attempts = 12             # how often a message is tried

# [[alerts.rule]]           # one's own; a rule of the same name takes the place of a default one
# name = "weather"
# statistic = "js"          # or metric = "auc" · "main" · "volume" · "staleness" · a check of quality
# feature = "temp*"         # name or pattern; "label": the labels of a classifier, as they come
# deployment = "*@production"
# window = "1d"             # decided at the end of each …
# span = 7                  # … on so many of them together
# threshold = 0.2
# for = 2                   # so many decisions above it …
# of = 3                    # … out of the last so many open an alert
# close_after = 7           # decisions in a row well below it that close it
# min_rows = 200
# guarantee = "window"      # "sequential" asks for the test of the whole watch too
# severity = "warning"      # info · warning · critical
# route = "oncall"

# [[alerts.rule]]
# name = "usual"
# statistic = "psi"
# threshold = "learnt"      # from healthy windows, by hour and day of the week
# learn = {last = "28d", quantile = 0.99}     # or {since = 2013-03-01, until = 2013-04-01}

# [[alerts.rule]]
# name = "gaps"
# metric = "null_share"     # a check of quality, as a share of rows: missing (no usable value, of a feature that had
# feature = "temp*"         # some) · null_share · type_errors · out_of_range · absent · duplicates · left_out ·
#                           # label_left_out · label_not_a_number … (`quarterdeck ls quality` names them all)
# change = 0.05             # so much more than on the reference, beyond chance; or threshold = 0.1, or "learnt"
# span = 1

# [[alerts.rule]]
# name = "silence"
# metric = "staleness"      # no predictions file for so long, by the clock
# threshold = "2h"

# [alerts.route.oncall]     # needs quarterdeck[alerts]
# urls = ["$SLACK_URL"]     # as apprise writes them; $NAME is the agent's environment variable
# severity = ["warning", "critical"]
# closed = true             # tell the end of an alert too

# [access]
# group = ""                # members may open the socket
# operators = []            # who may change things; empty: whoever may open the socket

# [log]
# level = "INFO"
# max_bytes = 4194304
# files = 4
"""
