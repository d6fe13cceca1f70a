-- How often a run began again: steps that repeat after a resume and a metrics file that begins anew start another
-- attempt. `last_word_at`: when the run last gave a sign of itself, by the store's clock; `last_metric_at`: the time of
-- its last point. Null in rows recorded before: not known, and then `recorded_at` is the best there is.
ALTER TABLE run ADD COLUMN attempts INTEGER;
ALTER TABLE run ADD COLUMN last_word_at TIMESTAMP;
ALTER TABLE run ADD COLUMN last_metric_at TIMESTAMP;

-- Null: recorded before attempts were told apart, and read as the first.
ALTER TABLE metric_point ADD COLUMN attempt INTEGER;

-- Bad lines of a followed file, a row each time some were read: how many, and the first three of the file quoted.
CREATE TABLE quarantine_line (
    number BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    quoted INTEGER NOT NULL,
    reasons VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
