"""A graph as text for other tools: whole, the same every time, and with no way out of a label."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag_reporting.documents import encode_document, graph_document
from nbmake_dag_reporting.drawing import LOOKS, Drawing, Node, drawing_of
from nbmake_dag_reporting.gantt import gantt
from nbmake_dag_reporting.graph_formats import dot, mermaid
from nbmake_dag_reporting.graph_svg import svg
from nbmake_dag_reporting.vocabulary import STATUSES
from tests.reporting.runs import recorded

PLAIN = Drawing(
    title="p",
    nodes=(Node(name="a", type="notebook"), Node(name="b", type="function"), Node(name="c", type="command")),
    edges=(("a", "b"), ("a", "c"), ("b", "c")),
)
LABELS = st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5, unique=True)


@pytest.fixture
def happened(tmp_path: Path) -> Drawing:
    return drawing_of(recorded(tmp_path / "r1").run)


def test_mermaid_of_a_pipeline() -> None:
    """The kinds of work have shapes of their own."""
    assert mermaid(PLAIN) == (
        'flowchart LR\n    t0["a"]\n    t1(["b"])\n    t2[["c"]]\n    t0 --> t1\n    t0 --> t2\n    t1 --> t2\n'
    )


def test_mermaid_of_a_run_says_what_happened_in_words_and_colours(happened: Drawing) -> None:
    """Signs that mean something to Mermaid are numbered."""
    assert mermaid(happened) == (
        "flowchart LR\n"
        '    t0["ran[x=a/b]<br>✓ ran"]\n'
        '    t1["say #34;no#34;<br>✗ failed"]\n'
        '    t2["hit<br>= up to date"]\n'
        "    t0 --> t1\n    t1 --> t2\n"
        "    classDef ran fill:#d1f0d9,stroke:#1a7f37,color:#1f2328\n    class t0 ran\n"
        "    classDef up_to_date fill:#eceef0,stroke:#6e7781,color:#1f2328\n    class t2 up_to_date\n"
        "    classDef failed fill:#ffd9d6,stroke:#c22a2a,color:#1f2328\n    class t1 failed\n"
    )


def test_dot(happened: Drawing) -> None:
    """Names are quoted as Graphviz reads them."""
    assert dot(happened) == (
        'digraph "p" {\n    rankdir=LR;\n    node [style=filled, fillcolor=white];\n'
        '    "ran[x=a/b]" [label="ran[x=a/b]\\n✓ ran", shape=box, fillcolor="#d1f0d9", color="#1a7f37"];\n'
        '    "say \\"no\\"" [label="say \\"no\\"\\n✗ failed", shape=box, fillcolor="#ffd9d6", color="#c22a2a"];\n'
        '    "hit" [label="hit\\n= up to date", shape=box, fillcolor="#eceef0", color="#6e7781"];\n'
        '    "ran[x=a/b]" -> "say \\"no\\"";\n    "say \\"no\\"" -> "hit";\n}\n'
    )


def test_json(happened: Drawing) -> None:
    """A status that is not known is null."""
    assert json.loads(encode_document(graph_document(happened))) == {
        "format": 1,
        "pipeline": "p",
        "nodes": [
            {"name": "ran[x=a/b]", "type": "notebook", "status": "ran"},
            {"name": 'say "no"', "type": "notebook", "status": "failed"},
            {"name": "hit", "type": "notebook", "status": "up_to_date"},
        ],
        "edges": [{"from": "ran[x=a/b]", "to": 'say "no"'}, {"from": 'say "no"', "to": "hit"}],
    }
    assert graph_document(PLAIN).nodes[0].status is None


def test_svg_holds_every_task_with_its_status_as_text(happened: Drawing) -> None:
    """It is XML, has a box with two lines for each task, and a path for each edge."""
    root = ET.fromstring(svg(happened))
    space = {"s": "http://www.w3.org/2000/svg"}
    texts = [[text.text for text in group.findall("s:text", space)] for group in root.findall("s:g", space)]
    assert texts == [["ran[x=a/b]", "✓ ran"], ['say "no"', "✗ failed"], ["hit", "= up to date"]]
    assert len(root.findall("s:path", space)) == 2
    assert svg(happened) == svg(happened)


def test_every_status_has_a_look() -> None:
    """No two are drawn with the same glyph, word or colour."""
    assert set(LOOKS) == set(STATUSES)
    for of in ("glyph", "words", "fill"):
        assert len({getattr(look, of) for look in LOOKS.values()}) == len(LOOKS)


@given(LABELS)
def test_no_name_gets_out_of_its_label(names: list[str]) -> None:
    """Whatever tasks are called, each is one line of Mermaid, and SVG stays XML with as many boxes."""
    drawing = Drawing(title=names[0], nodes=tuple(Node(name=name) for name in names), edges=())
    lines = mermaid(drawing).splitlines()
    assert len(lines) == 1 + len(names)
    assert all(
        re.fullmatch(r'    t\d+\["[^"`<>;&\x00-\x1f]*(#\d+;[^"`<>;&\x00-\x1f]*)*"\]', line) for line in lines[1:]
    )
    assert len(ET.fromstring(svg(drawing)).findall("{http://www.w3.org/2000/svg}g")) == len(names)


def test_gantt_has_the_attempts_along_the_time(tmp_path: Path) -> None:
    """Only what was executed is in it; a colon in a name does not end it."""
    assert gantt(recorded(tmp_path / "r1").run) == (
        "gantt\n    title p, run r1\n    dateFormat x\n    axisFormat %H:%M:%S\n"
        "    section ran[x=a/b]\n    attempt 1 succeeded :done, 1000, 2000\n"
        "    section say #34;no#34;\n    attempt 1 timeout :crit, 2000, 3000\n"
    )


def test_a_picture_has_both_themes_with_the_colours_of_statuses(happened: Drawing) -> None:
    """Text stays readable on each fill, as WCAG asks for: at least 4.5 to 1."""
    drawn = svg(happened)
    _, dark = drawn.split("@media (prefers-color-scheme: dark)")
    for status, look in LOOKS.items():
        assert f".{status} rect {{ fill: {look.dark} }}" in dark
        assert _contrast("#e6edf3", look.dark) >= 4.5
        assert _contrast("#1f2328", look.fill) >= 4.5


def _contrast(text: str, fill: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(text), luminance(fill)))
    return (high + 0.05) / (low + 0.05)
