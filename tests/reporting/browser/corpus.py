"""Runs whose pages hold every kind of content: wide, long, many, not finite, with all that notebooks show."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.reporting.browser.digits import png
from tests.reporting.fabricate import Fabric, Made, code, markdown, notebook, shown

PAGES = (
    "#/runs",
    "#/runs?columns=started,branch,params.text%2540show,metrics.loss%2540show",
    "#/tasks",
    "#/artefacts?task=show",
    "#/artefacts?task=show&filter=result%20%3D%20failure",
    "#/artefacts?task=show&name=wide.json&filter=result%20%3D%20failure",
    "#/artefacts?task=show&name=tall.png&view=one%20after%20the%20other&filter=result%20%3D%20failure",
    "#/explore",
    "#/explore?x=params.text&colour=branch&group=branch&reused=1",
    "#/tasks?by=family",
    "#/matrix",
    "#/run/run-00001",
    "#/run/run-00001?view=graph",
    "#/run/run-00001?view=timeline",
    "#/run/run-00001?view=environment",
    "#/run/run-00001/task/show",
    "#/run/run-00001/task/show?view=results",
    "#/run/run-00001/task/show?view=attempts",
    "#/run/run-00001/task/show?view=key",
    "#/run/run-00001/task/show?view=history",
    "#/run/run-00001/task/fails",
    "#/run/run-00001/task/media",
    "#/run/run-00001/task/media?view=results",
    "#/compare?runs=run-00000,run-00001,run-00002",
    "#/compare?runs=run-00000,run-00001&view=tasks",
    "#/compare?runs=run-00000,run-00001&view=notebooks",
    "#/compare?runs=run-00000,run-00001&view=pictures",
    "#/compare?runs=run-00000,run-00001&view=charts",
    "#/history",
    "#/history?task=show&branch=main",
)

LONG = "a_name_without_any_place_to_break_" * 6
BRANCH = "feature/" + "a-branch-whose-name-goes-on-" * 5


PICTURE = base64.b64encode(png(20, 80, 90)).decode()
FORMULAS = rf"""Euler: $e^{{i\pi}} = -1$, and it costs $5 and $10, `$not$`.

$$\int_0^1 x\,dx = \frac{{1}}{{2}}$$

\begin{{align}}
a &= b \\
c &= d
\end{{align}}

