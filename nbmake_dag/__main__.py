"""The `nbdag` command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; every error that a user can act on is shown without a traceback."""
    if sys.platform == "win32":
        sys.exit("nbdag does not run on Windows; it does in WSL: https://learn.microsoft.com/windows/wsl/install")
    from nbmake_dag.commands.cli import run  # noqa: PLC0415 - after the refusal

    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
