"""A runner of GitHub's that plays whole workflows: the actions that it knows are played, every script is run.

Caches are scoped as GitHub's are: a job finds those of its own ref, then those of the branch that it is based on.
Any step can be made to fail, to see what becomes of the others.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.expressions import Expressions

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples/github-workflows"
ACTION = ".github/actions/nbdag"
PYTHON = f"""\
#!/bin/sh
if [ "$1 $2" = "-m pip" ]; then echo "$@" >> "$PIP_LOG"; exit 0; fi
if [ "$1 $2 $3" = "-m build --outdir" ]; then mkdir "$4"; touch "$4/x-1.2.0.tar.gz" "$4/x-1.2.0.whl"; exit 0; fi
exec "{sys.executable}" "$@"
"""
GH = f"""\
#!/bin/sh
exec "{sys.executable}" "{REPOSITORY / "tests/support/gh.py"}" "$@"
"""


@dataclass
class Job:
    """A job that was played: what its steps printed, its summary, and where it worked."""

    workspace: Path
    log: str = ""
    code: int = 0
    summary: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """What every build of it summarized."""
    begun: list[str] = field(default_factory=list)
    """Its steps that were not left out, those of the action too."""
    failed: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    installed: list[str] = field(default_factory=list)
    """The arguments of pip."""
    pip_caches: list[str] = field(default_factory=list)

    def ran(self, *names: str) -> Job:
        """Claim that one build executed exactly these tasks, and that all went well."""
        __tracebackhide__ = True
        (run,) = self.runs
        ran = sorted(task["name"] for task in run["tasks"] if task["status"] == "ran")
        assert (ran, self.code, self.failed) == (sorted(names), 0, []), self.log
        return self


@dataclass
class Runner:
    """Everything that outlives a job: the repository, its caches and artefacts, comments, the published site."""

    root: Path
    origin: Path
    one_scope: bool = False
    """Whether caches are shared between all refs, as those of other systems may be."""
    carried: tuple[str, ...] = (".nbdag/cache", ".nbdag/runs", ".nbdag/history", ".nbdag/site")
    """What a cache holds of the paths that a workflow names."""
    environment: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    """Of the repository's settings."""
    fails: str = ""
    """The step that fails, by its name, else by its action."""
    refuses: str = ""
    """The command of nbdag that fails."""
    caches: list[tuple[str, str, Path]] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    """By name, those that have not expired; GitHub gives each a ``numbers`` of its own."""
    numbers: dict[str, int] = field(default_factory=dict)
    site: Path | None = None
    number: int = 0

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        empty: dict[str, Any] = {"private": False, "public": True, "comments": [], "artifacts": [], "releases": []}
        self.repository = empty

    @property
    def repository(self) -> dict[str, Any]:
        """What the program `gh` sees."""
        return json.loads((self.root / "repository.json").read_text())

    @repository.setter
    def repository(self, content: dict[str, Any]) -> None:
        (self.root / "repository.json").write_text(json.dumps(content))

    def play(self, workflow: str | Path, **github: Any) -> dict[str, Job]:
        """Play a workflow; returns its jobs, without those that were left out."""
        content = yaml.safe_load((EXAMPLES / workflow).read_text())
        self.number += 1
        github = {"base_ref": "", "head_ref": "", "run_id": str(1000 + self.number), "run_attempt": "1"} | github
        github |= {"repository": "ada/digits", "token": "t", "event": github.get("event", {})}
        github["ref_name"] = github["ref"].split("/", 2)[-1]
        played: dict[str, Job] = {}
        for name, job in content["jobs"].items():
            machine = self.root / f"machine-{self.number}-{name}"
            env = {**content.get("env", {}), **job.get("env", {})}
            for index, leg in enumerate(_legs(job)):
                playing = _Playing(self, machine / str(index), {**github, "job": name}, env)
                playing.contexts |= {"matrix": leg, "strategy": {"job-index": index}}
                if playing.begins(job, played):
                    # what another workflow does is played by itself
                    playing.steps(job.get("steps", []), playing.contexts)
                    played[name if len(_legs(job)) == 1 else f"{name}-{index}"] = playing.done(job)
        return played

    def found(self, scopes: list[str], key: str, prefixes: list[str]) -> tuple[str, Path] | None:
        for scope in scopes:
            for wanted in (key, *prefixes):
                for place, known, folder in reversed(self.caches):
                    if (self.one_scope or place == scope) and (known == key or known.startswith(wanted)):
                        return known, folder
        return None


