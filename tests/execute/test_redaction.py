"""Declared secrets are redacted where output is captured."""

from __future__ import annotations

import base64
import html
import json
import shlex
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.execute.protocol import Event, Printed
from nbmake_dag.execute.redaction import RedactedEvents, RedactedStream, Redactor

SECRET = "hunter2+Pa'ss/word==\"q\né"
REDACTOR = Redactor({"API_PW": SECRET, "PIN": "9137", "EMPTY": "", "TINY": "abc"})


@pytest.mark.parametrize(
    "spelt",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        repr(SECRET)[1:-1],
        shlex.quote(SECRET)[1:-1],
        quote(SECRET, safe=""),
        html.escape(SECRET),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_a_secret_is_replaced_however_it_is_spelt(spelt: str) -> None:
    """Plain, and as JSON, Python, a shell, a URL or base64 has it; the name of the variable is shown."""
    redacted = REDACTOR.text(f"before {spelt} after")
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert "[secret API_PW]" in redacted
    assert len(redacted) < len("before [secret API_PW] after") + 5


def test_a_short_secret_is_replaced_as_a_word() -> None:
    """Part of a longer number it is no secret; a value under four characters cannot be looked for."""
    assert REDACTOR.text("pin is 9137.") == "pin is [secret PIN]."
    assert REDACTOR.text("19137 9137a abc") == "19137 9137a abc"


def test_values_are_redacted_with_their_keys() -> None:
    """Texts, numbers and names in any depth."""
    assert REDACTOR.value({"a": [SECRET, 9137, 2.5, None], SECRET: {"b": "x 9137"}}) == {
        "a": ["[secret API_PW]", "[secret PIN]", 2.5, None],
        "[secret API_PW]": {"b": "x [secret PIN]"},
    }


def test_a_secret_is_known_without_the_line_end_that_was_pasted_with_it() -> None:
    """Programs strip what they read from a variable."""
    assert Redactor({"PW": "abcdefgh12\n"}).text("with abcdefgh12.") == "with [secret PW]."


def test_the_folder_of_a_file_is_not_searched(tmp_path: Path) -> None:
    """A value that is part of where the project lies is in no result."""
    (tmp_path / "9137").mkdir()
    (tmp_path / "9137/out.txt").write_text("x")
    assert REDACTOR.name_in(str(tmp_path / "9137/out.txt"), "out.txt") is None
    assert REDACTOR.name_in(str(tmp_path / "9137/out.txt"), "a/9137.txt") == "PIN"


def test_a_secret_whose_end_repeats_its_beginning_is_replaced_whole() -> None:
    """What is held back does not begin within it."""
    stream = RedactedStream(Redactor({"PW": "abc-def-ghi-ab"}))
    assert stream.feed("x abc-def-ghi-abc") + stream.flush() == "x [secret PW]c"


@given(st.text(alphabet="hunter2+Pas 9137x", max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_a_stream_is_redacted_as_its_whole_text(noise: str, cuts: list[int]) -> None:
    """Wherever writes cut it."""
    redactor = Redactor({"PW": "hunter2+Pass"})
    whole = f"{noise}hunter2+Pass{noise[::-1]}"
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    stream = RedactedStream(redactor)
    shown = "".join(stream.feed(whole[start:end]) for start, end in pairwise(places))
    assert shown + stream.flush() == redactor.text(whole)


def test_events_of_two_streams_keep_their_secrets_apart() -> None:
    """What one stream holds back is shown before the other goes on."""
    events: list[Event] = []
    emit = RedactedEvents(events.append, Redactor({"PW": "hunter2hunter2"}))
    for stream, text in (
        ("stdout", "a hunter2"),
        ("stdout", "hunter2 b hun"),
        ("stderr", "c"),
        ("stdout", "ter2"),
    ):
        emit(Printed(task="t", attempt=1, time=1, stream=stream, text=text))
    emit.flush()
    shown = [(event.stream, event.text) for event in events if isinstance(event, Printed)]
    assert shown == [
        ("stdout", "a "),
        ("stdout", "[secret PW] b "),
        ("stdout", "hun"),
        ("stderr", "c"),
        ("stdout", "ter2"),
    ]


def test_a_file_is_searched_across_its_pieces(tmp_path: Path) -> None:
    """Also where the secret lies across the border of what is read at once."""
    path = tmp_path / "out.bin"
    path.write_bytes(b"\xff" * ((1 << 20) - 5) + SECRET.encode() + b"\xff" * 100)
    assert REDACTOR.name_in(str(path), path.name) == "API_PW"
    path.write_bytes(b"\xff" * (1 << 20))
    assert REDACTOR.name_in(str(path), path.name) is None
