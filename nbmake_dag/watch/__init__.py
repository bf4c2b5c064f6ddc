"""Building again whenever a saved file concerns a task."""
