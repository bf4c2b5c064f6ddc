"""Notebooks as their tasks see them, opened in an editor."""
