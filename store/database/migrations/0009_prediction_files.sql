-- The table stood in migration 6 for a while: stores of that time have it already.
-- Which files hold predictions of which version, and of when: what a worker reads again.
CREATE TABLE IF NOT EXISTS monitor_file (
    deployment VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    arrival VARCHAR NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    row_count BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
