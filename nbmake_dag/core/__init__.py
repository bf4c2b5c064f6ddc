"""The pure core: values in, values out; no file, clock, logger or environment."""
