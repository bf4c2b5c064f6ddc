"""Generate a first pipeline.toml: find notebooks, guess what they read and write, write the text."""
