"""Broken configurations: whatever the text, the answer is a pipeline or complaints."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbmake_dag.config.pipeline_file import Signature, expand, parse
from nbmake_dag.errors import ConfigError
from tests.support.examples import examples

EXAMPLE = (Path(__file__).parents[2] / "pipeline.toml.example").read_bytes()
SEEDS = [
    EXAMPLE,
    *(b"[tasks.a]" + part for part in EXAMPLE.split(b"[tasks.a]")),
    b'[tasks.a]\ncommand = ["x", "{y}"]\nmatrix = { y = [1, "1", true, [2]] }\noutputs = ["o/{y}"]\n',
    b'[tasks."a b"]\nfunction = "m:f"\nparameters.x.y = 1\nafter = ["a b"]\n[[tasks.c]]\n',
]
PIECES = [
    *(b'"', b"'", b'"""', b"[", b"]", b"{", b"}", b"=", b".", b"\n", b"\\", b"#", b"\0", b"\xff", b"\xc3\xa9"),
    *(b"nan", b"-inf", b"1979-05-27", b"true", b"-1", b"0x" + b"f" * 40, b"[[1]]", b"{a.b = 1}", b"../", b"{x}"),
    *(b"[tasks.", b"[defaults]\n", b"notebook", b"outputs", b"matrix", b"\\ud800", b"\\u0000", b"[" * 40),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        match draw(st.sampled_from(["flip", "insert", "cut", "copy", "replace"])):
            case "flip" if at < len(text):
                text[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                text[at:at] = draw(st.sampled_from(PIECES))
            case "cut":
                del text[at : at + draw(st.integers(1, 40))]
            case "copy":
                text[at:at] = text[at : at + draw(st.integers(1, 200))]
            case "replace":
                piece = draw(st.sampled_from(PIECES))
                text[at : at + len(piece)] = piece
    return bytes(text)


def read(text: bytes) -> None:
    try:
        file = parse(text)
        signatures = {source: Signature(names=frozenset({"depth"})) for source in file.sources()}
        expand(file, signatures, {"region": "south"})
    except ConfigError as error:
        complaints = error.complaints
    else:
        return
    assert complaints
    for complaint in complaints:
        assert complaint.what.isprintable()
        assert complaint.hint.isprintable()
        assert complaint.place.startswith("pipeline.toml") or complaint.place == ""


@given(mutated())
@examples(300)
def test_broken_configurations_are_only_complained_about(text):
    """Nothing but ConfigError is raised, and what it says can be printed."""
    read(text)


_ALL_CHECKS: list[HealthCheck] = [*HealthCheck]  # pyright: ignore[reportAssignmentType]  # by its metaclass


@pytest.mark.slow
@given(mutated())
@settings(max_examples=20_000, suppress_health_check=_ALL_CHECKS)
def test_many_broken_configurations_are_only_complained_about(text):
    """The same, for the 20,000 of the release."""
    read(text)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@examples(200)
def test_any_bytes_are_read_or_complained_about(text):
    """A file need not even be meant as TOML."""
    read(text)
