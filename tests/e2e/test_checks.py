"""Checks: tests of what tasks make, whose failure fails the build and nothing else."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.support.project import Project

PIPELINE = """
    [tasks.clean]
    command = "cp raw.txt clean.txt"
    inputs = ["raw.txt"]
    outputs = ["clean.txt"]

    [tasks.is-short]
    command = "test $(wc -c < clean.txt) -lt 5"
    inputs = ["clean.txt"]
    check = true

    [tasks.sum]
    command = "sleep 0.2; wc -c < clean.txt > sum.txt"
    inputs = ["clean.txt"]
    outputs = ["sum.txt"]

    [tasks.sum-is-number]
    command = "grep -q [0-9] sum.txt"
    inputs = ["sum.txt"]
    check = true
"""
ALL = ["clean", "is-short", "sum", "sum-is-number"]


def test_a_check_fails_the_build_and_nothing_else(project: Project) -> None:
    """It runs when what it reads was built; that it passed is cached, that it failed is not."""
    project.write("raw.txt", "1\n").pipeline(PIPELINE).build().ran(*ALL)
    project.build().ran()
    project.remove(".nbdag/state").build().ran()
    project.write("raw.txt", "1234567\n")
    project.build("--junit", "junit.xml").ended(1, failed=["is-short"], ran=["clean", "sum", "sum-is-number"])
    cases = {case.attrib["name"]: case for case in ET.parse(project / "junit.xml").iter("testcase")}
    assert sorted(name for name, case in cases.items() if case.find("failure") is None) == sorted(
        set(ALL) - {"is-short"}
    )
    assert sorted(cases) == ALL
    project.build().ended(1, failed=["is-short"], up_to_date=["clean", "sum", "sum-is-number"])
    project.write("raw.txt", "1\n").build().ran().restored("clean", "sum")


def test_a_check_belongs_to_what_it_reads(project: Project) -> None:
    """A target brings the checks of what is built; `--checks` builds those, with what they need."""
    project.write("raw.txt", "1\n").pipeline(PIPELINE)
    project.build("clean").ran("clean", "is-short")
    project.build("--checks", "clean").ended(0, up_to_date=["clean", "is-short"])
    project.build("--checks", "-B", "clean").ran("is-short")
    project.build("--checks").ran("sum", "sum-is-number")
    project.write("clean.txt", "by hand\n").build("--checks", "--only", "is-short").ended(1, failed=["is-short"])
    project.build("sum", "--exclude", "is-short").ended(0, restored=["clean"], up_to_date=["sum", "sum-is-number"])
    assert project.nbdag("status", "sum").stdout.startswith("4 tasks: ")
    project.write("raw.txt", "2\n").write("clean.txt", "2\n")
    project.build("--accept").ended(0, up_to_date=["clean", "sum"])
    project.build().ran("is-short")
    project.edit("pipeline.toml", "check = true", "check = false")
    project.build("--checks").ended(2).said("there are no checks here")
