"""frame.html writes what its parent posts: never in the origin of the host that publishes the site."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame, Page

from tests.reporting.browser.conftest import served

pytestmark = pytest.mark.chromium

PAYLOAD = "<p id=written>written</p><script>try{localStorage.stolen=1}catch{}document.title=self.origin</script>"
LISTEN = "() => { addEventListener('message', event => { window.last ||= event.data === 'last' }) }"
ENDED = "() => window.last || document.querySelector('#written')"
POST = "([to, text]) => { for (const each of [text, 'last']) to.postMessage(each, '*') }"


@pytest.fixture
def foreign(tmp_path: Path, browser: Browser) -> Iterator[Page]:
    """Open an empty page of another origin than the site's host."""
    (tmp_path / "index.html").write_text("<!doctype html><link rel=icon href=data:,>")
    context = browser.new_context()
    with served(tmp_path) as base:
        page = context.new_page()
        page.goto(base.replace("127.0.0.1", "localhost"))
        yield page
    context.close()


def posted(sender: Page, window: str, to: Frame) -> int:
    """Post the payload from a page to a frame; once it has been received, count what was written of it."""
    to.evaluate(LISTEN)
    sender.evaluate(POST, [sender.evaluate_handle(window), PAYLOAD])
    to.wait_for_function(ENDED)
    return to.locator("#written").count()


def embedded(page: Page, address: str, sandbox: str | None) -> Frame:
    """Embed an address in a page; ``None`` is no sandbox."""
    page.evaluate(
        """([address, sandbox]) => new Promise(done => {
            window.frame = document.createElement('iframe')
            if (sandbox !== null) frame.setAttribute('sandbox', sandbox)
            window.heard = []
            addEventListener('message', event => heard.push(event.data))
            frame.onload = done
            frame.src = address
            document.body.append(frame)
        })""",
        [address, sandbox],
    )
    [frame] = page.main_frame.child_frames
    return frame


@pytest.mark.parametrize("sandbox", [None, "allow-scripts allow-same-origin"])
def test_a_foreign_page_gets_nothing_written_in_the_hosts_origin(
    foreign: Page, server: str, sandbox: str | None
) -> None:
    """Embedded with the host's origin, the frame neither offers to write nor writes."""
    frame = embedded(foreign, f"{server}frame.html", sandbox)
    assert posted(foreign, "frame.contentWindow", frame) == 0
    origin = server.removesuffix("/a/site/")
    assert frame.evaluate("[self.origin, document.title, document.body.children.length]") == [
        origin,
        "Notebook output",
        0,
    ]
    assert foreign.evaluate("heard") == []


def test_a_page_of_the_same_host_gets_nothing_written_either(server: str, browser: Browser) -> None:
    """Neither does a page of another project on the same host, which could embed it as well."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server}NOTICES.txt")
    frame = embedded(page, f"{server}frame.html", None)
    assert posted(page, "frame.contentWindow", frame) == 0
    context.close()


@pytest.mark.parametrize("whose", ["foreign", "sandboxed"])
def test_a_popup_of_the_frame_writes_nothing(foreign: Page, server: str, whose: str) -> None:
    """Opened as a window, by a foreign page or from within a sandbox, it listens to nobody."""
    opener = foreign.main_frame
    if whose == "sandboxed":
        opener = embedded(foreign, f"{server}frame.html", "allow-scripts allow-popups")
    with foreign.expect_popup() as found:
        opener.evaluate("address => { window.popup = open(address) }", f"{server}frame.html")
    popup = found.value
    popup.wait_for_load_state()
    popup.evaluate(LISTEN)
    opener.evaluate(
        "text => { for (const each of [text, 'last']) popup.postMessage(each, '*') }",
        PAYLOAD,
    )
    popup.wait_for_function(ENDED)
    assert popup.locator("#written").count() == 0


def test_in_a_sandbox_it_writes_and_reaches_nothing(foreign: Page, server: str) -> None:
    """Whoever embeds it in a sandbox sees the payload run in an opaque origin, without storage."""
    frame = embedded(foreign, f"{server}frame.html", "allow-scripts")
    foreign.evaluate("text => frame.contentWindow.postMessage(text, '*')", PAYLOAD)
    frame.wait_for_selector("#written")
    assert frame.evaluate("[document.title, self.origin]") == ["null", "null"]
    assert foreign.evaluate("heard") == ["nbdag frame is ready"]


def test_a_browser_with_trusted_types_refuses_text_as_script(server: str, browser: Browser) -> None:
    """In the page of a site, text becomes neither HTML nor the address of a script."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server}index.html")
    page.wait_for_selector("main h1")
    for sink in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.write('x')",
        "document.createElement('script').src = 'data/index.js'",
        "document.createElement('iframe').srcdoc = 'x'",
        "new DOMParser().parseFromString('x', 'text/html')",
        "trustedTypes.createPolicy('other', {createHTML: text => text})",
    ):
        tried = f"() => {{ try {{ {sink}; return 'done' }} catch (error) {{ return error.name }} }}"
        assert page.evaluate(tried) == "TypeError"
    context.close()
