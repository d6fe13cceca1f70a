"""Which version of a model serves where: revisions, targets, and what keeps the two in step."""
