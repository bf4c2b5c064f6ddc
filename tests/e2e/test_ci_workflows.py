"""The workflows that users copy, step by step: what becomes of a job when a step fails, or little is to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.support.project import Project
from tests.support.story import Story, published
from tests.support.workflow import ACTION, EXAMPLES

pytestmark = pytest.mark.slow
PIPELINE = """
    [pipeline]
    name = "towns"

    [parameters]
    town = "helsinki"

    [tasks.draw]
    command = "printf '<svg>%s</svg>' {town} > chart.svg"
    outputs = ["chart.svg"]
"""
USE = f"./{ACTION}"


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Give a repository whose main branch was built, with a branch that draws another town."""
    here = Project(tmp_path / "ada" / "digits").pipeline(PIPELINE).write(".gitignore", "/.nbdag/\n/chart.svg\n")
    story = published(here)
    pushed = story.push().ran("draw")
    assert (pushed.installed, pushed.pip_caches) == (["-m pip install --quiet -r requirements.txt"], ["pip"])
    here.git("checkout", "-q", "-b", "fix")
    here.edit("pipeline.toml", '"helsinki"', '"lisbon"').commit()
    return story


def test_a_pull_request_shows_the_pictures_that_differ(story):
    """Its comment and its summary link to a page that holds both; the page is an artefact of its own, as it is."""
    jobs = story.pull_request()
    assert {name: (job.code, job.failed) for name, job in jobs.items()} == {"build": (0, []), "comment": (0, [])}
    link = "[The pictures that differ](https://github.com/ada/digits/actions/artifacts/2)\n"
    assert story.comment().endswith(f"\n{link}")
    assert jobs["build"].summary.endswith(f"\n{link}")
    (page,) = story.runner.artifacts["nbdag-pictures-default-1002-1.html"].iterdir()
    assert page.name == "nbdag-pictures-default-1002-1.html"
    assert page.read_text().count('<img alt="" src="data:image/svg+xml;base64,') == 2


def test_each_step_that_fails_is_one_reason_for_a_red_job(story):
    """No later step fails because of it, and nothing is saved of a job that was not set up; pictures may fail."""
    whole = story.pull_request()
    steps = {name: [step for step in job.begun if step != USE] for name, job in whole.items()}
    assert len(steps["build"]) + len(steps["comment"]) == 15
    for job, names in steps.items():
        for name in dict.fromkeys(names):
            del story.runner.caches[1:]  # so that there is something to do
            story.runner.artifacts.clear()
            story.runner.fails = name
            jobs = story.pull_request()
            forgiven = name == "Upload the pictures that differ"
            assert {each: played.failed for each, played in jobs.items() if played.failed} == {job: [name]}, name
            assert {each: played.code for each, played in jobs.items() if played.code} == (
                {} if forgiven else {job: 1}
            ), name
            if name in {"actions/checkout", "Check the inputs", "Set up Python", "Install"}:
                assert len(story.runner.caches) == 1
                assert "nbdag-comparison-0" not in story.runner.artifacts


def test_a_wrong_pipeline_is_one_red_job_with_one_reason(story):
    """Nothing was built, so there is nothing to compare, to keep or to comment on."""
    before = dict(story.runner.artifacts)
    story.here.edit("pipeline.toml", "command", "comand").commit()
    jobs = story.pull_request()
    assert [(name, job.failed) for name, job in jobs.items()] == [("build", ["Build"]), ("comment", [])]
    assert story.runner.repository["comments"] == []
    assert "did you mean `command`?" in jobs["build"].log
    assert (story.runner.artifacts, len(story.runner.caches)) == (before, 1)


def test_a_build_with_nothing_to_do_saves_no_cache(story):
    """Nor does one that is larger than may be; its record is kept all the same, and a warning says why."""
    story.here.git("checkout", "-q", "main")
    again = story.on_main("daily.yml", "schedule").ran()
    assert "Save the cache" not in again.begun
    assert "nbdag-run-default-1002-1" in story.runner.artifacts
    text = (story.here / "pipeline.toml").read_text()
    story.here.write("pipeline.toml", text.replace("helsinki", "oslo")).commit().git(
        "push", "-q", "origin", "main"
    )
    small = workflow(story, uses([{"cache-size": "0"}]))
    jobs = story.play(small, "push")
    assert jobs["build"].ran("draw").log.count("is not saved") == 1
    assert len(story.runner.caches) == 1


