-- What intake has seen of each file, and what it could not take in.

-- A row each time a file was dealt with; the last one of a path counts. `path_key` is a hash of the path
-- (relative to its watched folder), `identity` one of size, times and inode: a file that still has the
-- identity it had then is not read again. `position`, `lines`, `prefix`, `skipping` say how far a followed
-- file was taken in, and stand in the same transaction as its points.
CREATE TABLE arrival (
    path_key BIGINT NOT NULL,
    identity BIGINT NOT NULL,
    path VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    position BIGINT,
    lines BIGINT,
    prefix VARCHAR,
    skipping BOOLEAN,
    recorded_at TIMESTAMP NOT NULL
);

CREATE TABLE quarantine (
    number BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    path_key BIGINT NOT NULL,
    -- The watched folder's label, and the path below it: cleaned for the eye, and its bytes in hexadecimal.
    folder VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    raw_path VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    "key" VARCHAR NOT NULL,
    found VARCHAR NOT NULL,
    expected VARCHAR NOT NULL,
    bytes BIGINT,
    digest VARCHAR NOT NULL,
    -- Where its bytes are kept, below the store's quarantine folder ("" where they are not).
    kept VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- How it went on: `retried` and it is still wrong, `cleared` (it was taken in after all), `replaced` (the
-- file changed and is wrong in another way), `resolved` (somebody decided that it needs nothing more).
CREATE TABLE quarantine_event (
    number BIGINT NOT NULL,
    event VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

CREATE VIEW quarantine_open AS
SELECT * FROM quarantine AS q
WHERE NOT EXISTS (SELECT 1 FROM quarantine_event AS e WHERE e.number = q.number AND e.event <> 'retried');
