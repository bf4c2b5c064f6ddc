"""A drawing as text for other tools: Mermaid and Graphviz."""

from __future__ import annotations

import re

from nbmake_dag_reporting.drawing import LOOKS, Drawing

_SHAPES = {"notebook": ("[", "]"), "function": ("([", "])"), "command": ("[[", "]]")}
_DOT_SHAPES = {"notebook": "box", "function": "ellipse", "command": "cds"}
_MERMAID_UNSAFE = re.compile(r"[^\w .,=/()\[\]+-]", re.ASCII)


def mermaid_text(text: str) -> str:
    """Escape text for any diagram of Mermaid: signs that may mean something there are numbered."""
    return _MERMAID_UNSAFE.sub(_numbered, text)


def mermaid(drawing: Drawing) -> str:
    """Write a flowchart that GitHub renders."""
    names = {node.name: f"t{number}" for number, node in enumerate(drawing.nodes)}
    lines = ["flowchart LR"]
    for node in drawing.nodes:
        opening, closing = _SHAPES.get(node.type, ("[", "]"))
        texts = node.label.split("\n") if node.status or node.note else [node.name]
        label = "<br>".join(map(mermaid_text, texts))
        lines.append(f'    {names[node.name]}{opening}"{label}"{closing}')
    lines += [f"    {names[start]} --> {names[end]}" for start, end in drawing.edges]
    for status, look in LOOKS.items():
        having = [names[node.name] for node in drawing.nodes if node.status == status]
        if having:
            lines.append(f"    classDef {status} fill:{look.fill},stroke:{look.stroke},color:#1f2328")
            lines.append(f"    class {','.join(having)} {status}")
    return "\n".join(lines) + "\n"


def dot(drawing: Drawing) -> str:
    """Write a digraph for Graphviz."""
    lines = [
        f"digraph {_quoted(drawing.title)} {{",
        "    rankdir=LR;",
        "    node [style=filled, fillcolor=white];",
    ]
    for node in drawing.nodes:
        shape = _DOT_SHAPES.get(node.type, "box")
        colours = ""
        if node.status:
            look = LOOKS[node.status]
            colours = f', fillcolor="{look.fill}", color="{look.stroke}"'
        lines.append(f"    {_quoted(node.name)} [label={_quoted(node.label)}, shape={shape}{colours}];")
    lines += [f"    {_quoted(start)} -> {_quoted(end)};" for start, end in drawing.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _numbered(match: re.Match[str]) -> str:
    character = match[0]
    return character if not character.isascii() and character.isprintable() else f"#{ord(character)};"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
