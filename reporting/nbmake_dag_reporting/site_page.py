"""The one page of a site, with a table of its last runs for browsers without JavaScript."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nbmake_dag_reporting.vocabulary import RecordedResult

_SHOWN = 50
_GLYPH: dict[RecordedResult, str] = {
    "success": "✓",
    "failure": "✕",
    "error": "!",
    "cancellation": "∅",
    "interrupted": "…",
    "running": "▸",
}
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: data: blob:; "
    "media-src 'self' file: data:; font-src data:; frame-src 'self' file:; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types nbdag dompurify"
)
FRAME_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; media-src data: blob:; base-uri 'none'; form-action 'none'"
)

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='%232b57c4'%3E"
    "%3Cpath d='M5 6h5a3 3 0 0 1 3 3v6a3 3 0 0 0 3 3h3M13 12h6' fill='none' stroke='%232b57c4'/%3E"
    "%3Ccircle cx='5' cy='6' r='3'/%3E%3Ccircle cx='19' cy='12' r='3'/%3E%3Ccircle cx='19' cy='18' r='3'/%3E"
    "%3C/svg%3E"
)

LIVE_POLICY = f"{POLICY.replace(' file:', '')}; connect-src 'self'"
"""The policy of a page that requests events from its own server."""


def page(rows: Sequence[Mapping[str, Any]], version: str, app: str) -> str:
    """Write index.html; ``version`` and ``app`` are digests that make browsers load what is new."""
    name = next((str(row["pipeline"]) for row in reversed(rows) if row.get("pipeline")), "nbdag")
    return f"""<!doctype html>
<html lang="en" data-version="{version}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{html.escape(name)} · runs</title>
<link rel="icon" href="{_ICON}">
<link rel="stylesheet" href="app.css?{app}">
<script src="app.js?{app}" defer></script>
<script src="data/index.js?{version}" defer></script>
</head>
<body>
<div id="app">
<main class="static">
<h1>{html.escape(name)}</h1>
<table>
<caption>The last runs. With JavaScript, this page compares them.</caption>
<thead><tr><th>Run<th>Started (UTC)<th>Result<th>Branch<th>Commit<th>Tasks<th>Ran<th>Failed<th>Seconds</tr></thead>
<tbody>
{_table(rows)}
</tbody>
</table>
</main>
</div>
</body>
</html>
"""


def live_page(page: str) -> str:
    """Return index.html as the live server sends it."""
    return page.replace(POLICY, LIVE_POLICY, 1).replace("<html ", "<html data-live ", 1)


def frame() -> str:
    """Write frame.html: it shows a page that a notebook made, in an origin of its own and without network.

    Any page may embed it and post to it. So it writes only in a sandbox, whose origin is opaque, and never as a
    page by itself.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{FRAME_POLICY}">
<title>Notebook output</title>
<script>
if (self.origin === "null" && parent !== self) {{
  addEventListener("message", function show(event) {{
    if (event.source !== parent) return;
    removeEventListener("message", show);
    document.write(event.data);
    document.close();
  }});
  parent.postMessage("nbdag frame is ready", "*");
}}
</script>
</head>
<body></body>
</html>
"""


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    runs = [defaultdict(lambda: None, row) for row in rows if row.get("id")]
    runs.sort(key=lambda run: (run["started"] or 0, run["id"]), reverse=True)
    return "\n".join(map(_plain_row, runs[:_SHOWN]))


def _plain_row(run: Mapping[str, Any]) -> str:
    started = datetime.fromtimestamp((run["started"] or 0) / 1000, UTC)
    result = run["result"]
    cells = (
        run["id"],
        started.strftime("%Y-%m-%d %H:%M"),
        f"{_GLYPH.get(result, '')} {result or ''}",
        run["branch"] or "",
        (run["commit"] or "")[:8],
        run["total"] or 0,
        run["ran"] or 0,
        run["failed"] or 0,
        "" if run["seconds"] is None else f"{run['seconds']:.1f}",
    )
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}" for cell in cells) + "</tr>"
