"""The whole loop on GitHub, played by a runner: every job on a machine of its own, with a cache from the last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.buckets import bucket_called
from tests.support.project import Project
from tests.support.runner import Obeyed, obeyed
from tests.support.story import Story, published

CHARTS = ["mean[town=helsinki]", "mean[town=lisbon]"]
PIPELINE = """
    [pipeline]
    name = "towns"

    [tasks.ingest]
    function = "work:ingest"
    outputs = ["data/days.txt"]
    secrets = ["API_KEY"]
    max_age = "1d"

    [tasks.mean]
    notebook = "notebooks/mean.py"
    matrix = { town = ["helsinki", "lisbon"] }
    inputs = { days = "data/days.txt" }
    outputs = { chart = "charts/{town}.svg" }

    [tasks.page]
    function = "work:page"
    inputs = ["charts/*.svg"]
    outputs = ["page.html"]

    [report.metrics.mean]
    direction = "higher"
"""
WORK = """
    def ingest(outputs):
        open(outputs[0], "w").write("3 4 5")

    def page(inputs, outputs):
        open(outputs[0], "w").write("".join(open(path).read() for path in inputs[0]))
"""


SHARED = """
[cache]
remote = "s3://towns/nbdag"
remote_mode = "read-write"
"""


@pytest.fixture
def s3() -> Iterator[dict[str, str]]:
    """Serve a bucket over HTTP on this machine; gives what a job must know of it."""
    with bucket_called("towns") as variables:
        yield variables


@pytest.fixture
def story(tmp_path: Path) -> Story:
    here = Project(tmp_path / "ada" / "digits").pipeline(PIPELINE).write("work.py", WORK)
    here.write(".gitignore", "/.nbdag/\n/data/\n/charts/\n/page.html\n__pycache__/\n")
    here.notebook(
        "notebooks/mean.py",
        "# parameters\ntown = ''\ninputs = {}\noutputs = {}",
        "import nbmake_dag as nbdag",
        "days = [float(day) for day in open(inputs['days']).read().split()]\nmean = sum(days) / len(days)",
        "nbdag.log_metric('mean', mean)\nopen(outputs['chart'], 'w').write(f'<svg>{town} {mean}</svg>')",
    )
    return published(here, API_KEY="hunter22")


def normal(text: str) -> str:
    """Replace what differs from run to run: times, identifiers, digests; folded parts are left out."""
    text, _, rest = text.partition("<details>")
    text += "[The pictures" + rest.partition("\n[The pictures")[2] if "[The pictures" in rest else ""
    text = re.sub(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{6}", "RUN", text)
    text = re.sub(r", saved (\d+ (h|min) )*\d+ s", "", text)
    text = re.sub(r"\b\d{13}\b", "TIME", text)
    text = re.sub(r"\bat [0-9a-f]{9}\b", "at COMMIT", text)
    text = re.sub(r"\b[0-9a-f]{10}\b", "DIGEST", text)
    return re.sub(r"\b(\d+ (h|min) )*\d+(\.\d+)? s\b", "SECONDS", text)


ERRORS = [
    Obeyed(
        "error",
        "NameError: name 'day' is not defined\ncell 3, line 2",
        {"title": f"{task} failed", "file": "notebooks/mean.py", "line": "11"},
    )
    for task in CHARTS
]
SUMMARY = """\
### towns: success

4 tasks: 3 ran, 1 restored in SECONDS. Compared with run RUN of main at COMMIT.

#### What ran, and why

| task |  | took | why |
|---|---|---|---|
| mean\\[town=helsinki\\] | ✓ ran | SECONDS | code: notebooks/mean.py, cell 3 |
| mean\\[town=lisbon\\] | ✓ ran | SECONDS | code: notebooks/mean.py, cell 3 |
| page | ✓ ran | SECONDS | input: charts/helsinki.svg changed (and 1 more) |
| ingest | ↺ restored |  |  |

#### Results that changed

| task | result |  |
|---|---|---|
| mean\\[town=helsinki\\] | charts/helsinki.svg | image |
| mean\\[town=helsinki\\] | notebooks/mean.py | notebook |
| mean\\[town=lisbon\\] | charts/lisbon.svg | image |
| mean\\[town=lisbon\\] | notebooks/mean.py | notebook |
| page | page.html | output |

#### Metrics that changed

| task | metric | value | on main | difference |
|---|---|---|---|---|
| mean\\[town=helsinki\\] | mean | 3.33333 | 4.0 | -0.666667 (-16.7%) ▼ worse |
| mean\\[town=lisbon\\] | mean | 3.33333 | 4.0 | -0.666667 (-16.7%) ▼ worse |

#### Graph

```mermaid
flowchart LR
    t0(["ingest<br>↺ restored"])
    t1["mean[town=helsinki]<br>✓ ran"]
    t2["mean[town=lisbon]<br>✓ ran"]
    t3(["page<br>✓ ran"])
    t0 --> t1
    t0 --> t2
    t1 --> t3
    t2 --> t3
    classDef ran fill:#d1f0d9,stroke:#1a7f37,color:#1f2328
    class t1,t2,t3 ran
    classDef restored fill:#d6ebf5,stroke:#1b7c83,color:#1f2328
    class t0 restored
```

