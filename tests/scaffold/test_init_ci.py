"""`nbdag init --ci`: our examples, fitted to the repository, where no file is in their place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nbmake_dag.scaffold.ci_files import ci_plan
from tests.support.project import Project

ROOT = Path(__file__).parents[2]
PIPELINE = "[pipeline]\nname = 'p'\n[tasks.a]\ncommand = 'true'\n"
GITHUB = {
    ".github/actions/nbdag/action.yml": ROOT / ".github/actions/nbdag/action.yml",
    **{
        f".github/workflows/nbdag-{name}.yml": ROOT / f"examples/github-workflows/{name}.yml"
        for name in ("daily", "pages", "pull-request", "push")
    },
}


def written(project: Project) -> dict[str, str]:
    paths = [path for path in project.root.rglob("*") if path.is_file() and path.suffix == ".yml"]
    return {str(path.relative_to(project.root)): path.read_text() for path in paths}


def test_the_files_for_github_are_our_examples(project):
    """As they are, where the pipeline is in the root, its requirements beside it, and the branch is main."""
    project.pipeline(PIPELINE).write("requirements.txt", "nbmake-dag\n").commit().git("branch", "-M", "main")
    done = project.nbdag("init", "--ci", "github")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(f"wrote {path}" for path in GITHUB)
    assert written(project) == {path: example.read_text() for path, example in GITHUB.items()}


def test_nothing_is_overwritten(project):
    """What is there stays, what is missing is written, and a second call writes nothing."""
    project.pipeline(PIPELINE).write(".github/workflows/nbdag-push.yml", "mine\n").commit()
    done = project.nbdag("init", "--ci=github")
    assert done.returncode == 0
    assert "kept .github/workflows/nbdag-push.yml: it is there already" in done.stdout
    before = written(project)
    assert before[".github/workflows/nbdag-push.yml"] == "mine\n"
    assert before.keys() == GITHUB.keys()
    again = project.nbdag("init", "--ci=github")
    assert [line.partition(" ")[0] for line in again.stdout.splitlines()] == ["kept"] * 5
    assert written(project) == before
    (project / ".gitlab").write_text("a file")
    refused = project.nbdag("init", "--ci=gitlab")
    assert (refused.returncode, (project / ".gitlab").read_text()) == (2, "a file")
    assert refused.stderr.startswith("error: .gitlab/nbdag.yml cannot be written")


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_the_files_fit_a_pipeline_in_a_folder(project, system):
    """Its folder, requirements and the default branch, whatever they are called, are where they are needed."""
    folder = "my analysis's"
    project.write(f"{folder}/pipeline.toml", PIPELINE).write(f"{folder}/requirements.txt", "pandas\n").commit()
    project.git("branch", "-M", "trunk")
    done = project.nbdag("-C", folder, "init", "--ci", system)
    assert done.returncode == 0, done.stderr
    hint = f"hint: {folder}/requirements.txt must name nbdag: nbmake-dag @ git+https://github.com/OWNER/nbdag@TAG"
    assert done.stderr.strip().partition("; OWNER and TAG stand for ")[0] == hint
    files = {path: yaml.safe_load(text) for path, text in written(project).items()}
    if system == "gitlab":
        variables = files[".gitlab/nbdag.yml"]["variables"]
        assert variables["NBDAG_DIRECTORY"] == folder
        words = ["xargs", "printf", "%s\n"]
        split = subprocess.run(words, input=variables["NBDAG_INSTALL"], capture_output=True, text=True, check=True)
        assert split.stdout.splitlines() == ["-r", f"{folder}/requirements.txt"]
        assert files[".gitlab-ci.yml"] == {"include": [{"local": ".gitlab/nbdag.yml"}]}
        return
    push, pages = (files[f".github/workflows/nbdag-{name}.yml"] for name in ("push", "pages"))
    assert (push["env"], pages["env"]) == ({"DIRECTORY": folder}, {"DIRECTORY": folder})
    assert push[True]["push"]["branches"] == pages[True]["workflow_run"]["branches"] == ["trunk"]
    install = push["jobs"]["build"]["steps"][-1]["with"]["install"]
    assert install == "-r 'my analysis'\"'\"'s/requirements.txt'"
    (step,) = [step for step in pages["jobs"]["site"]["steps"] if step.get("name") == "Install"]
    assert step["run"].endswith(install)


@pytest.mark.parametrize("instances", ["", 'instances = { rows = "rows.csv" }\n'])
def test_declared_secrets_reach_every_workflow(project, instances):
    """The build has them, and the site is searched for them; the settings of the repository have the values."""
    secret = 'secrets = ["SALES_TOKEN"]\n'
    project.pipeline(PIPELINE + instances + secret).write("requirements.txt", "nbdag\n").commit()
    done = project.nbdag("init", "--ci", "github")
    assert done.stderr.startswith("\nhint: write the values of SALES_TOKEN into the repository's settings:")
    workflows = [yaml.safe_load(text) for path, text in written(project).items() if "/workflows/" in path]
    passed = {"DIRECTORY": ".", "SALES_TOKEN": "${{ secrets.SALES_TOKEN }}"}
    assert [workflow["env"] for workflow in workflows] == [passed] * 4


def test_a_package_is_installed_as_it_is(project):
    """A project without requirements but with a package of its own, whose requirements name nbdag."""
    project.pipeline(PIPELINE).write("pyproject.toml", "[project]\nname = 'x'\ndependencies = ['nbmake-dag']\n")
    plan = ci_plan("github", str(project.root), str(project.root))
    assert plan.hints == ()
    push = yaml.safe_load(next(file.text for file in plan.files if file.path.endswith("push.yml")))
    assert push["jobs"]["build"]["steps"][-1]["with"]["install"] == "."


def test_a_configuration_of_gitlab_that_is_there_is_told_what_to_include(project):
    """Until it does."""
    project.pipeline(PIPELINE).write("requirements.txt", "nbdag\n").write(
        ".gitlab-ci.yml", "test:\n  script: ls\n"
    )
    done = project.nbdag("init", "--ci", "gitlab")
    assert done.stdout == "wrote .gitlab/nbdag.yml\n"
    assert done.stderr == "\nhint: write into .gitlab-ci.yml:\ninclude:\n  - local: .gitlab/nbdag.yml\n"
    project.write(".gitlab-ci.yml", "include: [{local: .gitlab/nbdag.yml}]\n")
    assert project.nbdag("init", "--ci", "gitlab").stderr == ""


def test_a_first_pipeline_and_its_ci_are_one_command(project):
    """Both are written where neither is there; another name of the file is none that CI builds."""
    project.notebook("work.py", "open('x.txt', 'w').write('1')")
    done = project.nbdag("init", "--ci", "gitlab")
    assert done.stdout.splitlines() == [
        "wrote pipeline.toml with 1 task",
        "other files that their code names are comments: remove the `#` before those that are right",
        "added .nbdag/ to .gitignore",
        "wrote .gitlab/nbdag.yml",
        "wrote .gitlab-ci.yml",
    ]
    other = project.nbdag("-f", "other.toml", "init", "--ci", "gitlab")
    assert (other.returncode, other.stderr.partition("\n")[0]) == (2, "error: --ci builds pipeline.toml")


def test_what_is_written_is_what_the_systems_accept(project):
    """As their schemas have it, also with names that need quotes."""
    project.write("a: b #c/pipeline.toml", PIPELINE).commit()
    for system in ("github", "gitlab"):
        assert project.nbdag("-C", "a: b #c", "init", "--ci", system).returncode == 0
    files = written(project)
    for name, schema in (
        ("push", "github-workflows"),
        ("pages", "github-workflows"),
        ("gitlab/nbdag", "gitlab-ci"),
    ):
        (path,) = [path for path in files if path.endswith(f"{name}.yml")]
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", path]
        done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert "a: b #c" in str(yaml.safe_load(files[path]))
