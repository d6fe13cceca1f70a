-- Performance by slice and class, the clock of labels, and what a worker estimated before labels came.

-- The values of the version's slice columns (in the manifest's order: slices, then protected) and, of a regression,
-- predicted quantiles by level in thousandths. Null where the file had none.
ALTER TABLE monitor_prediction ADD COLUMN slices VARCHAR[];
ALTER TABLE monitor_prediction ADD COLUMN quantiles MAP(USMALLINT, DOUBLE);

-- As monitor_performance, for the predictions whose slice column `slice` holds `value`.
CREATE TABLE monitor_performance_slice (
    deployment VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    slice VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_seconds INTEGER NOT NULL,
    labelled BIGINT NOT NULL,
    slots UINTEGER[] NOT NULL,
    counts BIGINT[] NOT NULL,
    sums DOUBLE[] NOT NULL,
    arrival VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- The slice values that are told apart, first come first kept (the reference's most frequent ones come first);
-- others are counted together.
CREATE TABLE monitor_slice (
    model VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    slice VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- The numbers that classes have in the confusion counts of a multiclass version, given once.
CREATE TABLE monitor_class (
    model VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- The latest label time of each labels file that had any.
CREATE TABLE monitor_label_clock (
    deployment VARCHAR NOT NULL,
    arrival VARCHAR NOT NULL,
    latest_at TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- Expected errors of a regression's predictions, by file and window; rows add. `row_count` predictions were looked
-- at, `sums` are Σ|e|, Σe², and the squares of both for the bands.
CREATE TABLE monitor_estimate (
    deployment VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_seconds INTEGER NOT NULL,
    row_count BIGINT NOT NULL,
    sums DOUBLE[] NOT NULL,
    arrival VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
