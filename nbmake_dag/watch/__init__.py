"""Build again whenever a saved file affects a task."""
