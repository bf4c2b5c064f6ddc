"""Get files from elsewhere that tasks declare as inputs: ask whether they changed, and download them, bounded."""
