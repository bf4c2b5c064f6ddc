"""A runner of GitLab's that plays the jobs of a configuration, and as much of its API as notes need."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

PYTHON = f"""\
#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then exit 0; fi
exec "{sys.executable}" "$@"
"""
_KEYWORDS = frozenset({"variables", "include", "stages", "default", "workflow"})


@dataclass
class FakeGitLab:
    """Merge request 7 of project 1: its ``notes``, of which 101 are asked for by two pages."""

    notes: list[dict[str, Any]] = field(default_factory=list)
    base: str = ""

    def answer(self, method: str, url: str, body: dict[str, Any]) -> Any:
        parts = urlsplit(url)
        notes = "/projects/1/merge_requests/7/notes"
        if (method, parts.path) == ("GET", "/user"):
            return {"id": 5}
        if (method, parts.path) == ("GET", notes):
            asked = {name: int(value[0]) for name, value in parse_qs(parts.query).items()}
            at = (asked["page"] - 1) * asked["per_page"]
            return self.notes[at : at + asked["per_page"]]
        if (method, parts.path) == ("POST", notes):
            self.notes.append({"id": len(self.notes) + 1, "author": {"id": 5}, **body})
            return {}
        assert method == "PUT"
        (note,) = [note for note in self.notes if f"{notes}/{note['id']}" == parts.path]
        note |= body
        return {}


@contextmanager
def serving(gitlab: FakeGitLab) -> Iterator[FakeGitLab]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            assert self.headers["PRIVATE-TOKEN"] == "t"
            data = json.dumps(gitlab.answer(self.command, self.path, json.loads(body or b"{}"))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gitlab.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield gitlab
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Played:
    """A job that was played."""

    workspace: Path
    log: str
    code: int

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.workspace / "nbdag-ci/summary.json").read_text())


@dataclass
class GitLabRunner:
    """What outlives a pipeline: the repository, its caches, the published site."""

    root: Path
    origin: Path
    fails: str = ""
    """The command of nbdag that fails."""
    number: int = 0
    site: Path | None = None

    def play(self, content: dict[str, Any], sha: str, **variables: str) -> dict[str, Played]:
        """Play the jobs of a pipeline in their order; one that failed leaves out those that need it."""
        self.number += 1
        played: dict[str, Played] = {}
        for name, job in content.items():
            if name in _KEYWORDS:
                continue
            given = {**content.get("variables", {}), **job.get("variables", {}), **variables}
            workspace = self.root / f"machine-{self.number}-{name}" / "builds" / "ada" / "digits"
            given |= {"CI_PROJECT_DIR": str(workspace), "CI_JOB_ID": str(self.number), "CI_JOB_NAME": name}
            rule = next((rule for rule in job["rules"] if _holds(rule["if"], given)), None)
            has_failed = any(played[need].code for need in job.get("needs", ()) if need in played)
            if rule is None or (has_failed and rule.get("when") != "always"):
                continue
            played[name] = self._play(name, job, sha, workspace, given)
        return played

    def _play(self, name: str, job: dict[str, Any], sha: str, workspace: Path, given: dict[str, str]) -> Played:
        self._check_out(workspace, sha if given.get("GIT_STRATEGY") != "none" else "")
        caches = [_expanded(cache, given) for cache in job.get("cache", ())]
        for cache in caches:
            self._restore(cache, workspace)
        for need in job.get("needs", ()):
            if (kept := self.root / "artifacts" / str(self.number) / need).exists():
                shutil.copytree(kept, workspace, dirs_exist_ok=True)
        environment = self._environment(workspace.parents[2] / "tools")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(job["script"])],
            cwd=workspace,
            env={**environment, "GITLAB_CI": "true", "CI_COMMIT_SHA": sha, **given},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for cache in caches:
            if cache.get("policy") != "pull" and (cache.get("when") == "always" or not done.returncode):
                self._save(cache, workspace)
        self._keep(name, job.get("artifacts", {}), workspace, done.returncode)
        return Played(workspace=workspace, log=done.stdout, code=done.returncode)

    def _environment(self, tools: Path) -> dict[str, str]:
        tools.mkdir(exist_ok=True)
        nbdag = os.path.join(os.path.dirname(sys.executable), "nbdag")
        failing = f'#!/bin/sh\n[ "$1" != "{self.fails}" ] || exit 3\nexec "{nbdag}" "$@"\n'
        for tool, text in (("python", PYTHON), ("nbdag", failing)):
            (tools / tool).write_text(text)
            (tools / tool).chmod(0o755)
        path = (str(tools), os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin")
        return {"PATH": os.pathsep.join(path), "HOME": str(tools), "LANG": "C.UTF-8", "CI": "true"}

    def _keep(self, name: str, artifacts: dict[str, Any], workspace: Path, code: int) -> None:
        if code and artifacts.get("when") != "always":
            return
        for path in artifacts.get("paths", ()):
            if (workspace / path).exists():
                target = self.root / "artifacts" / str(self.number) / name / path
                shutil.copytree(workspace / path, target)
                if name == "pages":
                    self.site = target

    def _check_out(self, workspace: Path, sha: str) -> None:
        workspace.mkdir(parents=True)
        if sha:
            git = ("git", "-c", "advice.detachedHead=false")
            clone = ["clone", "-q", "--no-checkout", f"file://{self.origin}", str(workspace)]
            subprocess.run([*git, *clone], check=True)
            subprocess.run([*git, "checkout", "-q", sha], cwd=workspace, check=True)

    def _restore(self, cache: dict[str, Any], workspace: Path) -> None:
        for key in (cache["key"], *cache.get("fallback_keys", ())):
            if (folder := self.root / "caches" / key).exists():
                for number, path in enumerate(cache["paths"]):
                    if (folder / str(number)).exists():
                        target = workspace / path
                        shutil.copytree(folder / str(number), target, copy_function=shutil.copyfile)
                return

    def _save(self, cache: dict[str, Any], workspace: Path) -> None:
        found = [(number, workspace / path) for number, path in enumerate(cache["paths"])]
        folder = self.root / "caches" / cache["key"]
        assert "/" not in cache["key"]
        if any(path.exists() for _, path in found):  # else there is nothing to upload, and the old one stays
            shutil.rmtree(folder, ignore_errors=True)
            for number, path in found:
                if path.exists():
                    shutil.copytree(path, folder / str(number))


def read_configuration(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def _expanded(value: Any, given: dict[str, str]) -> Any:
    match value:
        case str():
            return re.sub(r"\$\{?(\w+)\}?", lambda match: given.get(match[1], ""), value)
        case list():
            return [_expanded(item, given) for item in value]
        case dict():
            return {name: _expanded(item, given) for name, item in value.items()}
        case _:
            return value


def _holds(condition: str, given: dict[str, str]) -> bool:
    left, sign, right = condition.partition(" == ")
    assert sign, f"no runner knows {condition}"
    return given.get(left.removeprefix("$"), "") == (
        given.get(right.removeprefix("$")) if right.startswith("$") else right.strip('"')
    )
