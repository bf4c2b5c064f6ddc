"""Runs, differences and explanations as text: for a terminal, a pull request, a job summary."""
