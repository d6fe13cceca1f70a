-- Which files a worker has looked at for the errors to expect. Rows of monitor_estimate that were rolled up do not say
-- it any more, and each file is to be looked at once.
CREATE TABLE monitor_estimated (
    deployment VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    arrival VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

INSERT INTO monitor_estimated
SELECT deployment, version, arrival, min(recorded_at) FROM monitor_estimate WHERE arrival <> '' GROUP BY ALL;

-- Files were looked at in the order in which they came.
INSERT INTO monitor_estimated
SELECT f.deployment, f.version, f.arrival, max(rolled.recorded_at)
FROM monitor_file AS f
JOIN monitor_estimate AS rolled
    ON rolled.deployment = f.deployment AND rolled.version = f.version AND rolled.arrival = ''
    AND rolled.recorded_at >= f.recorded_at
ANTI JOIN monitor_estimated AS e
    ON e.deployment = f.deployment AND e.version = f.version AND e.arrival = f.arrival
GROUP BY ALL;

-- Where labels and predictions are looked for: a hash of the id is a tenth of it. DuckDB's hash may be another one in
-- another version of DuckDB; `probe` is what it made of a known text when these were worked out.
ALTER TABLE monitor_prediction ADD COLUMN id_hash UBIGINT;
ALTER TABLE monitor_label ADD COLUMN id_hash UBIGINT;
CREATE TABLE monitor_key (probe UBIGINT NOT NULL);
