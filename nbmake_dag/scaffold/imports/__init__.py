"""Pipelines of other tools, read without executing them, as tasks and a list of what those cannot say."""