![a picture](data:image/png;base64,{PICTURE}) ![elsewhere](https://example.org/x.png)

![attached](attachment:my%20plot.png) ![a file](../images/a%20file.png "with a title") ![not there](gone.png)

<img src="../images/drawing.svg" alt="a drawing" width="120">
"""
COMMITTED = {
    "images/a file.png": png(20, 120, 60),
    "images/drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><path d='M0 0h8v8'/></svg>",
}


def frame(columns: int, rows: int = 6) -> str:
    """Write a table as pandas does."""
    head = "".join(f"<th>column_{number}</th>" for number in range(columns))
    above = f"<tr><th></th><th colspan='{columns}' halign='left'>two levels</th></tr>"
    cells = "".join(f"<td>{0.345581234 * (number + 1):.6f}</td>" for number in range(columns))
    body = f"<tr><th>0</th>{cells}</tr>" * rows
    style = "<style scoped>\n.dataframe tbody tr th { vertical-align: top; }\n</style>"
    table = f"<thead>{above}<tr><th></th>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<div>\n{style}\n<table border='1' class='dataframe'>{table}</table></div>"


def _show(number: int, **more: Any) -> Made:
    colours = ("31mred", "1;4;48;2;20;90;160mon blue", "38;2;250;220;40myellow", "3mitalic")
    ansi = " ".join(f"\x1b[{colour}\x1b[0m" for colour in colours)
    book = notebook(
        markdown(f"# A heading {LONG}\n\n- [x] done\n- [ ] open\n\n| a | b |\n|---|---|\n| {LONG} | 2 |\n"),
        code(
            f"show({number})  # {LONG}",
            {"output_type": "stream", "name": "stdout", "text": f"{ansi}\n{LONG * 4}\n"},
        ),
        {**markdown(FORMULAS), "attachments": {"my plot.png": {"image/png": PICTURE}}},
        code("Math()", {**shown(), "data": {"text/latex": "$\\displaystyle x^{2}$", "text/plain": "<Math>"}}),
        code("frame(12)", shown(text_html=frame(12), text_plain="frame")),
        code("frame(40)", shown(text_html=frame(40, 60), text_plain="frame")),
        code(
            "nested", {"output_type": "display_data", "metadata": {}, "data": {"application/json": {LONG: [LONG]}}}
        ),
        code("wide()", {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "x" * 3000}}),
    )
    wide = [{f"column {column}": row * column / 7 for column in range(30)} for row in range(80)]
    fields: dict[str, Any] = {
        "params": {"text": LONG * 3, "values": list(range(200)), "lr": 0.1 * (number + 1)},
        "metrics": {"loss": float("nan") if number == 1 else 0.5 - number / 10, "auc": 0.9, LONG: 1797.0},
        "tags": {"note": LONG},
        "notebook": book,
        "series": {"loss": [[step, value, None] for step, value in enumerate([0.5, "NaN", 0.4, "Infinity", 0.3])]},
        "artifacts": {
            "wide.json": (json.dumps(wide).encode(), "application/json"),
            f"{LONG}.csv": (b"a,b\n" + b"1,2\n" * 300, "text/csv"),
            "wide.png": (png(20, 80, 90, 2400, 300), "image/png"),
            "tall.png": (png(200, 80, 90, 200, 1600), "image/png"),
            "long.txt": (LONG.encode() * 40, "text/plain"),
        },
        "reasons": tuple(f"reason {reason} {LONG}" for reason in range(1, 7)),
        "ingredients": (("cell", LONG, LONG), ("parameter", "lr", str(number))),
        "outputs": {f"out/{LONG}.bin": "d" * 32},
    }
    return Made(name="show", **(fields | more))


PLOTLY = b"""window.Plotly = {
  newPlot: (id, data) => { document.getElementById(id).textContent = `${data.length} drawn`; },
};"""
SOUND = base64.b64encode(b"RIFF0000WAVEfmt ").decode()
AREA = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[10, 60], [12, 60], [11, 61], [10, 60]]]},
        },
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [11, 60.4]}},
    ],
}


def _media() -> Made:
    """Log what a browser plays or draws, and figures with and without their script."""
    source = f'<source src="data:audio/wav;base64,{SOUND}" type="audio/wav" />'
    heard = f'<audio controls="controls" >\n {source}\n</audio>'
    figures: dict[str, Any] = {
        "application/vnd.plotly.v1+json": {"data": [{"y": [1]}], "layout": {"height": 200}},
        "application/vnd.vegalite.v5+json": {"mark": "bar"},
        "application/vnd.jupyter.widget-view+json": {"model_id": "m"},
    }
    outputs = [{**shown(), "data": {kind: spec, "text/plain": f"of {kind}"}} for kind, spec in figures.items()]
    return Made(
        name="media",
        above=("show",),
        notebook=notebook(
            code("figures", *outputs), code("Audio()", shown(text_html=heard, text_plain="<Audio>"))
        ),
        artifacts={
            "figures/plotly 6.1.js": (PLOTLY, "text/javascript; nbdag=figures"),
            "tone.wav": (base64.b64decode(SOUND), "audio/wav"),
            "film.webm": (b"\x1aE\xdf\xa3", "video/webm"),
            "page.pdf": (b"%PDF-1.4\n", "application/pdf"),
            "config.yaml": (f"name: {LONG}\nlist:\n  - 1\n".encode(), "application/yaml"),
            "area.geojson": (json.dumps(AREA).encode(), "application/geo+json"),
            "no.mp3": (b"<script>alert(1)</script>", "audio/mpeg"),
        },
    )


def corpus(fabric: Fabric, long_history: int = 230) -> Fabric:
    """Write three runs of everything, two of nothing, and a history that is long."""
    trace = f"\x1b[31mValueError\x1b[0m: {LONG}"
    for number in range(3):
        fails = Made(
            name="fails",
            status="failed",
            above=("show",),
            error=("ValueError", f"\x1b[31m{LONG}", trace),
            notebook=notebook(code(f"raise ValueError('{LONG}')")),
        )
        last = Made(name="last", status="cancelled", seconds=None, above=("fails",))
        many = [
            Made(name=f"train[seed={seed}]", family="train", above=("show",), metrics={"auc": seed / 10})
            for seed in range(6)
        ]
        fabric.run(number, _show(number), fails, *many, last, _media(), result="failure", branch=BRANCH)
    for number in range(3, 3 + long_history):
        hit = {"status": "up_to_date", "seconds": None, "source": "run-00003"} if number % 5 == 4 else {}
        fell = 0.4 if number == long_history else 0.9 + (number % 3) / 100
        fabric.run(number, Made(name="show", metrics={"loss": 0.2, "auc": fell}, **hit))  # type: ignore[arg-type]
    return fabric
