"""Widgets as HTML: what they showed at the end, for pages without a kernel."""

from __future__ import annotations

from typing import Any

import pytest
from nbformat import from_dict

from nbmake_dag.execute.notebook.widgets import add_static_widgets

VIEW = "application/vnd.jupyter.widget-view+json"
SLIDER = {"_model_name": "IntSliderModel", "description": "n <", "value": 3}
BAR = {"_model_name": "FloatProgressModel", "value": 7.0, "max": 10.0}
LABEL = {"_model_name": "HTMLModel", "value": "<i>70%</i>"}
CHOICE = {"_model_name": "DropdownModel", "description": "kind", "_options_labels": ["a", "b<"], "index": 1}
PRINTED = {"_model_name": "OutputModel", "outputs": [{"output_type": "stream", "text": "x < 1"}]}


def shown(model: dict[str, Any], **others: dict[str, Any]) -> str | None:
    output = {"output_type": "display_data", "metadata": {}, "data": {VIEW: {"model_id": "m"}, "text/plain": "w"}}
    book: Any = from_dict({"cells": [{"cell_type": "code", "outputs": [output]}]})
    add_static_widgets(book, {"m": model, **others})
    html: str | None = book.cells[0].outputs[0].data.get("text/html")
    return html


@pytest.mark.parametrize(
    ("model", "html"),
    [
        (SLIDER, "n &lt; <b>3</b>"),
        (BAR, "<b>7</b> of 10"),
        (LABEL, "<i>70%</i>"),
        (CHOICE, "kind b&lt;"),
        (PRINTED, "<pre>x &lt; 1</pre>"),
        ({"_model_name": "FloatRangeSliderModel", "value": [1, 2.5]}, "<b>1 to 2.5</b>"),
        ({"_model_name": "AnyModel", "_esm": "export default {}"}, None),
    ],
)
def test_a_widget_says_what_it_showed(model: dict[str, Any], html: str | None) -> None:
    """Text is escaped, HTML stays for the site to make harmless, and what cannot be said is left to its reader."""
    assert shown(model) == html


def test_boxes_hold_what_is_in_them() -> None:
    """A bar of tqdm is a row; a box that holds itself ends."""
    row = {"_model_name": "HBoxModel", "children": ["IPY_MODEL_a", "IPY_MODEL_b", "IPY_MODEL_gone"]}
    assert shown(row, a=LABEL, b=BAR) == "<table><tr><td><i>70%</i></td><td><b>7</b> of 10</td></tr></table>"
    assert shown({"_model_name": "VBoxModel", "children": ["IPY_MODEL_a"]}, a=BAR) == "<div><b>7</b> of 10</div>"
    assert shown({"_model_name": "VBoxModel", "children": ["IPY_MODEL_m"]}) is None
