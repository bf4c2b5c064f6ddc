"""An executed notebook as one HTML page that needs nothing else and runs nothing.

Outputs are hostile: text is escaped, pictures are data URIs in ``img``, HTML is shown in a frame without scripts,
forms or an origin, and the page's policy forbids every request.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from nbmake_dag_reporting.ansi import ansi_html
from nbmake_dag_reporting.notebook import cells_of, is_injected, joined, listed, mapping, outputs_of

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
_RASTER = ("image/png", "image/jpeg", "image/gif", "image/webp")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_ROW_PX = 18
_STYLE = """\
:root { color-scheme: light dark; --line: light-dark(#ddd, #444); --code: light-dark(#f6f8fa, #161b22) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem 0 4rem }
pre { font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 }
.cell { margin: 1rem 0; position: relative }
.count { position: absolute; right: 100%; margin-right: .5rem; opacity: .6; font: 12px ui-monospace, monospace }
.code { background: var(--code); border: 1px solid var(--line); border-radius: 4px; padding: .5rem .75rem }
.injected .code { border-style: dashed }
.note { font-size: 12px; opacity: .7 }
.output { padding: .4rem .75rem; overflow: auto }
.stderr, .error { background: light-dark(#fdecea, #3b1d1d) }
img { max-width: 100%; background: #fff }
iframe { width: 100%; border: 1px solid var(--line); background: #fff; color-scheme: light; resize: vertical }
.ansi-bold { font-weight: bold } .ansi-faint { opacity: .7 } .ansi-italic { font-style: italic }
.ansi-underline { text-decoration: underline }
"""
_COLOURS = (
    *("#24292e", "#c22a2a", "#1a7f37", "#9a6700", "#0969da", "#8250df", "#1b7c83", "#6e7781"),
    *("#57606a", "#d1453b", "#2da44e", "#bf8700", "#218bff", "#a475f9", "#3192aa", "#8c959f"),
)


def notebook_page(document: Mapping[str, Any], title: str, markdown: Callable[[str], str]) -> str:
    """Write a page; ``markdown`` turns text into HTML without letting any of its own HTML through."""
    cells = "\n".join(_cell(cell, markdown) for cell in cells_of(document))
    colours = "\n".join(
        f".ansi-fg-{number} {{ color: {colour} }} .ansi-bg-{number} {{ background: {colour} }}"
        for number, colour in enumerate(_COLOURS)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}{colours}\n</style>\n"
        f"<h1>{escape(title)}</h1>\n{cells}\n</html>\n"
    )


def _cell(cell: Mapping[str, Any], markdown: Callable[[str], str]) -> str:
    source = joined(cell.get("source", ""))
    match cell.get("cell_type"):
        case "markdown":
            return f'<section class="cell">{markdown(source)}</section>'
        case "code":
            injected = is_injected(cell)
            count = cell.get("execution_count")
            number = "" if count is None else f'<span class="count">[{escape(str(count))}]</span>'
            note = '<div class="note">parameters of this run</div>' if injected else ""
            outputs = "".join(_output(output, markdown) for output in outputs_of(cell))
            kind = "cell injected" if injected else "cell"
            code = f'<pre class="code">{escape(source)}</pre>'
            return f'<section class="{kind}">{number}{note}{code}{outputs}</section>'
        case _:
            return f'<section class="cell"><pre>{escape(source)}</pre></section>'


def _output(output: Mapping[str, Any], markdown: Callable[[str], str]) -> str:
    match output.get("output_type"):
        case "stream":
            kind = "output stderr" if output.get("name") == "stderr" else "output"
            return f'<pre class="{kind}">{ansi_html(joined(output.get("text", "")))}</pre>'
        case "error":
            head = f"{output.get('ename', '')}: {output.get('evalue', '')}"
            trace = "\n".join(map(str, listed(output.get("traceback")))) or head
            return f'<pre class="output error">{ansi_html(trace)}</pre>'
        case "display_data" | "execute_result":
            return f'<div class="output">{_richest(mapping(output.get("data")), markdown)}</div>'
        case _:
            return ""


def _richest(data: Mapping[str, Any], markdown: Callable[[str], str]) -> str:
    """Show the most informative of the forms that can be shown safely."""
    if "text/html" in data:
        return _frame(joined(data["text/html"]))
    if "image/svg+xml" in data:
        encoded = base64.b64encode(joined(data["image/svg+xml"]).encode("utf-8", "replace")).decode()
        return _picture("image/svg+xml", encoded)
    for media_type in _RASTER:
        if media_type in data and _BASE64.fullmatch(encoded := joined(data[media_type])):
            return _picture(media_type, "".join(encoded.split()))
    if "text/markdown" in data:
        return markdown(joined(data["text/markdown"]))
    for media_type in ("text/plain", "text/latex"):
        if media_type in data:
            return f"<pre>{ansi_html(joined(data[media_type]))}</pre>"
    return "".join(
        f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"
        for media_type, value in data.items()
        if media_type.endswith("json")
    )


def _picture(media_type: str, encoded: str) -> str:
    return f'<img alt="" src="data:{media_type};base64,{encoded}">'


def _frame(content: str) -> str:
    rows = content.count("<tr") + content.count("\n") // 2
    height = min(600, max(120, 60 + _ROW_PX * rows))
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    return f'<iframe sandbox="" height="{height}" srcdoc="{escape(policy + content)}"></iframe>'