#### Timeline

```mermaid
gantt
    title towns, run RUN
    dateFormat x
    axisFormat %H:%M:%S
    section mean[town=helsinki]
    attempt 1 succeeded :done, TIME, TIME
    section mean[town=lisbon]
    attempt 1 succeeded :done, TIME, TIME
    section page
    attempt 1 succeeded :done, TIME, TIME
```

[The pictures that differ](https://github.com/ada/digits/actions/artifacts/4)
"""
NEW = "new: it has no result yet"
COMMENT = """\
**RUN → RUN**

3 tasks ran, 5 results differ, 2 metrics are worse.

#### Results

| task | name | before | after |  |
|---|---|---|---|---|
| mean\\[town=helsinki\\] | charts/helsinki.svg | DIGEST | DIGEST | image |
| mean\\[town=helsinki\\] | notebooks/mean.py | DIGEST | DIGEST | notebook |
| mean\\[town=lisbon\\] | charts/lisbon.svg | DIGEST | DIGEST | image |
| mean\\[town=lisbon\\] | notebooks/mean.py | DIGEST | DIGEST | notebook |
| page | page.html | DIGEST | DIGEST | output |

#### Metrics

| task | name | before | after |  |
|---|---|---|---|---|
| mean\\[town=helsinki\\] | mean (higher is better) | 4.0 | 3.33333 | -0.666667 (-16.7%) ▼ worse |
| mean\\[town=lisbon\\] | mean (higher is better) | 4.0 | 3.33333 | -0.666667 (-16.7%) ▼ worse |

#### Why tasks ran

| task | why |
|---|---|
| mean\\[town=helsinki\\] | code: notebooks/mean.py, cell 3 |
| mean\\[town=lisbon\\] | code: notebooks/mean.py, cell 3 |
| page | input: charts/helsinki.svg changed |
| page | input: charts/lisbon.svg changed |

[The pictures that differ](https://github.com/ada/digits/actions/artifacts/4)
"""


def tell(story: Story, *, merged: list[str], knows_why: bool = True) -> None:
    """Tell the life of a pipeline: ``merged`` is what a merge runs of what the pull request built.

    Without the records of the base, which ``knows_why`` stands for, nothing says what changed in a task.
    """
    here = story.here
    story.push().ran("ingest", *CHARTS, "page")
    here.git("checkout", "-q", "-b", "fix")
    here.edit("notebooks/mean.py", "sum(days)", "max(day)").commit()
    broken = story.pull_request()["build"]
    assert (broken.code, broken.failed) == (1, ["Build"])
    errors = [each for each in obeyed(broken.log) if each.name == "error"]
    assert sorted(errors, key=lambda each: each.properties["title"]) == ERRORS
    here.edit("notebooks/mean.py", "max(day)", "max(days) * 2").commit()
    jobs = story.pull_request()
    fixed = jobs["build"].ran(*CHARTS, "page")
    assert obeyed(fixed.log)[0] == Obeyed("add-mask", "hunter22")
    summary, comment = normal(fixed.summary), normal(story.comment())
    if knows_why:
        assert (summary, comment) == (SUMMARY, COMMENT)
    else:
        assert summary == re.sub("code: .* 3 |input: .* more\\) ", f"{NEW} ", SUMMARY)
        assert comment.partition("#### Why")[0] == COMMENT.partition("#### Why")[0]
    assert jobs["comment"].code == 0
    here.git("checkout", "-q", "main")
    here.git("merge", "-q", "fix")
    story.push().ran(*merged)
    here.edit("pipeline.toml", '"1d"', '"1s"').commit()  # as if a day had gone by: it is in no key
    here.git("push", "-q", "origin", "main")
    story.on_main("daily.yml", "schedule").ran("ingest")
    pages = story.pages()
    assert re.search(r"^5 runs, 5 new, [\d.]+ MB$", pages["site"].log, re.MULTILINE)
    assert [name for name, job in pages.items() if not job.code] == ["site", "deploy"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_pipeline_lives_on_github_with_a_carried_cache(story):
    """Each job runs exactly what is new to it, on another machine, in another folder, and says so."""
    story.runner.one_scope = True
    tell(story, merged=[])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_a_pull_request_built_is_built_again_by_the_branch_that_trusts_no_pull_request(story):
    """As GitHub keeps the caches of pull requests from other refs; takes two minutes."""
    tell(story, merged=[*CHARTS, "page"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_pipeline_lives_on_github_with_a_shared_cache(story, s3):
    """On a real endpoint, with only the records of runs carried; main reads no pull request's; two minutes."""
    story.here.write("pipeline.toml", story.here.read("pipeline.toml") + SHARED).commit()
    story.runner.carried = (".nbdag/runs",)
    story.runner.environment |= s3
    tell(story, merged=[*CHARTS, "page"], knows_why=False)
