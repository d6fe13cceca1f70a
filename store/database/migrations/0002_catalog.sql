-- Datasets, runs, models and their bits, notes.
CREATE TABLE dataset_version (
    sequence BIGINT NOT NULL,
    dataset VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    digest VARCHAR NOT NULL,
    format VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    -- JSON: [{"name", "type"}], [{"name", "nulls", "distinct", "minimum", "maximum"}]
    columns VARCHAR NOT NULL,
    profile VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    owner VARCHAR NOT NULL,
    effective_at TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- One row per fact about a run; `superseded_at` marks where the next fact of the same run begins, so that
-- the present and any past moment are one comparison. Params and metrics are typed columns of their own
-- (`run_column` says which): the layout that searches 1,000,000 runs in milliseconds.
CREATE TABLE run (
    sequence BIGINT NOT NULL,
    name VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    owner VARCHAR,
    host VARCHAR,
    source VARCHAR,
    revision VARCHAR,
    dirty BOOLEAN,
    environment VARCHAR,
    parent VARCHAR,
    tags VARCHAR,
    datasets_in VARCHAR,
    datasets_out VARCHAR,
    -- JSON: unknown keys of run.json, kept and shown.
    extra VARCHAR,
    -- JSON {"param.x": …}: params and metrics past the column limit, shown but not indexed.
    overflow VARCHAR,
    effective_at TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    superseded_at TIMESTAMP
);

CREATE TABLE run_column (
    key VARCHAR NOT NULL,
    name VARCHAR NOT NULL
);

CREATE TABLE metric_point (
    run BIGINT NOT NULL,
    metric VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    measured_at TIMESTAMP NOT NULL,
    value DOUBLE NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

CREATE TABLE object (
    digest VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    files INTEGER NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

CREATE TABLE model_version (
    sequence BIGINT NOT NULL,
    model VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    flavour VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    run VARCHAR NOT NULL,
    -- Why the artifact is kept as opaque although the manifest says otherwise ("" when it is not).
    flagged VARCHAR NOT NULL,
    manifest VARCHAR NOT NULL,
    reference_digest VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    owner VARCHAR NOT NULL,
    effective_at TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

CREATE TABLE note (
    sequence BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
