"""The runs of other machines: from build artefacts of GitHub, and from any file system that fsspec knows."""
