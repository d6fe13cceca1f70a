-- Alerts by rules: what stands behind each, how far each rule has come, and the messages that tell of them.

ALTER TABLE monitor_alert_event ADD COLUMN statistic VARCHAR;
-- In words: what bounds the chance that this alarm is a false one.
ALTER TABLE monitor_alert_event ADD COLUMN guarantee VARCHAR;
ALTER TABLE monitor_alert_event ADD COLUMN q_value DOUBLE;

-- What a rule remembers of the last decisions on a deployment (JSON): the marks that "N of M" counts, and the
-- evidence of the sequential test. No fact: it follows from the counts, and is rewritten in place.
CREATE TABLE monitor_course (
    deployment VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- A message that a route is to get, queued in the transaction that opened or closed the alert.
CREATE TABLE monitor_delivery (
    delivery VARCHAR NOT NULL,
    -- JSON list: what opens together is told together.
    alerts VARCHAR NOT NULL,
    deployment VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    route VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    body VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- One row each time that a target of the route (the n-th of its urls, from 0) was tried.
CREATE TABLE monitor_delivery_attempt (
    delivery VARCHAR NOT NULL,
    target INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    -- delivered, failed (to be tried again at next_at) or given_up.
    outcome VARCHAR NOT NULL,
    -- What was said about it; never a url or any part of one.
    detail VARCHAR NOT NULL,
    next_at TIMESTAMP,
    recorded_at TIMESTAMP NOT NULL
);

CREATE OR REPLACE MACRO monitor_alert_at(moment) AS TABLE
    SELECT
        alert,
        deployment,
        rule,
        feature,
        arg_max(version, ordinal) AS version,
        arg_max(severity, ordinal) AS severity,
        CASE arg_max(event, ordinal) FILTER (event IN ('opened', 'resolved', 'closed', 'cleared'))
            WHEN 'opened' THEN
                CASE
                    WHEN arg_max(muted_until, ordinal) FILTER (event = 'muted') > max(as_of) THEN 'muted'
                    WHEN bool_or(event = 'acknowledged') THEN 'acknowledged'
                    ELSE 'open'
                END
            WHEN 'resolved' THEN 'resolved'
            WHEN 'cleared' THEN 'resolved'
            ELSE 'closed'
        END AS state,
        bool_or(event IN ('closed', 'cleared')) AS is_over,
        arg_max(value, ordinal) FILTER (event IN ('opened', 'updated')) AS value,
        arg_max(threshold, ordinal) FILTER (event IN ('opened', 'updated')) AS threshold,
        arg_max(noise_floor, ordinal) FILTER (event IN ('opened', 'updated')) AS noise_floor,
        arg_max(message, ordinal) FILTER (event IN ('opened', 'updated')) AS message,
        arg_min(window_start, ordinal) FILTER (event = 'opened') AS window_start,
        arg_max(window_end, ordinal) FILTER (window_end IS NOT NULL) AS window_end,
        min(recorded_at) AS opened_at,
        max(recorded_at) AS changed_at,
        max(recorded_at) FILTER (event IN ('closed', 'cleared', 'resolved')) AS ended_at,
        arg_max(actor, ordinal) FILTER (event IN ('acknowledged', 'muted', 'resolved')) AS actor,
        arg_max(message, ordinal) FILTER (event IN ('acknowledged', 'muted', 'resolved', 'noted')) AS note,
        -- The last mute counts: it may also shorten an earlier one.
        arg_max(muted_until, ordinal) FILTER (event = 'muted') AS muted_until,
        coalesce(arg_max(statistic, ordinal) FILTER (statistic IS NOT NULL), '') AS statistic,
        coalesce(arg_max(guarantee, ordinal) FILTER (guarantee IS NOT NULL), '') AS guarantee,
        arg_max(q_value, ordinal) FILTER (q_value IS NOT NULL) AS q_value,
        -- Where the alert's own decision fell, on the axis of event time.
        arg_min(window_end, ordinal) FILTER (event = 'opened') AS opened_window,
        arg_max(window_end, ordinal) FILTER (event IN ('closed', 'cleared')) AS closed_window
    FROM (
        SELECT *, least(moment, make_timestamp(epoch_us(now()))) AS as_of
        FROM monitor_alert_event
        WHERE recorded_at <= moment
    )
    GROUP BY alert, deployment, rule, feature;

CREATE OR REPLACE VIEW monitor_alert_now AS SELECT * FROM monitor_alert_at('infinity'::TIMESTAMP);
