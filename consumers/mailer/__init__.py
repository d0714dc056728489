"""The worker: lanes, offsets, schedule, committer and engine."""
