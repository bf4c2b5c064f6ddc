"""A pipeline of commands whose facts are observed."""

from tests.observe.surveys import folder

__all__ = ["folder"]
