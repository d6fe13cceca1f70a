-- What windows keep of the values beside their counts: moments of numbers, names of new categories.

-- By numeric feature, in the order of the reference's features: `sums` has three numbers each (how many finite values,
-- Σ(x − centre), Σ(x − centre)²; the reference's bins say the centre), `lows` and `highs` the extremes, infinite where
-- there is no value. Null in rows of before they were kept.
ALTER TABLE monitor_window ADD COLUMN sums DOUBLE[];
ALTER TABLE monitor_window ADD COLUMN lows DOUBLE[];
ALTER TABLE monitor_window ADD COLUMN highs DOUBLE[];
ALTER TABLE monitor_reference ADD COLUMN sums DOUBLE[];
ALTER TABLE monitor_reference ADD COLUMN lows DOUBLE[];
ALTER TABLE monitor_reference ADD COLUMN highs DOUBLE[];

-- Hashes of the categories that the reference holds beyond those with a slot: what is among them is not new.
ALTER TABLE monitor_reference ADD COLUMN rare UBIGINT[];

-- Categories that the reference does not hold, of one file in one window: all of them (`complete`), or else those
-- with the smallest hashes. `counts` and `hashes` stand beside `names`.
CREATE TABLE monitor_new_category (
    deployment VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    reference VARCHAR NOT NULL,
    feature VARCHAR NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_seconds INTEGER NOT NULL,
    names VARCHAR[] NOT NULL,
    counts BIGINT[] NOT NULL,
    hashes UBIGINT[] NOT NULL,
    complete BOOLEAN NOT NULL,
    arrival VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