def test_two_uses_in_one_job_do_not_mix(story):
    """Each has its own folder, cache, record and comparison, also where the second cannot be read."""
    story.here.git("checkout", "-q", "main")
    for name in ("train", "train-gpu"):
        story.here.write(f"{name}/pipeline.toml", PIPELINE.replace("towns", name).replace("helsinki", name))
    story.here.commit().git("push", "-q", "origin", "main")
    both = workflow(story, uses([{"directory": name, "cache-name": name} for name in ("train", "train-gpu")]))
    job = story.play(both, "push")["build"]
    assert (job.code, len(job.runs)) == (0, 2)
    for name, run in zip(("train", "train-gpu"), job.runs, strict=True):
        (bundle,) = story.runner.artifacts[f"nbdag-run-{name}-1002-1"].iterdir()
        assert bundle.name == f"{run['run_id']}.json"
    # the cache of one is not restored for the other, whose name begins so
    assert [run["counts"]["ran"] for run in job.runs] == [1, 1]
    again = story.play(both, "push")["build"]
    assert [run["counts"]["up_to_date"] + run["counts"]["restored"] for run in again.runs] == [1, 1]
    story.here.edit("train-gpu/pipeline.toml", "command", "comand").commit().git("push", "-q", "origin", "main")
    wrong = story.play(both, "push")["build"]
    assert (wrong.code, wrong.failed) == (1, ["Build"])
    assert "nbdag-run-train-1004-1" in story.runner.artifacts
    assert "nbdag-run-train-gpu-1004-1" not in story.runner.artifacts


def test_the_legs_of_a_matrix_do_not_mix(story):
    """A `cache-name` for each leg gives each a cache, a record and a comment, with the workflow that is copied."""
    copied = yaml.safe_load((EXAMPLES / "pull-request.yml").read_text())
    build = copied["jobs"]["build"]
    build["strategy"] = {"matrix": {"town": ["oslo", "rome"]}}
    (use,) = [step for step in build["steps"] if step.get("id") == "nbdag"]
    use["with"] |= {"cache-name": "town-${{ matrix.town }}", "arguments": "-p town=${{ matrix.town }}"}
    path = story.runner.root / "matrix.yml"
    path.write_text(yaml.safe_dump(copied, sort_keys=False))
    jobs = story.pull_request(path)
    assert [(name, job.failed) for name, job in jobs.items()] == [
        ("build-0", []),
        ("build-1", []),
        ("comment", []),
    ]
    markers = [comment["body"].partition("\n")[0] for comment in story.runner.repository["comments"]]
    assert markers == ["<!-- nbdag: town-oslo -->", "<!-- nbdag: town-rome -->"]
    assert [key.split("/")[3] for _, key, _ in story.runner.caches[1:]] == ["town-oslo", "town-rome"]
    again = story.pull_request(path)
    assert [again[name].runs[0]["counts"]["ran"] for name in ("build-0", "build-1")] == [0, 0]
    assert len(story.runner.repository["comments"]) == 2


def test_an_export_that_is_refused_leaves_the_build_as_it_was(story):
    """The job is green, its record is not kept, and a warning says so; nor is a cache that cannot be searched."""
    story.runner.refuses = "export"
    job = story.pull_request()["build"].ran("draw")
    assert "::warning title=nbdag::the record of this run is not kept" in job.log
    assert not any(name.startswith("nbdag-run-default-1002") for name in story.runner.artifacts)
    del story.runner.caches[1:]
    story.runner.refuses = "cache"
    job = story.pull_request()["build"].ran("draw")
    assert "::warning title=nbdag::the cache may hold a secret, and is not saved" in job.log
    assert len(story.runner.caches) == 1


def test_what_init_writes_builds_a_pipeline_in_a_folder(story):
    """Its own copy of the action, with the folder, the requirements and the branch of the repository."""
    story.here.git("checkout", "-q", "main")
    story.here.write("towns/north/pipeline.toml", PIPELINE.replace("helsinki", "oslo")).write(
        "towns/north/requirements.txt", "nbdag\n"
    )
    assert story.here.nbdag("-C", "towns/north", "init", "--ci=github").returncode == 0
    story.here.commit().git("push", "-q", "origin", "main")
    workflows = story.here / ".github/workflows"
    pushed = story.play(workflows / "nbdag-push.yml", "push")["build"].ran("draw")
    assert pushed.installed == ["-m pip install --quiet -r towns/north/requirements.txt"]
    story.here.git("checkout", "-q", "-b", "other")
    story.here.edit("towns/north/pipeline.toml", '"oslo"', '"lisbon"').commit().git("branch", "-f", "fix")
    jobs = story.pull_request(workflows / "nbdag-pull-request.yml")
    assert {name: (job.code, job.failed) for name, job in jobs.items()} == {"build": (0, []), "comment": (0, [])}
    assert "| draw | chart.svg |" in story.comment()


def test_arguments_are_quoted_as_in_a_shell(story):
    """A space in quotes parts nothing, a sign of the shell is only text, and a quote left open is an error."""
    story.here.git("checkout", "-q", "main")
    given = workflow(story, uses([{"arguments": "-k -p 'town=\"a b; $(exit 9)\"'  draw"}]))
    job = story.play(given, "push")["build"].ran("draw")
    assert (job.workspace / "chart.svg").read_text() == "<svg>a b; $(exit 9)</svg>"
    for name, wrong in (("arguments", "-p 'town=x"), ("install", "'a")):
        job = story.play(workflow(story, uses([{name: wrong}])), "push")["build"]
        assert (job.code, job.runs) == (1, [])
        assert f"::error title=nbdag::{name} has a quote that is not closed" in job.log
    for name in ("a b", "", "a/b", "ü"):
        job = story.play(workflow(story, uses([{"cache-name": name}])), "push")["build"]
        assert (job.code, job.failed) == (1, ["Check the inputs"])


