"""A first pipeline.toml for notebooks that have none: what they are, what they read and write, and its text."""
