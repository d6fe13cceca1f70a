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
