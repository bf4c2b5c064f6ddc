"""Text of others does nothing to a terminal, and is as wide as it was measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.present.text import coloured, fit, folded, plain, squeeze, width
from nbmake_dag.present.units import coarse, precise
from nbmake_dag.progress.task_output import MAX_KEPT, MAX_LINE, Lines, OutputTail

HOSTILE = [
    ("\x1b[2J\x1b[H\x1b[?1049hgone", "gone"),
    ("\x1b]0;title\x07text", "text"),
    ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x1b]52;c;c2VjcmV0", ""),
    ("\x1bPq#0\x1b\\sixel", "sixel"),
    ("\x9b2Jc1", "2Jc1"),
    ("a\x08b\x07c\x00d\x7f", "abcd"),
    ("\u202egnp.exe", "gnp.exe"),
    ("\x1b", ""),
    ("\x1bcreset", "reset"),
    ("one\ntwo\rthree", "onetwothree"),
]


@pytest.mark.parametrize(("text", "expected"), HOSTILE)
def test_what_a_terminal_would_obey_is_left_out(text, expected):
    """Neither with nor without colours does a sequence of another kind come through."""
    assert expected == plain(text)
    assert expected == coloured(text)


def test_colours_stay_where_they_are_wanted_and_end_with_their_line():
    """A colour does not run into what is printed next."""
    assert coloured("\x1b[31mred") == "\x1b[31mred\x1b[0m"
    assert coloured("\x1b[31mred\x1b[0m") == "\x1b[31mred\x1b[0m"
    assert plain("\x1b[38;5;28;01mred\x1b[39m") == "red"


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_plain_text_holds_no_control_character(text):
    """Whatever the text, no escape and no other C0 or C1 control is left."""
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in plain(text))


@given(st.text(alphabet="ab日本é\u0301…"), st.integers(0, 30))
def test_cut_text_fits(text, columns):
    """Cut at its end or in its middle, text is never wider than asked, and uncut where there is room."""
    for cut in (fit, squeeze):
        result = cut(text, columns)
        assert width(result) <= columns
        assert result == text or width(text) > columns


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("short", ["short"]),
        (
            "  hint: a sentence of words that is too long for it",
            ["  hint: a sentence of words that is too", "      long for it"],
        ),
        (
            "train  input: data/a.csv changed, and 3 more",
            ["train  input: data/a.csv changed, and 3", "       more"],
        ),
        (
            "add it: `nbdag declare a b` does so, or a person",
            ["add it: `nbdag declare a b` does so, or", "    a person"],
        ),
        (
            "a long text before it is `nbdag declare train`",
            ["a long text before it is", "    `nbdag declare train`"],
        ),
        (
            "\u2713 train[learning_rate=0.01,max_depth=5,region=north]  ran",
            ["\u2713 train[learning_rate=0.01,max_depth=5,", "    region=north]  ran"],
        ),
        ("see https://example.org/a/b/c/d/e/f/g/h/i/j", ["see", "    https://example.org/a/b/c/d/e/f/g/h/i/j"]),
        (f"{' ' * 38}far to the right", ["    far to the right"]),
    ],
)
def test_a_line_is_folded_between_words_and_columns(line: str, expected: list[str]):
    """At 40 columns; below a column that has room, and commands that are copied stay whole."""
    assert folded(line, 40) == expected


def test_colours_take_no_columns_when_a_line_is_folded():
    """They go on in the next line."""
    assert folded("\x1b[31mred words that are long\x1b[0m", 24) == ["\x1b[31mred words that are long\x1b[0m"]
    assert folded("\x1b[31mred words that are long\x1b[0m", 20) == [
        "\x1b[31mred words that are",
        "    long\x1b[0m",
    ]


@given(st.text(alphabet="ab日 [,/`", max_size=200), st.integers(40, 100))
def test_folding_loses_nothing_but_spaces(text: str, columns: int):
    """Whatever the text, its words come in their order."""
    assert "".join("".join(folded(text, columns)).split()) == "".join(text.split())


def test_a_name_is_cut_in_its_middle():
    """What tells instances apart stays."""
    assert squeeze("train[nr_train_images=600]", 14) == "train[n…s=600]"


def test_times_are_said_with_their_unit():
    """Short times keep a digit, long ones lose what nobody reads."""
    assert [precise(each) for each in (0.041, 0.2, 14.23, 59.96, 185, 3720)] == [
        "0.04 s",
        "0.2 s",
        "14.2 s",
        "1 min 00 s",
        "3 min 05 s",
        "1 h 02 min",
    ]
    assert coarse(12.4) == "12 s"


def test_pieces_of_text_become_lines():
    """A line is told once it is complete, streams apart, and a progress bar's last state alone."""
    lines = Lines()
    assert lines.feed("stdout", "one\ntw") == ["one"]
    assert lines.feed("stderr", "10%\r20%\r") == []
    assert lines.feed("stdout", "o\n") == ["two"]
    assert lines.feed("stderr", "30%\r\n40%") == ["30%"]
    assert lines.end() == ["40%"]
    assert lines.end() == []


def test_text_without_lines_is_told_in_pieces():
    """Nothing is waited for without end."""
    assert Lines().feed("stdout", "x" * (MAX_LINE + 1)) == ["x" * (MAX_LINE + 1)]


def test_of_much_output_the_end_is_kept():
    """A task that prints without end does not fill the memory, and what is missing is said."""
    kept = OutputTail()
    for number in range(300):
        kept.add([f"{number:09999}"])
    first, *rest = kept.lines
    assert first == f"… {300 - len(rest)} lines before these are left out"
    assert rest[-1] == f"{299:09999}"
    assert MAX_KEPT - 10_000 < 10_000 * len(rest) <= MAX_KEPT
