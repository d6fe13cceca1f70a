-- What a version says of its age, what was odd about its folder, and every file of its bits. NULL of versions that were
-- registered before: of them nobody knows. JSON: [{"code", "text", …}], [{"path", "bytes", "digest"}].
ALTER TABLE model_version ADD COLUMN created_at TIMESTAMP;
ALTER TABLE model_version ADD COLUMN notes VARCHAR;
ALTER TABLE model_version ADD COLUMN contents VARCHAR;
