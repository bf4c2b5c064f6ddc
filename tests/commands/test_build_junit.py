"""`nbdag build --junit`: tasks as tests, and what other programs read of a run; XML whatever the output holds."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from nbmake_dag.present.junit import junit_xml
from nbmake_dag.present.open_metrics import open_metrics
from nbmake_dag_reporting.runs import read_run
from tests.reporting.fabricate import Fabric, Made

PIPELINE = """
    [pipeline]
    name = "towns & <villages>"

    [tasks.ok]
    command = "true"

    [tasks.fail]
    notebook = "notebooks/fail.py"

    [tasks.below]
    command = "true"
    after = ["fail"]

    [tasks.last]
    command = "true"
    after = ["below"]

    [tasks.print]
    command = ["python3", "-c", "import os, sys; os.write(1, bytes(range(256))); sys.exit(3)"]
"""


def cases(text: bytes) -> dict[str, ET.Element]:
    return {case.attrib["name"]: case for case in ET.fromstring(text).iter("testcase")}


def test_each_task_is_a_test_case(project):
    """A failed one has its cell and its traceback, what was not executed is skipped; folders above are made."""
    project.pipeline(PIPELINE)
    project.notebook("notebooks/fail.py", "ready = True", "count = 1\nprint(cuont)")
    assert project.nbdag("build", "-k", "--junit", "reports/nbdag/tests.xml").returncode == 1
    text = (project / "reports/nbdag/tests.xml").read_bytes()
    suites = ET.fromstring(text)
    counts = {"tests": "5", "failures": "2", "errors": "0", "skipped": "2"}
    for suite in (suites, suites[0]):
        assert {name: suite.attrib[name] for name in counts} == counts
        assert suite.attrib["name"] == "towns & <villages>"
    found = cases(text)
    assert {name: [child.tag for child in case] for name, case in found.items()} == {
        "ok": ["system-out"],
        "fail": ["failure", "system-out"],
        "print": ["failure", "system-out"],
        "below": ["skipped"],
        "last": ["skipped"],
    }
    failure = found["fail"][0]
    assert failure.attrib == {
        "message": "NameError in cell 2: name 'cuont' is not defined",
        "type": "NameError",
    }
    assert ">   2 | print(cuont)" in (failure.text or "")
    assert found["fail"].attrib["file"] == "notebooks/fail.py"
    assert [found[name][0].attrib["message"] for name in ("below", "last")] == ["skipped, because fail failed"] * 2
    assert project.nbdag("build", "ok", "--junit", "reports/nbdag/tests.xml").returncode == 0
    assert cases((project / "reports/nbdag/tests.xml").read_bytes())["ok"].findtext("system-out") == "up to date"


def test_a_report_of_another_build_is_never_left(project):
    """A build that is refused leaves none: what a server reads then is nothing, not the results of yesterday."""
    project.pipeline("[pipeline]\nname = 'p'\n[tasks.a]\ncommand = 'true'\n")
    assert project.nbdag("build", "--junit", "tests.xml").returncode == 0
    project.pipeline("[tasks.a]\ncomand = 'true'\n")
    assert project.nbdag("build", "--junit", "tests.xml").returncode == 2
    assert not (project / "tests.xml").exists()


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("mine.xml", "mine.xml is there already"),
        ("data", "data is a folder"),
        ("mine.xml/tests.xml", "mine.xml/tests.xml cannot be written"),
        ("data/../mine.xml", "data/../mine.xml is there already"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_build(project, path, complaint):
    """Nothing of a person's is replaced, and nothing ran."""
    project.pipeline("[pipeline]\nname = 'p'\n[tasks.a]\ncommand = 'touch ran'\n")
    project.write("mine.xml", "<mine/>\n").write("data/x", "")
    done = project.nbdag("build", "--junit", path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {complaint}")
    assert (project / "mine.xml").read_text() == "<mine/>\n"
    assert not (project / "ran").exists()


def test_folders_above_are_made_wherever_a_file_is_named(project):
    """By all commands that write one; a file in place of a folder is one clear error, before anything ran."""
    project.pipeline("[pipeline]\nname = 'p'\n[tasks.a]\ncommand = 'echo >> ran'\n").write("file", "")
    assert project.nbdag("build", "--junit=new/1/j.xml", "--summarize=new/2/s.json").returncode == 0
    written = ("--bundle=new/3/b.json", "--metrics=new/4/m.txt")
    assert project.nbdag("export", "latest", *written).returncode == 0
    assert project.nbdag("diff", "latest", "latest", "--pictures=new/5/p.html").returncode == 0
    assert sorted(path.name for path in (project / "new").rglob("*.*")) == ["b.json", "j.xml", "m.txt", "s.json"]
    for words in (
        ("build", "-B", "--junit"),
        ("build", "-B", "--summarize"),
        ("export", "latest", "--bundle"),
        ("export", "latest", "--metrics"),
        ("diff", "latest", "latest", "--pictures"),
    ):
        done = project.nbdag(*words[:-1], f"{words[-1]}=file/x")
        assert done.returncode == 2, words
        assert done.stderr.startswith("error: file/x cannot be written: "), done.stderr
    assert (project / "ran").read_text() == "\n"
    assert project.nbdag("build", "--junit=/dev/stdout").stdout.startswith("<?xml ")


def test_a_link_stays_one(project):
    """As ``/dev/stdout`` is, which is a link to a file where a shell sent the output to one."""
    project.pipeline("[pipeline]\nname = 'p'\n[tasks.a]\ncommand = 'true'\n").write("real.xml", "")
    (project / "link.xml").symlink_to("real.xml")
    for _ in range(2):
        assert project.nbdag("build", "--junit=link.xml").returncode == 0
        assert (project / "link.xml").is_symlink()
        assert (project / "real.xml").read_text().startswith("<?xml ")
    assert project.write("pipeline.toml", "no pipeline").nbdag("build", "--junit=link.xml").returncode == 2
    assert (project / "real.xml").read_text() == ""


def test_it_is_xml_whatever_a_record_holds(tmp_path):
    """Every character that there is, in every place that a pipeline or its work can fill."""
    hostile = "".join(map(chr, [*range(0x300), 0x2028, 0xFFFD, 0xFFFE, 0xFFFF, 0x1F600])) + "]]>&lt;"
    fabric = Fabric(tmp_path)
    run = fabric.run(
        1,
        Made(name=f"a{hostile}", status="failed", error=("Error", hostile, hostile * 200), reasons=(hostile,)),
        Made(name="b", status="skipped", seconds=None, above=(f"a{hostile}",)),
        result="failure",
    )
    text = junit_xml(read_run(str(fabric.runs / run)))
    found = list(ET.fromstring(text).iter("testcase"))
    assert [[child.tag for child in case] for case in found] == [["failure", "system-out"], ["skipped"]]
    assert len(text) < 400_000
    assert re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", text) is None


def test_metrics_are_text_that_others_compare(tmp_path):
    """One line for each, whatever it is called, with the numbers that JSON lacks."""
    fabric = Fabric(tmp_path)
    run = fabric.run(
        1, Made(name='t["a\\"]', metrics={"roc auc": 0.25, "rows\n2": 5.0, "n": float("nan"), "i": float("-inf")})
    )
    assert open_metrics(read_run(str(fabric.runs / run), fabric.record)).decode().splitlines() == [
        "# TYPE nbdag_metric gauge",
        r'nbdag_metric{task="t[\"a\\\"]",name="roc auc"} 0.25',
        r'nbdag_metric{task="t[\"a\\\"]",name="rows\n2"} 5.0',
        r'nbdag_metric{task="t[\"a\\\"]",name="n"} NaN',
        r'nbdag_metric{task="t[\"a\\\"]",name="i"} -Inf',
        "# EOF",
    ]
