"""One attempt in folders of its own; one notebook in a kernel."""

from tests.support.attempts import project
from tests.support.notebook_runs import run, runtime

__all__ = ["project", "run", "runtime"]
