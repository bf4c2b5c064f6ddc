"""make for notebooks, with a record of every run."""
