"""From the text of `pipeline.toml` to a pipeline, with every complaint at once."""
