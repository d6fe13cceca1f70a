-- A prediction that was given counts as the answer, whatever the score says; what a score is was not always a probability.

-- What the score of a binary task is: 0 a probability, 1 a percentage, 2 a logit, 3 none of these (store/monitor/scores.py).
-- Null in rows of before it was kept: their answer is `score >= threshold` even where a prediction was given, for what
-- was counted so must be taken back so; and of other tasks.
ALTER TABLE monitor_prediction ADD COLUMN score_scale UTINYINT;

-- Whether the performance on the reference goes by the predictions that it gives. Null of references of before.
ALTER TABLE monitor_reference ADD COLUMN answers_given BOOLEAN;
