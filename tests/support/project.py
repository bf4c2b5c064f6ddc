"""A repository of notebooks in a temporary folder, and `nbdag` run in it: a test reads as a story."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil

from tests.support import forked

NBDAG = [sys.executable, "-m", "nbmake_dag"]
DEADLINE_S = 240
MARK = "STORY_OF_NBDAG"
"""An environment variable that every process of a project's builds inherits, zygotes and kernels too."""


@dataclass(frozen=True)
class Build:
    """A finished `nbdag build`."""

    code: int
    out: str
    err: str
    summary: dict[str, Any]

    def having(self, status: str) -> list[str]:
        return sorted(task["name"] for task in self.summary["tasks"] if task["status"] == status)

    def ran(self, *names: str) -> Build:
        """Claim that exactly these tasks were executed, and that all went well."""
        __tracebackhide__ = True
        assert (self.having("ran"), self.code) == (sorted(names), 0), self.err
        return self

    def restored(self, *names: str) -> Build:
        """Claim that exactly these tasks had outputs put back."""
        __tracebackhide__ = True
        assert self.having("restored") == sorted(names), self.err
        return self

    def ended(self, code: int, **statuses: list[str]) -> Build:
        """Claim an exit code, and which tasks ended how; a status that is not named has no task."""
        __tracebackhide__ = True
        found: dict[str, list[str]] = {}
        for task in self.summary["tasks"]:
            found.setdefault(task["status"], []).append(task["name"])
        assert {status: sorted(names) for status, names in found.items()} == statuses, self.err
        assert self.code == code, self.err
        return self

    def said(self, text: str) -> Build:
        __tracebackhide__ = True
        assert text in self.err
        return self

    def reasons(self, name: str) -> list[str]:
        return next(task["reasons"] for task in self.summary["tasks"] if task["name"] == name)


class Project:
    """A folder with a ``pipeline.toml``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    @classmethod
    def copied(cls, source: Path, root: Path) -> Project:
        shutil.copytree(source, root, symlinks=True)
        return cls(root)

    def __truediv__(self, path: str) -> Path:
        return self.root / path

    def write(self, path: str, text: str) -> Project:
        """Write a file; common indentation goes."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(dedent(text).lstrip("\n"))
        return self

    def save(self, path: str, text: str) -> Project:
        """Replace a file in one step: whoever watches sees the old text or the new one."""
        place, new = self.root / path, self.root.parent / "saved"
        new.write_text(text)
        shutil.copymode(place, new)
        new.replace(place)
        return self

    def pipeline(self, text: str) -> Project:
        return self.write("pipeline.toml", text)

    def notebook(self, path: str, *cells: str) -> Project:
        """Write a ``py:percent`` notebook; a cell that begins with ``# markdown`` or ``# parameters`` is one."""
        written: list[str] = []
        for cell in cells:
            text = dedent(cell).strip("\n")
            first, _, rest = text.partition("\n")
            if first == "# parameters":
                written.append(f'# %% tags=["parameters"]\n{rest}\n')
            elif first == "# markdown":
                written.append("# %% [markdown]\n" + "".join(f"# {line}\n" for line in rest.splitlines()))
            else:
                written.append(f"# %%\n{text}\n")
        return self.write(path, "\n".join(written))

    def edit(self, path: str, old: str, new: str) -> Project:
        text = (self.root / path).read_text()
        assert old in text, f"{old!r} is not in {path}"
        return self.save(path, text.replace(old, new))

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def remove(self, *paths: str) -> Project:
        """Remove files and whole folders."""
        for path in paths:
            place = self.root / path
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()
        return self

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True).stdout

    def commit(self) -> Project:
        """Put all but outputs and ``.nbdag`` under version control."""
        if not (self.root / ".git").exists():
            self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "all")
        return self

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, MARK: str(self.root), **(extra or {})}

    def processes(self) -> dict[int, str]:
        """Return what runs for this project: the command line by process id."""
        mark = f"{MARK}={self.root}".encode()
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found[int(entry.name)] = (
                            (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                        )
                except OSError:
                    continue  # ended meanwhile
        return found

    def leaves_nobody(self, within_s: float = 15) -> None:
        """Claim that all that ran for this project ends by itself."""
        __tracebackhide__ = True
        deadline = time.monotonic() + within_s
        while left := self.processes():
            assert time.monotonic() < deadline, f"still there after {within_s} s: {left}"
            time.sleep(0.02)

    def command(self, *arguments: str) -> list[str]:
        """Return how `nbdag` is called, by whoever builds this project."""
        return [*NBDAG, *arguments]

    def nbdag(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command, variables = self.command(*arguments), self.environment(env)
        if command == [*NBDAG, *arguments] and forked.may_fork(variables):
            return forked.run([*arguments], self.root, variables, DEADLINE_S)
        return subprocess.run(
            command,
            cwd=self.root,
            env=variables,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def build(self, *arguments: str, env: dict[str, str] | None = None) -> Build:
        summary = self.root / ".nbdag" / "summary.json"
        summary.unlink(missing_ok=True)
        done = self.nbdag("build", f"--summarize={summary}", *arguments, env=env)
        content = json.loads(summary.read_text()) if summary.exists() else {"tasks": []}
        assert "Traceback (most recent call last)" not in done.stderr.partition("error:")[0], done.stderr
        return Build(done.returncode, done.stdout, done.stderr, content)

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Begin a command in a session of its own."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.root,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def contents(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Return the bytes of files below the given paths, by path."""
        found: dict[str, bytes] = {}
        for path in paths:
            place = self.root / path
            files = [place] if place.is_file() else sorted(item for item in place.rglob("*") if item.is_file())
            found |= {str(file.relative_to(self.root)): file.read_bytes() for file in files}
        return found


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def await_true(condition: Callable[[], Any], within_s: float, what: str) -> None:
    """Wait for a condition, looking often; fail with what did not happen."""
    __tracebackhide__ = True
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def await_end(pid: int, within_s: float = 30) -> None:
    """Wait until a process has ended, even if nobody has asked how; a killed one takes a moment to die."""
    __tracebackhide__ = True

    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    await_true(ended, within_s, f"process {pid} goes on")
