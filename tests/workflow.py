"""A runner of GitHub's that plays the jobs of a workflow: the actions it knows are played, the scripts are run.

Caches are scoped as GitHub's are: a job finds those of its own ref, then those of the branch that it is based on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
GH = '#!/bin/sh\n[ "$1 $2 $3 $4" = "pr comment 7 --body-file" ] || exit 9\ncp "$5" "$COMMENTS/$3.md"\n'
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Job:
    """A job that was played: what its steps printed, its summary, and where it worked."""

    workspace: Path
    log: str = ""
    code: int = 0
    summary: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """What every build of it summarized."""

    def ran(self, *names: str) -> Job:
        """Claim that one build executed exactly these tasks, and that all went well."""
        __tracebackhide__ = True
        (run,) = self.runs
        ran = sorted(task["name"] for task in run["tasks"] if task["status"] == "ran")
        assert (ran, self.code) == (sorted(names), 0), self.log
        return self


@dataclass
class Runner:
    """Everything that outlives a job: the repository, its caches and artefacts, comments, the published site."""

    root: Path
    origin: Path
    one_scope: bool = False
    """Whether caches are shared between all refs, as those of other systems may be."""
    carried: tuple[str, ...] = (".nbdag/cache", ".nbdag/runs")
    """What a cache holds of the paths that a workflow names."""
    environment: dict[str, str] = field(default_factory=dict)
    caches: list[tuple[str, str, Path]] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    number: int = 0

    def play(self, workflow: str, job: str, **github: Any) -> Job:
        """Play one job of a workflow on a fresh machine: a clone elsewhere, another home, no old file times."""
        self.number += 1
        machine = self.root / f"machine-{self.number}"
        job_of = yaml.safe_load((REPOSITORY / "examples/github-workflows" / workflow).read_text())["jobs"][job]
        github = {"base_ref": "", "head_ref": "", "run_id": str(1000 + self.number), "run_attempt": "1"} | github
        github |= {"repository": "ada/digits", "token": "t", "event": github.get("event", {})}
        playing = _Playing(self, machine, github)
        playing.steps(job_of["steps"], {})
        return playing.done()

    def found(self, scopes: list[str], key: str, prefixes: list[str]) -> Path | None:
        for scope in scopes:
            for wanted in (key, *prefixes):
                for place, known, folder in reversed(self.caches):
                    if (self.one_scope or place == scope) and (known == key or known.startswith(wanted)):
                        return folder
        return None


class _Playing:
    def __init__(self, runner: Runner, machine: Path, github: dict[str, Any]) -> None:
        self.runner = runner
        self.github = github
        self.job = Job(workspace=machine / "work" / "digits" / "digits")
        self.temp = machine / "temp"
        self.home = machine / "home"
        self.tools = machine / "tools"
        for folder in (self.temp, self.home, self.tools, machine / "files"):
            folder.mkdir(parents=True)
        (self.tools / "gh").write_text(GH)
        (self.tools / "gh").chmod(0o755)
        self.files = machine / "files"
        (self.files / "event.json").write_text(json.dumps(github["event"]))
        (self.files / "summary.md").write_text("")

    def done(self) -> Job:
        self.job.summary = (self.files / "summary.md").read_text()
        return self.job

    def steps(self, steps: list[dict[str, Any]], inputs: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Play steps in order; returns their outputs. One that failed leaves only those that say otherwise."""
        contexts: dict[str, Any] = {
            "inputs": inputs,
            "github": self.github,
            "runner": {"os": "Linux", "temp": str(self.temp)},
            "steps": {},
        }
        for step in steps:
            if not _holds(step.get("if"), contexts, failed=self.job.code != 0):
                continue
            outputs = self.step(step, contexts)
            if "id" in step:
                contexts["steps"][step["id"]] = {"outputs": outputs}
        return contexts["steps"]

    def step(self, step: dict[str, Any], contexts: dict[str, Any]) -> dict[str, str]:
        given = {name: _filled(str(value), contexts) for name, value in step.get("with", {}).items()}
        match str(step.get("uses", "")).partition("@")[0]:
            case "":
                env = {name: _filled(str(value), contexts) for name, value in step.get("env", {}).items()}
                return self.script(step["run"], env) if step.get("name") != "Install" else {}
            case "actions/checkout":
                self.checkout()
            case "./.github/actions/nbdag":
                return self.composite(given)
            case "actions/cache/restore":
                self.restore(given)
            case "actions/cache/save":
                self.save(given)
            case "actions/upload-artifact":
                self.upload(given)
            case "actions/download-artifact":
                shutil.copytree(self.runner.artifacts[given["name"]], self.job.workspace, dirs_exist_ok=True)
            case "actions/setup-python":
                pass
            case other:
                raise AssertionError(f"no runner knows {other}")
        return {}

    def composite(self, given: dict[str, str]) -> dict[str, str]:
        action = yaml.safe_load((REPOSITORY / ".github/actions/nbdag/action.yml").read_text())
        inputs = {name: str(value["default"]) for name, value in action["inputs"].items()} | given
        steps = self.steps(action["runs"]["steps"], inputs)
        return {
            name: _filled(value["value"], {"steps": steps, "inputs": inputs, "github": self.github})
            for name, value in action["outputs"].items()
        }

    def checkout(self) -> None:
        git = ("git", "-c", "advice.detachedHead=false")
        origin = f"file://{self.runner.origin}"
        subprocess.run([*git, "clone", "-q", "--depth=1", "--no-checkout", origin, self.job.workspace], check=True)
        fetch = ["fetch", "-q", "--depth=1", "origin", self.github["sha"]]
        for words in (fetch, ["checkout", "-q", self.github["sha"]]):
            subprocess.run([*git, *words], cwd=self.job.workspace, check=True)

    def restore(self, given: dict[str, str]) -> None:
        scopes = [self.github["ref"], f"refs/heads/{self.github['base_ref'] or 'main'}"]
        folder = self.runner.found(scopes, given["key"], given["restore-keys"].split())
        for number, path in enumerate(given["path"].split()):
            if folder and (folder / str(number)).exists():
                shutil.copytree(folder / str(number), self.job.workspace / path, copy_function=shutil.copyfile)

    def save(self, given: dict[str, str]) -> None:
        folder = self.runner.root / "caches" / str(len(self.runner.caches))
        for number, path in enumerate(given["path"].split()):
            if path.endswith(self.runner.carried) and (self.job.workspace / path).exists():
                shutil.copytree(self.job.workspace / path, folder / str(number))
        assert given["key"] not in {key for _, key, _ in self.runner.caches}
        self.runner.caches.append((self.github["ref"], given["key"], folder))

    def upload(self, given: dict[str, str]) -> None:
        source = Path(given["path"])
        if source.exists():
            folder = self.runner.root / "artifacts" / f"{self.runner.number}-{given['name']}"
            self.runner.artifacts[given["name"]] = Path(shutil.copytree(source, folder))

    def script(self, text: str, env: Mapping[str, str]) -> dict[str, str]:
        self.job.workspace.mkdir(parents=True, exist_ok=True)
        output = self.files / "output"
        output.write_text("")
        (self.runner.root / "comments").mkdir(exist_ok=True)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
            cwd=self.job.workspace,
            env={**self.variables(), **self.runner.environment, **env, "GITHUB_OUTPUT": str(output)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.job.log += done.stdout
        self.job.code = self.job.code or done.returncode
        summary = self.temp / "nbdag-summary.json"
        if "nbdag build" in text and summary.exists():
            self.job.runs.append(json.loads(summary.read_text()))
        return dict(line.split("=", 1) for line in output.read_text().splitlines())

    def variables(self) -> dict[str, str]:
        """Return what a job of GitHub's has in its environment, and nothing of this machine but the programs."""
        github = self.github
        kind, _, name = github["ref"].removeprefix("refs/").partition("/")
        tools = (str(self.tools), os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin")
        return {
            "PATH": os.pathsep.join(tools),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.job.workspace),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": github["repository"],
            "GITHUB_EVENT_NAME": github["event_name"],
            "GITHUB_EVENT_PATH": str(self.files / "event.json"),
            "GITHUB_STEP_SUMMARY": str(self.files / "summary.md"),
            "GITHUB_REF": github["ref"],
            "GITHUB_REF_NAME": name,
            "GITHUB_REF_TYPE": "tag" if kind == "tags" else "branch",
            "GITHUB_SHA": github["sha"],
            "GITHUB_HEAD_REF": github["head_ref"],
            "GITHUB_BASE_REF": github["base_ref"],
            "GITHUB_RUN_ID": github["run_id"],
            "GITHUB_RUN_ATTEMPT": github["run_attempt"],
            "RUNNER_TEMP": str(self.temp),
            "COMMENTS": str(self.runner.root / "comments"),
        }


def _holds(condition: str | None, contexts: Mapping[str, Any], *, failed: bool) -> bool:
    """Judge a condition made of comparisons; without `cancelled()` one holds only where nothing failed."""
    if condition is None:
        return not failed
    text = _EXPRESSION.sub(r"\1", condition)
    if failed and "cancelled()" not in text:
        return False
    return all(_true(part, contexts) for part in text.split(" && "))


def _true(part: str, contexts: Mapping[str, Any]) -> bool:
    if part == "!cancelled()":
        return True
    left, sign, right = part.partition(" != ") if " != " in part else part.partition(" == ")
    assert sign, f"no runner knows {part}"
    return (_value(left, contexts) == _value(right, contexts)) == (sign == " == ")


def _filled(text: str, contexts: Mapping[str, Any]) -> str:
    return _EXPRESSION.sub(lambda match: _value(match[1], contexts), text)


def _value(name: str, contexts: Mapping[str, Any]) -> str:
    if name.startswith("'"):
        return name.strip("'")
    value: Any = contexts
    for word in name.split("."):
        value = value.get(word, "") if isinstance(value, Mapping) else ""
    return str(value)
