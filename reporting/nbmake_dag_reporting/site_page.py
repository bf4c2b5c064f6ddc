"""The one page of a site, with a table of its last runs for whoever has no script."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_SHOWN = 50
_GLYPH = {"success": "✓", "failure": "✕", "error": "!", "cancellation": "∅", "interrupted": "…"}
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: data: blob:; "
    "frame-src 'self' file:; base-uri 'none'; form-action 'none'"
)
FRAME_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; media-src data: blob:; base-uri 'none'; form-action 'none'"
)

LIVE_POLICY = f"{POLICY.replace(' file:', '')}; connect-src 'self'"
"""Of a page that asks the server that it comes from."""


def page(rows: Mapping[str, Sequence[Any]], version: str, app: str) -> str:
    """Write index.html; ``version`` and ``app`` are digests that make browsers load what is new."""
    name = next((str(name) for name in reversed(rows.get("pipeline", [])) if name), "nbdag")
    return f"""<!doctype html>
<html lang="en" data-version="{version}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{html.escape(name)} · runs</title>
<link rel="icon" href="data:,">
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
    """Return index.html as a server shows it that knows what happens now."""
    return page.replace(POLICY, LIVE_POLICY, 1).replace("<html ", "<html data-live ", 1)


def frame() -> str:
    """Write frame.html: it shows a page that a notebook made, in an origin of its own and without network."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{FRAME_POLICY}">
<title>Notebook output</title>
<script>
addEventListener("message", function show(event) {{
  if (event.source !== parent) return;
  removeEventListener("message", show);
  document.write(event.data);
  document.close();
}});
parent.postMessage("nbdag frame is ready", "*");
</script>
</head>
<body></body>
</html>
"""


def _table(rows: Mapping[str, Sequence[Any]]) -> str:
    runs = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    runs.sort(key=lambda run: (run["started"], run["id"]), reverse=True)
    return "\n".join(_row(run) for run in runs[:_SHOWN])


def _row(run: Mapping[str, Any]) -> str:
    started = datetime.fromtimestamp(run["started"] / 1000, UTC)
    result = run["result"]
    cells = (
        run["id"],
        started.strftime("%Y-%m-%d %H:%M"),
        f"{_GLYPH.get(result, '')} {result}",
        run["branch"] or "",
        (run["commit"] or "")[:8],
        run["total"],
        run["ran"],
        run["failed"],
        "" if run["seconds"] is None else f"{run['seconds']:.1f}",
    )
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}" for cell in cells) + "</tr>"