def _legs(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the values of each leg of a job's matrix, which has one axis at most."""
    matrix = job.get("strategy", {}).get("matrix", {})
    return [{axis: value} for axis, values in matrix.items() for value in values] or [{}]


class _StepFailedError(Exception):
    def __init__(self, outputs: dict[str, str]) -> None:
        super().__init__(outputs)
        self.outputs = outputs


class _Playing:
    def __init__(self, runner: Runner, machine: Path, github: dict[str, Any], env: dict[str, str]) -> None:
        self.runner = runner
        self.github = github
        self.job = Job(workspace=machine / "work" / "digits" / "digits")
        self.temp = machine / "temp"
        self.home = machine / "home"
        self.tools = machine / "tools"
        for folder in (self.temp, self.home, self.tools, machine / "files", self.job.workspace):
            folder.mkdir(parents=True)
        nbdag = os.path.join(os.path.dirname(sys.executable), "nbdag")
        refusing = f'#!/bin/sh\n[ "$1" != "{runner.refuses}" ] || exit 3\nexec "{nbdag}" "$@"\n'
        for name, text in (("gh", GH), ("python", PYTHON), ("nbdag", refusing)):
            (self.tools / name).write_text(text)
            (self.tools / name).chmod(0o755)
        self.files = machine / "files"
        (self.files / "event.json").write_text(json.dumps(github["event"]))
        (self.files / "summary.md").write_text("")
        (self.files / "pip").write_text("")
        self.contexts: dict[str, Any] = {
            "github": github,
            "runner": {"os": "Linux", "arch": "X64", "temp": str(self.temp)},
            "env": {name: str(value) for name, value in env.items()},
            "vars": runner.variables,
            "steps": {},
        }

    def asking(self, contexts: dict[str, Any]) -> Expressions:
        return Expressions(contexts, self.job.workspace, lambda: self.job.code != 0)

    def begins(self, job: dict[str, Any], played: Mapping[str, Job]) -> bool:
        """Judge whether a job is played: after those that it needs."""
        needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        of_needed = {name: [played[leg] for leg in played if leg.partition("-")[0] == name] for name in needs}
        self.contexts["needs"] = {name: {"outputs": legs[-1].outputs} for name, legs in of_needed.items() if legs}
        has_failed = any(not legs or any(leg.code for leg in legs) for legs in of_needed.values())
        return Expressions(self.contexts, self.job.workspace, lambda: has_failed).holds(job.get("if"))

    def done(self, job: dict[str, Any]) -> Job:
        self.job.summary = (self.files / "summary.md").read_text()
        self.job.installed = (self.files / "pip").read_text().splitlines()
        asking = self.asking(self.contexts)
        self.job.outputs = {name: asking.filled(text) for name, text in job.get("outputs", {}).items()}
        return self.job

    def steps(self, steps: list[dict[str, Any]], contexts: dict[str, Any]) -> None:
        """Play steps in order. One that failed leaves only those that say otherwise."""
        for step in steps:
            name = step.get("name") or str(step.get("uses", "")).partition("@")[0]
            if not self.asking(contexts).holds(step.get("if")):
                continue
            self.job.begun.append(name)
            outputs: dict[str, str] = {}
            try:
                if name == self.runner.fails:
                    raise _StepFailedError({})  # noqa: TRY301 - as the step would
                outputs = self.step(step, contexts)
            except _StepFailedError as error:
                outputs = error.outputs
                self.job.failed.append(name)
                self.job.code = self.job.code or int(not step.get("continue-on-error"))
            if "id" in step:
                contexts["steps"][step["id"]] = {"outputs": outputs}

    def step(self, step: dict[str, Any], contexts: dict[str, Any]) -> dict[str, str]:
        asking = self.asking(contexts)
        given = {name: asking.filled(value) for name, value in step.get("with", {}).items()}
        action = str(step.get("uses", "")).partition("@")[0]
        if not action:
            env = {name: asking.filled(value) for name, value in step.get("env", {}).items()}
            return self.script(step["run"], {**contexts["env"], **env})
        if action == f"./{ACTION}":
            return self.composite(given)
        played = {
            "actions/cache/restore": self.restore,
            "actions/cache/save": self.save,
            "actions/checkout": self.checkout,
            "actions/deploy-pages": self.deploy,
            "actions/download-artifact": self.download,
            "actions/setup-python": self.set_up,
            "actions/attest-build-provenance": self.found_at,
            "pypa/gh-action-pypi-publish": self.found_at,
            "actions/upload-artifact": self.upload,
            "actions/upload-pages-artifact": self.upload_pages,
        }
        assert action in played, f"no runner knows {action}"
        return played[action](given) or {}

    def composite(self, given: dict[str, str]) -> dict[str, str]:
        copy = self.job.workspace / ACTION / "action.yml"
        action = yaml.safe_load((copy if copy.exists() else REPOSITORY / ACTION / "action.yml").read_text())
        assert given.keys() <= action["inputs"].keys()
        inputs = {name: str(value["default"]) for name, value in action["inputs"].items()} | given
        contexts = {**self.contexts, "inputs": inputs, "steps": {}}
        self.steps(action["runs"]["steps"], contexts)
        return {name: self.asking(contexts).filled(value["value"]) for name, value in action["outputs"].items()}

    def checkout(self, _given: dict[str, str]) -> None:
        git = ("git", "-c", "advice.detachedHead=false")
        origin = f"file://{self.runner.origin}"
        subprocess.run([*git, "clone", "-q", "--depth=1", "--no-checkout", origin, self.job.workspace], check=True)
        fetch = ["fetch", "-q", "--depth=1", "origin", self.github["sha"]]
        for words in (fetch, ["checkout", "-q", self.github["sha"]]):
            subprocess.run([*git, *words], cwd=self.job.workspace, check=True)

    def set_up(self, given: dict[str, str]) -> None:
        """Fail as the action does where there is no file that pip's cache could be named by."""
        self.job.pip_caches.append(given.get("cache", ""))
        patterns = given.get("cache-dependency-path", "").split()
        if given.get("cache") and not any(list(self.job.workspace.glob(pattern)) for pattern in patterns):
            raise _StepFailedError({})

    def restore(self, given: dict[str, str]) -> dict[str, str]:
        scopes = [self.github["ref"], f"refs/heads/{self.github['base_ref'] or 'main'}"]
        found = self.runner.found(scopes, given["key"], given["restore-keys"].split())
        for number, path in enumerate(given["path"].split()):
            if found and (found[1] / str(number)).exists():
                target = self.job.workspace / path
                shutil.copytree(found[1] / str(number), target, copy_function=shutil.copyfile, dirs_exist_ok=True)
        return {"cache-matched-key": found[0] if found else ""}

    def save(self, given: dict[str, str]) -> None:
        folder = self.runner.root / "caches" / given["key"].replace("/", "-")
        for number, path in enumerate(given["path"].split()):
            if path.endswith(self.runner.carried) and (self.job.workspace / path).exists():
                shutil.copytree(self.job.workspace / path, folder / str(number))
        assert given["key"] not in {key for _, key, _ in self.runner.caches}
        self.runner.caches.append((self.github["ref"], given["key"], folder))

    def found_at(self, given: dict[str, str]) -> None:
        """Note the files that an action takes."""
        files = self.job.workspace.glob(given.get("subject-path", "dist/*"))
        self.job.log += "".join(sorted(f"{path.relative_to(self.job.workspace)}\n" for path in files))

    def upload_pages(self, given: dict[str, str]) -> None:
        shutil.copytree(self.job.workspace / given["path"], self.runner.root / "pages", dirs_exist_ok=True)

    def deploy(self, _given: dict[str, str]) -> dict[str, str]:
        self.runner.site = self.runner.root / "pages"
        return {"page_url": "https://ada.github.io/digits/"}

    def upload(self, given: dict[str, str]) -> dict[str, str]:
        """Keep a folder or a file; of a run no two may have the same name."""
        source = self.job.workspace / given["path"]
        if not source.exists() or (source.is_dir() and not any(source.iterdir())):
            assert given.get("if-no-files-found") == "ignore", f"{source} is not there"
            return {}
        name = source.name if given.get("archive") == "false" else given["name"]
        folder = self.runner.root / "artifacts" / f"{self.github['run_id']}-{name}"
        if folder.exists() and given.get("overwrite") != "true":
            raise _StepFailedError({})
        shutil.rmtree(folder, ignore_errors=True)
        if source.is_dir():
            shutil.copytree(source, folder)
        else:
            folder.mkdir(parents=True)
            shutil.copy(source, folder)
        repository = self.runner.repository
        number = len(repository["artifacts"]) + 1
        self.runner.artifacts[name], self.runner.numbers[name] = folder, number
        packed = shutil.make_archive(str(folder), "zip", folder)
        made = {"head_branch": self.github["head_ref"] or "main", "repository_id": 1, "head_repository_id": 1}
        repository["artifacts"].insert(
            0, {"id": number, "name": name, "expired": False, "workflow_run": made, "zip": packed}
        )
        self.runner.repository = repository
        return {"artifact-url": f"https://github.com/ada/digits/actions/artifacts/{number}"}

    def download(self, given: dict[str, str]) -> None:
        target = self.job.workspace / given.get("path", "")
        of_run = f"{self.github['run_id']}-"
        names = [
            path.name.removeprefix(of_run) for path in (self.runner.root / "artifacts").glob(f"{of_run}*.zip")
        ]
        for name in (name.removesuffix(".zip") for name in sorted(names)):
            if fnmatch.fnmatch(name, given.get("pattern") or given.get("name") or "*"):
                folder = target if "name" in given or given.get("merge-multiple") == "true" else target / name
                with zipfile.ZipFile(self.runner.root / "artifacts" / f"{of_run}{name}.zip") as packed:
                    packed.extractall(folder)

    def script(self, text: str, env: Mapping[str, str]) -> dict[str, str]:
        output = self.files / "output"
        output.write_text("")
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
        outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        if "nbdag build" in text:
            summaries = sorted(self.temp.glob("nbdag-*/summary.json"), key=lambda path: path.stat().st_mtime)
            self.job.runs += [json.loads(path.read_text()) for path in summaries[-1:]]
        if done.returncode:
            raise _StepFailedError(outputs)
        return outputs

    def variables(self) -> dict[str, str]:
        """Return what a job of GitHub's has in its environment, and nothing of this machine but the programs."""
        github = self.github
        kind = github["ref"].removeprefix("refs/").partition("/")[0]
        tools = (str(self.tools), os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin")
        return {
            "PATH": os.pathsep.join(tools),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(REPOSITORY / ACTION),
            "GITHUB_JOB": github["job"],
            "GITHUB_WORKSPACE": str(self.job.workspace),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": github["repository"],
            "GITHUB_EVENT_NAME": github["event_name"],
            "GITHUB_EVENT_PATH": str(self.files / "event.json"),
            "GITHUB_STEP_SUMMARY": str(self.files / "summary.md"),
            "GITHUB_REF": github["ref"],
            "GITHUB_REF_NAME": github["ref_name"],
            "GITHUB_REF_TYPE": "tag" if kind == "tags" else "branch",
            "GITHUB_SHA": github["sha"],
            "GITHUB_HEAD_REF": github["head_ref"],
            "GITHUB_BASE_REF": github["base_ref"],
            "GITHUB_RUN_ID": github["run_id"],
            "GITHUB_RUN_ATTEMPT": github["run_attempt"],
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_STATE": str(self.runner.root / "repository.json"),
            "PIP_LOG": str(self.files / "pip"),
        }
