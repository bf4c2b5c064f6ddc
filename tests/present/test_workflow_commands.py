"""What is printed in a job of GitHub Actions: commands that are ours are obeyed, those of others are text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.present.text import plain
from nbmake_dag.present.workflow_commands import command, harmless, masks
from tests.support.runner import KNOWN, Obeyed, compared, obeyed

BLANK = ["\t", " ", "\u00a0", "\u200b", "\u00ad", "\ufeff", "\x1b[1m"]
PIECES = st.sampled_from(["::", ":", "##[", "#", "[", "]", "x", "é", *BLANK, *KNOWN])
TEXT = st.one_of(st.text(), st.lists(PIECES).map("".join))


@given(TEXT)
def test_no_text_of_others_is_a_command(text):
    """Whatever a notebook prints, the runner obeys none of it."""
    assert obeyed("\n".join(harmless(plain(line)) for line in text.split("\n"))) == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("::error::x", r"\::error::x"),
        ("   ::set-env name=PATH::/evil", r"   \::set-env name=PATH::/evil"),
        ("\u200b::error::x", "\u200b\\::error::x"),
        ("loss ##[add-path]/evil", r"loss #\#[add-path]/evil"),
        ("std::vector<int>::size", "std::vector<int>::size"),
        ("## [a heading](x)", "## [a heading](x)"),
        ("12:30::", "12:30::"),
    ],
)
def test_a_line_that_would_be_a_command_is_shown_with_a_backslash(line, shown):
    """Everything else is shown as it is."""
    assert shown == harmless(line)


@given(TEXT, TEXT)
def test_a_command_arrives_as_it_was_meant(text, title):
    """Line ends, percent signs and separators too."""
    (read,) = obeyed(command("error", text, title=title, line=3, file=None))
    assert (read.name, read.text) == ("error", compared(text))
    assert {"title": compared(title), "line": "3"} == read.properties


@pytest.mark.parametrize(
    ("secret", "masked"),
    [
        ("hunter22", ["hunter22"]),
        ("x", ["x"]),
        ("100%\n", ["100%"]),
        ("-----BEGIN KEY-----\r\nc2Vj\r\n\r\n{\r\n", ["-----BEGIN KEY-----", "c2Vj"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_every_line_of_a_secret_is_masked(secret, masked):
    """But for empty ones and, in a longer secret, those so short that they would blank the log."""
    assert [Obeyed("add-mask", line) for line in masked] == obeyed("\n".join(masks(secret)))
