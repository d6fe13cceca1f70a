-- A reference's own rows in ten chunks and what remains, in their order: what NannyML's thresholds come from. Not there
-- of references that were fixed before, or that have no rows in an order.
CREATE TABLE monitor_reference_chunk (
    reference VARCHAR NOT NULL,
    chunk INTEGER NOT NULL,
    slots UINTEGER[] NOT NULL,
    counts BIGINT[] NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
