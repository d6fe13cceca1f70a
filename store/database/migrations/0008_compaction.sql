-- What a row of counts that was rolled up from several keeps of them.

-- How many files' rows were added up; null in a row that is of one file.
ALTER TABLE monitor_window ADD COLUMN files INTEGER;
-- When the first of them was recorded; `recorded_at` is when the last one was.
ALTER TABLE monitor_window ADD COLUMN first_recorded_at TIMESTAMP;
