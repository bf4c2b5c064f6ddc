"""The `nbdag` command."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class _LastingOutput(io.FileIO):
    """Output whose reader may go away, which does not change how the command ends."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return super().write(data)


def main() -> None:
    """Run the command line; every error that a user can act on is shown without a traceback."""
    if sys.platform == "win32":
        sys.exit("nbdag does not run on Windows; it does in WSL: https://learn.microsoft.com/windows/wsl/install")
    from nbmake_dag.execute.import_blocklist import stay_light  # noqa: PLC0415 - after the refusal

    stay_light()
    _open_closed_streams()
    _outlast_readers()
    os._exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code; options are read only where there are some."""
    if arguments == ["build"] and "GITHUB_ACTIONS" not in os.environ:
        from nbmake_dag.commands.ending import exit_code_of  # noqa: PLC0415 - not for the other commands

        return exit_code_of(_build_all)
    from nbmake_dag.commands import cli  # noqa: PLC0415 - takes as long as a build with nothing to do

    return cli.run(arguments)


def _build_all() -> int:
    """Bring everything up to date: the most frequent command, run without loading the option parser."""
    from nbmake_dag.engine.build import build  # noqa: PLC0415 - not for the other commands
    from nbmake_dag.engine.request import Request  # noqa: PLC0415 - likewise
    from nbmake_dag.observe.project import find_project, profiles_in  # noqa: PLC0415 - likewise
    from nbmake_dag.progress.display import make_display  # noqa: PLC0415 - likewise

    project = find_project(profiles=profiles_in(os.environ))
    display = make_display("auto", sys.stderr)
    try:
        request = Request(targets=project.default_targets)
        outcome = build(project, request, (display,), waiting=display.print_notice)
    finally:
        display.close()
    return outcome.exit_code


def _open_closed_streams() -> None:
    """Open the standard streams that are closed, so that no other file gets their numbers."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def _outlast_readers() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        lasting = io.BufferedWriter(_LastingOutput(stream.fileno(), "w", closefd=False))
        buffering = stream.line_buffering
        text = io.TextIOWrapper(lasting, stream.encoding, stream.errors, line_buffering=buffering)
        setattr(sys, name, text)


if __name__ == "__main__":
    main()
