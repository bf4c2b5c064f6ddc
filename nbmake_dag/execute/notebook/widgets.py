"""Widgets as plain HTML beside their outputs: what they showed at the end, for readers without a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from nbformat import NotebookNode

_VIEW = "application/vnd.jupyter.widget-view+json"
_REFERENCE = "IPY_MODEL_"
_BESIDE = ("HBox", "GridBox")
_DEEPEST = 20

State = Mapping[str, Mapping[str, Any]]
"""What each model has, by its name."""


def add_static_widgets(notebook: NotebookNode, state: State) -> None:
    """Give each output that is a widget its HTML, where that says anything."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            model = data.get(_VIEW, {}).get("model_id") if isinstance(data.get(_VIEW), dict) else None
            if model and "text/html" not in data and (html := _html(model, state, 0)):
                data["text/html"] = html


def _html(name: str, state: State, depth: int) -> str:
    model = state.get(name)
    if model is None or depth > _DEEPEST:
        return ""
    kind = str(model.get("_model_name", "")).removesuffix("Model")
    if isinstance(children := model.get("children"), list):
        shown = [_html(str(child).removeprefix(_REFERENCE), state, depth + 1) for child in children]
        shown = [child for child in shown if child]
        if kind in _BESIDE and shown:
            return f"<table><tr>{''.join(f'<td>{child}</td>' for child in shown)}</tr></table>"
        return "".join(f"<div>{child}</div>" for child in shown)
    if kind == "Output":
        return "".join(_text_of(output) for output in model.get("outputs", ()))
    value = _value(kind, model)
    described = str(model.get("description") or "")
    label = f"{described if kind in _OF_HTML else escape(described)} " if described else ""
    return f"{label}{value}" if value or label else ""


_OF_HTML = ("HTML", "HTMLMath")


def _value(kind: str, model: Mapping[str, Any]) -> str:
    if kind in _OF_HTML:
        return str(model.get("value", ""))
    labels, index = model.get("_options_labels"), model.get("index")
    if isinstance(labels, list):
        chosen = index if isinstance(index, list) else [index]
        return escape(", ".join(str(labels[place]) for place in chosen if isinstance(place, int)))
    value = model.get("value")
    if kind.endswith("Progress") and isinstance(model.get("max"), int | float):
        return f"<b>{value:g}</b> of {model['max']:g}" if isinstance(value, int | float) else ""
    if isinstance(value, list):
        value = " to ".join(map(str, value))
    return f"<b>{escape(str(value))}</b>" if isinstance(value, str | int | float) and value != "" else ""


def _text_of(output: Mapping[str, Any]) -> str:
    data = output.get("data", {})
    if "text/html" in data:
        return str(data["text/html"])
    text = output.get("text") or data.get("text/plain") or ""
    return f"<pre>{escape(str(text))}</pre>" if text else ""
