"""Interactive figures in the outputs of a notebook: which library draws one, and from what.

Libraries show themselves as they are used in Jupyter: by media types of their own, and by HTML that loads their
script from the web, which the site must do without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Literal, Never, TypeAlias

import msgspec

from nbmake_dag_reporting.notebook import joined, mapping

FigureKind: TypeAlias = Literal["plotly", "vega", "bokeh"]

_BOKEH = "application/vnd.bokehjs_exec.v0+json"
_BOKEH_LOADS = "application/vnd.bokehjs_load.v0+json"
_VEGA = re.compile(r"application/vnd\.vega(?:lite)?\.v\d+(?:\.\d+)*\+json")
_ALTAIR_BEFORE = re.compile(r"\}\)\((?=\{)")
_ALTAIR_STARTS = 10
"""How often it is tried: each reads up to the end of what may be a long page."""
_PLOTLY = "application/vnd.plotly.v1+json"
_LOADERS = ("plotly.js v", "cdn.plot.ly", "PlotlyConfig", "BokehJS", "bk-notebook-logo")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """``spec`` is what the library is given: JSON, or the script of one of bokeh."""

    kind: FigureKind
    spec: Any


def figure_of(data: Mapping[str, Any]) -> Figure | None:
    """Find the figure in the data of an output."""
    if isinstance(spec := data.get(_PLOTLY), dict):
        return Figure(kind="plotly", spec=spec)
    if _BOKEH in data and "application/javascript" in data:
        return Figure(kind="bokeh", spec=joined(data["application/javascript"]))
    for media_type, spec in data.items():
        if _VEGA.fullmatch(media_type) and isinstance(spec, dict):
            return Figure(kind="vega", spec=spec)
    html = joined(data.get("text/html", ""))
    return _altair(html) if "vega-embed" in html else None


def _altair(html: str) -> Figure | None:
    """Find the call with a specification and with options."""
    for before in islice(_ALTAIR_BEFORE.finditer(html), _ALTAIR_STARTS):
        with suppress(ValueError, RecursionError):
            spec, end = _JSON.raw_decode(html, before.end())
            if html.startswith(", {", end):
                return Figure(kind="vega", spec=spec)
    return None


def _no_number(name: str) -> Never:
    raise ValueError(name)


_JSON = json.JSONDecoder(parse_constant=_no_number)


def loads_only(data: Mapping[str, Any]) -> bool:
    """Whether an output shows nothing itself: it loads a library, or is the place of a figure that follows."""
    if _BOKEH_LOADS in data:
        return True
    html = joined(data.get("text/html", "")).strip()
    if _BLANK.fullmatch(html):
        return True
    return "newPlot" not in html and any(sign in html for sign in _LOADERS)


_BLANK = re.compile(r'(?s)<div id="[^"]*" data-root-id="[^"]*"[^>]*>\s*</div>')


def kinds_in(outputs: Iterable[Mapping[str, Any]]) -> list[FigureKind]:
    """Name the libraries that draw the figures in some outputs."""
    found = (figure_of(mapping(output.get("data"))) for output in outputs)
    return sorted({figure.kind for figure in found if figure})
