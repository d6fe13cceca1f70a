-- Deployments: what was asked for, and what came of it. Both tables are only ever appended to.
CREATE TABLE deployment_revision (
    deployment VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    -- JSON {version: share}: asked for, and effective at that moment; {version: digest} of the bits.
    versions VARCHAR NOT NULL,
    before VARCHAR NOT NULL,
    digests VARCHAR NOT NULL,
    -- The revision whose versions this one takes up again.
    restores INTEGER,
    actor VARCHAR NOT NULL,
    via VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    request_id VARCHAR NOT NULL,
    data_age DOUBLE,
    sequence BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- Each row carries the whole state of the deployment after it. `step` counts up within a deployment.
CREATE TABLE deployment_event (
    deployment VARCHAR NOT NULL,
    step INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    phase VARCHAR NOT NULL,
    observed VARCHAR NOT NULL,
    effective VARCHAR NOT NULL,
    -- The revision that the effective versions came with, and since when they are effective.
    effective_revision INTEGER,
    since TIMESTAMP,
    -- How the target strays from an effective revision: '', drifted, missing, damaged.
    trouble VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);

-- Every revision with the phase it had reached by `moment`.
CREATE MACRO deployment_revision_at(moment) AS TABLE
    SELECT
        r.*,
        e.phase,
        e.message,
        e.phase_at,
        e.effective_at
    FROM deployment_revision AS r
    JOIN (
        SELECT
            deployment,
            revision,
            arg_max(phase, step) AS phase,
            arg_max(message, step) AS message,
            arg_max(recorded_at, step) AS phase_at,
            min(recorded_at) FILTER (phase = 'effective') AS effective_at
        FROM deployment_event
        WHERE recorded_at <= moment
        GROUP BY deployment, revision
    ) AS e USING (deployment, revision)
    WHERE r.recorded_at <= moment;

-- One row per deployment as of `moment`: `actor` and `reason` are those of the revision that is effective
-- (of the latest one when none is), `changed_at` and `changed_by` those of the latest.
CREATE MACRO deployment_at(moment) AS TABLE
    SELECT
        latest.deployment,
        latest.model,
        latest.environment,
        latest.target,
        latest.revision,
        latest.action,
        latest.versions AS requested,
        state.observed,
        state.effective,
        state.effective_revision,
        latest.phase,
        CASE
            WHEN latest.phase IN ('requested', 'applying') THEN 'changing'
            WHEN latest.phase = 'failed' THEN 'failed'
            WHEN state.trouble <> '' THEN state.trouble
            ELSE 'ok'
        END AS health,
        latest.message,
        state.since,
        coalesce(serving.actor, latest.actor) AS actor,
        coalesce(serving.reason, latest.reason) AS reason,
        latest.recorded_at AS changed_at,
        latest.actor AS changed_by,
        latest.reason AS change_reason,
        state.step
    FROM (
        SELECT * FROM deployment_revision_at(moment)
        QUALIFY row_number() OVER (PARTITION BY deployment ORDER BY revision DESC) = 1
    ) AS latest
    JOIN (
        SELECT * FROM deployment_event
        WHERE recorded_at <= moment
        QUALIFY row_number() OVER (PARTITION BY deployment ORDER BY step DESC) = 1
    ) AS state USING (deployment)
    LEFT JOIN deployment_revision AS serving
        ON serving.deployment = latest.deployment AND serving.revision = state.effective_revision;

CREATE VIEW deployment_now AS SELECT * FROM deployment_at('infinity'::TIMESTAMP);
