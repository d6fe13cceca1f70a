-- What is watched: references, counts per window, predictions and labels for the join, alerts.

-- The bins of a model version and the counts of its reference in them, fixed once.
CREATE TABLE monitor_reference (
    reference VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    source_digest VARCHAR NOT NULL,
    row_count BIGINT NOT NULL,
    -- JSON: the bins of each feature; the slots below are places in the vector that they make together.
    features VARCHAR NOT NULL,
    notes VARCHAR NOT NULL,
    slots UINTEGER[] NOT NULL,
    counts BIGINT[] NOT NULL,
    -- Performance on the reference, as in monitor_performance; empty when it holds no labels.
    performance_slots UINTEGER[] NOT NULL,
    performance_counts BIGINT[] NOT NULL,
    performance_sums DOUBLE[] NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- One row a file: taking the same bytes again is no new fact. `ordinal` orders what one commit recorded.
CREATE TABLE monitor_arrival (
    ordinal BIGINT NOT NULL,
    deployment VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    arrival VARCHAR NOT NULL,
    row_count BIGINT NOT NULL,
    -- JSON list of what was odd about the file.
    notes VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- Counts of one file in one window, sparse: slot i of the reference's vector has counts[i]. Rows add, so a
-- span is a sum over its rows, late rows are further rows, and rows may be rolled up into wider windows.
CREATE TABLE monitor_window (
    deployment VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_seconds INTEGER NOT NULL,
    -- "" when the version has no reference: such rows have a row count and no slots.
    reference VARCHAR NOT NULL,
    row_count BIGINT NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    slots UINTEGER[] NOT NULL,
    counts UINTEGER[] NOT NULL,
    arrival VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- What labels are joined with. `score` is the predicted value where the task is regression.
CREATE TABLE monitor_prediction (
    deployment VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    prediction_id VARCHAR NOT NULL,
    event_at TIMESTAMP NOT NULL,
    prediction VARCHAR,
    score DOUBLE,
    recorded_at TIMESTAMP NOT NULL
);

-- Labels, whether or not their prediction has come. The one with the highest ordinal holds.
CREATE TABLE monitor_label (
    deployment VARCHAR NOT NULL,
    prediction_id VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    value DOUBLE,
    label_at TIMESTAMP,
    ordinal BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- Sums over labelled predictions of a window (store/monitor/performance.py names slots and sums). Counts may
-- be negative: a corrected label takes back what the first one added.
CREATE TABLE monitor_performance (
    deployment VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_seconds INTEGER NOT NULL,
    labelled BIGINT NOT NULL,
    slots UINTEGER[] NOT NULL,
    counts BIGINT[] NOT NULL,
    sums DOUBLE[] NOT NULL,
    arrival VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- The first event time predicted under a revision of the deployment.
CREATE TABLE monitor_mark (
    deployment VARCHAR NOT NULL,
    revision BIGINT NOT NULL,
    version VARCHAR NOT NULL,
    event_at TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- How far, in event time, alerts have been decided.
CREATE TABLE monitor_judged (
    deployment VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    through TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- The life of an alert, an event a row: opened, updated, acknowledged, muted, noted, resolved, closed, cleared.
CREATE TABLE monitor_alert_event (
    ordinal BIGINT NOT NULL,
    alert VARCHAR NOT NULL,
    deployment VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    feature VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    value DOUBLE,
    threshold DOUBLE,
    noise_floor DOUBLE,
    window_start TIMESTAMP,
    window_end TIMESTAMP,
    message VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    muted_until TIMESTAMP,
    recorded_at TIMESTAMP NOT NULL
);

-- One row an alert as of `moment`. An operator's `resolved` holds the alert down until what caused it is
-- over (`cleared`); `closed` is the monitor's own end.
CREATE MACRO monitor_alert_at(moment) AS TABLE
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
                    WHEN max(muted_until) > max(as_of) THEN 'muted'
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
        max(muted_until) AS muted_until
    FROM (
        SELECT *, least(moment, make_timestamp(epoch_us(now()))) AS as_of
        FROM monitor_alert_event
        WHERE recorded_at <= moment
    )
    GROUP BY alert, deployment, rule, feature;

CREATE VIEW monitor_alert_now AS SELECT * FROM monitor_alert_at('infinity'::TIMESTAMP);