def test_each_pipeline_has_a_comment_of_its_own_and_nobody_elses_is_edited(story):
    """A person may quote the marker, and another bot may have written last."""
    repository = story.runner.repository
    marker = "<!-- nbdag: default -->"
    others = [
        {"id": 1, "user": {"type": "User"}, "body": f"{marker}\nquoted"},
        {"id": 2, "user": {"type": "Bot"}, "body": "coverage: 90 %"},
        {"id": 3, "user": {"type": "Bot"}, "body": "<!-- nbdag: default-2 -->\nof another pipeline"},
        {"id": 4, "user": {"type": "Bot"}, "body": f"> {marker}\nquoted by a bot"},
    ]
    story.runner.repository = {**repository, "comments": others}
    for town in ("lisbon", "oslo"):
        text = (story.here / "pipeline.toml").read_text()
        story.here.write("pipeline.toml", re.sub('town = ".*"', f'town = "{town}"', text) + "\n").commit()
        jobs = story.pull_request()
        assert jobs["comment"].code == 0, jobs["comment"].log
        comments = story.runner.repository["comments"]
        assert comments[:4] == others
        assert [comment["body"].startswith(f"{marker}\n**") for comment in comments[4:]] == [True]


def test_the_history_of_pages_outlives_artefacts_and_caches(story):
    """Runs stay when their artefacts expired, and also when the cache was evicted: two runs a week keep a copy."""
    assert shown(story) == {"1 run"}
    caches = len(story.runner.caches)
    assert shown(story) == {"1 run"}
    assert len(story.runner.caches) == caches  # there was nothing new to save
    story.runner.artifacts.clear()
    story.here.git("checkout", "-q", "main")
    story.on_main("daily.yml", "schedule")
    assert shown(story, "schedule") == {"2 runs"}
    assert "nbdag-history" in story.runner.artifacts
    story.runner.artifacts.clear()
    story.runner.caches.clear()
    # a fork's workflow may make an artefact of that name, which is newer
    repository = story.runner.repository
    forged = {**repository["artifacts"][0], "id": 99, "zip": "/nowhere"}
    forged["workflow_run"] = {"head_branch": "main", "repository_id": 1, "head_repository_id": 2}
    other = {**forged, "workflow_run": {"head_branch": "fix", "repository_id": 1, "head_repository_id": 1}}
    expired = {**repository["artifacts"][0], "id": 98, "zip": "/nowhere", "expired": True}
    story.runner.repository = {**repository, "artifacts": [forged, other, expired, *repository["artifacts"]]}
    assert shown(story) == {"2 runs"}


def test_pages_of_a_private_repository_are_refused_until_somebody_allows_them(story):
    """Before anything is checked out or published; where the plan keeps the site private nobody is asked."""
    repository = story.runner.repository | {"private": True}
    story.runner.repository = repository
    jobs = story.pages()
    assert [(name, job.code, job.failed) for name, job in jobs.items()] == [
        ("site", 1, ["Refuse to publish what is private"])
    ]
    assert (
        "::error title=nbdag::this repository is private, and everybody could read its Pages" in jobs["site"].log
    )
    story.runner.variables["NBDAG_SITE_MAY_BE_PUBLIC"] = "true"
    assert "::warning title=nbdag::this repository is private" in story.pages()["site"].log
    story.runner.variables.clear()
    story.runner.repository = repository | {"public": False}
    assert [job.code for job in story.pages().values()] == [0, 0]


def shown(story: Story, event: str = "workflow_run") -> set[str]:
    """Publish the site, and return how many runs it has."""
    jobs = story.pages(event)
    assert [job.code for job in jobs.values()] == [0, 0], jobs["site"].log
    return set(re.findall(r"^(\d+ runs?), ", jobs["site"].log, re.MULTILINE))


def uses(given: list[dict[str, str]]) -> list[dict[str, object]]:
    return [{"uses": USE, "with": {"install": "-r requirements.txt", **inputs}} for inputs in given]


def workflow(story: Story, steps: list[dict[str, object]]) -> Path:
    """Write a workflow with one job that checks out and does these steps."""
    path = story.runner.root / "workflow.yml"
    job = {"steps": [{"uses": "actions/checkout@v0"}, *steps]}
    path.write_text(yaml.safe_dump({"jobs": {"build": job}}))
    assert json.loads(json.dumps(job)) == yaml.safe_load(path.read_text())["jobs"]["build"]
    return path
