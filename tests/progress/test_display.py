"""A build as it is shown in lines: whole texts, for every kind of output."""

from __future__ import annotations

import io
import os

import pytest

from nbmake_dag.core.model import Value
from nbmake_dag.execute.protocol import Failure
from tests.progress.stories import BROKEN, NAMES, Story, record

FAILURE = """\
✗ train[n=2]  failed after 0.5 s

  notebooks/train.py, cell 2, line 2

      1 | x = 1
    > 2 | fit(x)

  ValueError: no digits

  partial outputs: FAILED/

""".replace("FAILED", os.path.relpath("/p/.nbdag/failed/r/train[n=2]"))
GROUPED_FAILURE = FAILURE.replace("0.5 s", "0.5 s\n    loss 1.0")
FOLDED_FAILURE = FAILURE.replace("0.5 s", "0.5 s\nloss 1.0\n::endgroup::").replace("✗", "::group::✗")
SUMMARY = """\
skipped: summary, because train[n=2] failed
5 tasks: 1 ran, 1 restored, 1 up to date, 1 failed, 1 skipped in 14.2 s, saved 39 s
"""


WARNING = """\
warning: ingest: it used files
that it does not declare
"""


TEXTS = {
    ("auto", ""): f"""\
! ingest  attempt 1 timed out: took longer than 10 s; attempt 2 in 5 s
✓ ingest  ran in 12.0 s, 2 attempts  (its max_age is over, and 1 more)
{WARNING}\
↺ train[n=1]  restored  (missing: models/1)
{FAILURE}{SUMMARY}""",
    ("stream", ""): f"""\
ingest | asking
ingest | no ans
! ingest  attempt 1 timed out: took longer than 10 s; attempt 2 in 5 s
ingest | 100%
ingest | found
✓ ingest  ran in 12.0 s, 2 attempts  (its max_age is over, and 1 more)
{WARNING}\
↺ train[n=1]  restored  (missing: models/1)
train[n=2] | loss 1.0
{FAILURE}{SUMMARY}""",
    ("group", ""): f"""\
! ingest  attempt 1 timed out: took longer than 10 s; attempt 2 in 5 s
    asking
    no ans
✓ ingest  ran in 12.0 s, 2 attempts  (its max_age is over, and 1 more)
    100%
    found
{WARNING}\
↺ train[n=1]  restored  (missing: models/1)
{GROUPED_FAILURE}{SUMMARY}""",
    ("auto", "GITHUB_ACTIONS"): f"""\
::group::! ingest  attempt 1 timed out: took longer than 10 s; attempt 2 in 5 s
asking
no ans
::endgroup::
::group::✓ ingest  ran in 12.0 s, 2 attempts  (its max_age is over, and 1 more)
100%
found
::endgroup::
{WARNING}\
↺ train[n=1]  restored  (missing: models/1)
{FOLDED_FAILURE}{SUMMARY}""",
    ("errors", ""): f"{WARNING}{FAILURE}{SUMMARY}",
    ("none", ""): "",
}


@pytest.mark.parametrize(("output", "where"), TEXTS)
def test_a_build_is_told_in_lines(output, where):
    """Each ``--output`` tells what it is for, and not more; in CI ``auto`` groups, as the CI folds it."""
    stream = io.StringIO()
    Story(output, stream, {"CI": "true", where: "true"} if where else {}).of_everything()
    assert TEXTS[output, where] == stream.getvalue()


def test_the_failure_is_looked_into_with_the_options_of_its_build():
    """Without them the task may be another, which does not fail."""
    stream = io.StringIO()
    parameters: dict[str, Value] = {"rate": "a b", "n": 1, "text": "1"}
    story = Story("auto", stream, {}, profiles=("ci", "strict"), parameters=parameters)
    story.begin()
    story.start("eda")
    story.stop("eda", 1.0, "failed", BROKEN, "blob")
    story.end("eda", "failed", failed_folder=".nbdag/failed/r/eda")
    command = """nbdag build --profile ci --profile strict -p 'rate="a b"' -p n=1 -p 'text="1"' --pdb eda"""
    assert f"`{command}` stops at the exception" in stream.getvalue()


@pytest.mark.parametrize("output", ["auto", "errors"])
def test_a_build_with_nothing_to_do_says_so_in_one_line(output):
    """Tasks that are up to date are counted, not listed."""
    stream = io.StringIO()
    story = Story(output, stream, {})
    story.begin()
    for name in NAMES:
        story.end(name, "up_to_date", record=record(31.0))
    story.outcome.duration_s = 0.2
    story.finish()
    assert stream.getvalue() == "5 tasks: 0 ran, 0 restored, 5 up to date in 0.2 s\n"


def test_an_interrupted_build_says_so_first():
    """What was running is named, what never started is counted."""
    stream = io.StringIO()
    story = Story("auto", stream, {})
    story.begin()
    story.queue("ingest")
    story.start("ingest")
    story.stop("ingest", 3.2, "cancelled")
    story.end("ingest", "cancelled")
    story.end("eda", "cancelled")
    story.outcome.signal = 2
    story.finish()
    assert stream.getvalue() == (
        "- ingest  cancelled after 3.2 s\n"
        "interrupted: 2 tasks: 0 ran, 0 restored, 0 up to date, 2 cancelled in 14.2 s\n"
    )


@pytest.mark.parametrize("output", ["auto", "none"])
def test_an_error_that_ends_the_build_is_always_told(output):
    """Even to someone who wants to hear nothing."""
    stream = io.StringIO()
    story = Story(output, stream, {})
    story.begin()
    story.outcome.error = "the disk is full"
    story.finish()
    assert stream.getvalue().splitlines()[-1] == "error: the disk is full"


def test_many_failures_are_listed_at_the_end():
    """Their descriptions may have scrolled away long ago."""
    stream = io.StringIO()
    story = Story("errors", stream, {})
    story.begin()
    for name in NAMES:
        story.stop(name, 1.0, "failed", Failure(type="exit", message="exit status 3"))
        story.end(name, "failed")
    story.finish()
    assert stream.getvalue().splitlines()[-2] == "failed: ingest, eda, train[n=1] and 2 more"


def test_a_stream_that_is_gone_does_not_end_a_build():
    """A closed pipe is nobody's fault."""
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w")
    Story("auto", stream, {}).of_everything()
    stream.close()


def test_signs_that_a_stream_cannot_write_are_replaced():
    """In a C locale, a mark is one character of ASCII, and other text is escaped."""
    raw = io.BytesIO()
    story = Story("auto", io.TextIOWrapper(raw, "ascii"), {})
    story.begin()
    story.stop("eda", 1.0)
    story.end("eda", "ran", "parameter: größe")
    assert raw.getvalue().decode() == "+ eda  ran in 1.0 s  (parameter: gr\\xf6\\xdfe)\n"
