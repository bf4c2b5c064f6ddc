"""One attempt in folders of its own."""

from tests.support.attempts import project

__all__ = ["project"]
