"""Checks for faults of a pipeline that a build cannot see, some of which execute a task again."""
