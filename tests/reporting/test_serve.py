"""The live server: what it answers, to whom, and what it tells of a run."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from nbmake_dag_reporting.events import EVENTS, RunEnded, RunStarted, WantedTask, encode_event
from nbmake_dag_reporting.live_feed import LiveFeed, Shown
from nbmake_dag_reporting.serve import LiveServer
from nbmake_dag_reporting.site import SiteOptions, write_site
from tests.reporting.fabricate import executed

STARTED = RunStarted(
    time=1,
    run_id="r1",
    trace_id="ab" * 16,
    span_id="cd" * 8,
    pipeline="p",
    tasks=(WantedTask(name="a", family="a"), WantedTask(name="b", family="b", upstreams=("a",))),
)


@dataclass
class Served:
    """A server over a site and a run; ``path`` is that of its address."""

    server: LiveServer
    root: Path

    @property
    def path(self) -> str:
        return urlsplit(self.server.url).path

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=10)

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = self.connect()
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def follow(self, after: str = "") -> http.client.HTTPResponse:
        connection = self.connect()
        connection.request("GET", f"{self.path}live/events?{after}")
        return connection.getresponse()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    write_site(str(tmp_path / "site"), (), SiteOptions(executed=executed))
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    (tmp_path / "runs" / "r1" / EVENTS).write_bytes(encode_event(STARTED))
    server = LiveServer(str(tmp_path / "site"), str(tmp_path / "runs"))
    yield Served(server, tmp_path)
    server.close()


def message(answer: http.client.HTTPResponse) -> list[bytes]:
    """Read one message."""
    lines: list[bytes] = []
    while line := answer.readline().rstrip(b"\n"):
        lines.append(line)
    return lines


def test_the_site_is_served_as_a_live_page(served: Served) -> None:
    """The address gives the page, which may ask its server and load what that has, and nothing else."""
    status, headers, body = served.ask(served.path)

    assert status == 200
    assert b"<html data-live " in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "file:" not in policy
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert served.ask(f"{served.path}app.js")[1]["Content-Type"] == "text/javascript; charset=utf-8"


def test_what_a_notebook_made_stays_in_its_sandbox(served: Served) -> None:
    """The page for outputs is sandboxed whoever opens it."""
    policy = served.ask(f"{served.path}frame.html")[1]["Content-Security-Policy"]
    assert "sandbox allow-scripts;" in policy
    assert "connect-src" not in policy


@pytest.mark.parametrize("token", ["", "x", "%E9", "0" * 22])
def test_without_the_token_nothing_is_told(served: Served, token: str) -> None:
    """Whoever does not know the token gets no file and no events."""
    for path in (f"/{token}/", f"/{token}/live/events", f"/{token}"):
        status, _, body = served.ask(path)
        assert (status, body) == (403, b"open the address that nbdag has printed\n")


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("example.org", 403), ("127.0.0.1.example.org", 403), ("", 403)],
)
def test_only_names_of_this_machine_are_answered(served: Served, host: str, status: int) -> None:
    """A name from elsewhere that leads here is refused, with the token too."""
    assert served.ask(served.path, Host=host)[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(served: Served, method: str) -> None:
    """Only GET and HEAD are known."""
    assert served.ask(served.path, method)[0] == 501


def test_head_is_get_without_content(served: Served) -> None:
    """HEAD has the length of what GET would send; for events too it ends."""
    status, headers, body = served.ask(served.path, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == len(served.ask(served.path)[2])
    assert served.ask(f"{served.path}live/events", "HEAD")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "data/../../secret.txt",
        "link",
        "data",
        "%00",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_site(served: Served, path: str) -> None:
    """Neither dots nor links nor absolute paths reach another file."""
    (served.root / "site" / "link").symlink_to(served.root / "secret.txt")
    assert served.ask(f"{served.path}{path}")[0] == 404


def test_it_listens_on_loopback_alone(served: Served) -> None:
    """No other address of the machine is bound."""
    port = urlsplit(served.server.url).port
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", port or 0))


def test_a_taken_port_is_refused(served: Served) -> None:
    """Two servers do not share a port."""
    with pytest.raises(OSError, match="in use"):
        LiveServer("site", "runs", urlsplit(served.server.url).port or 0)


def test_events_are_told_as_they_are_written(served: Served) -> None:
    """A page hears of the run, its lines, the lines to come, and of a new report; then of the next run."""
    events = served.root / "runs" / "r1" / EVENTS
    start = events.read_bytes().rstrip()
    end = encode_event(RunEnded(time=2, result="success", exit_code=0))
    served.server.show("r1")
    answer = served.follow()

    assert answer.headers["Content-Type"] == "text/event-stream"
    assert message(answer) == [b"event: run", b"id: r1.0", b"data: r1"]
    assert message(answer) == [b"id: r1.%d" % (len(start) + 1), b"data: " + start]
    with events.open("ab") as file:
        file.write(end[:10])
        file.flush()
        served.server.refreshed("v2")
        assert message(answer) == [b"event: report", b"data: v2"]
        file.write(end[10:])
    assert message(answer)[1:] == [b"data: " + end.rstrip()]
    served.server.show("r2")
    assert message(answer) == [b"event: run", b"id: r2.0", b"data: r2"]


def test_a_page_goes_on_where_it_was(served: Served) -> None:
    """With the identifier of its last message a page gets the rest, and all of another run."""
    events = served.root / "runs" / "r1" / EVENTS
    place = events.stat().st_size
    end = encode_event(RunEnded(time=2, result="success", exit_code=0))
    events.write_bytes(events.read_bytes() + end)
    served.server.show("r1")

    assert message(served.follow(f"r1.{place}"))[1:] == [b"data: " + end.rstrip()]
    connection = served.connect()
    connection.request("GET", f"{served.path}live/events", headers={"Last-Event-ID": f"r1.{place}"})
    assert message(connection.getresponse())[1:] == [b"data: " + end.rstrip()]


def test_a_page_that_was_away_for_longer_gets_the_rest_and_hears_what_is_left_out(served: Served) -> None:
    """First what is left of its run, then which runs it missed, then the current one; nothing comes twice."""
    start = served.root / "runs" / "r1" / EVENTS
    place = start.stat().st_size
    end = encode_event(RunEnded(time=2, result="success", exit_code=0))
    start.write_bytes(start.read_bytes() + end)
    for run in ("r2", "r3", "r4"):
        (served.root / "runs" / run).mkdir()
        (served.root / "runs" / run / EVENTS).write_bytes(encode_event(STARTED))
    served.server.show("r4")
    answer = served.follow(f"r1.{place}")
    assert message(answer)[1:] == [b"data: " + end.rstrip()]
    assert message(answer) == [b"event: gap", b"data: r2", b"data: r3"]
    assert message(answer) == [b"event: run", b"id: r4.0", b"data: r4"]
    assert len(message(answer)) == 2
    assert message(served.follow(f"r3.{len(encode_event(STARTED))}"))[0] == b"event: run"


@pytest.mark.parametrize("after", ["r0.99", "../r1.0", "r1.9999", "r1.5", "r1.x", "nothing"])
def test_a_place_that_is_not_there_is_a_gap(served: Served, after: str) -> None:
    """A run that was removed, or an identifier that was never given: all of the current run comes, and says so."""
    served.server.show("r1")
    answer = served.follow(after)
    assert message(answer) == [b"event: gap", b"data: "]
    assert message(answer)[0] == b"event: run"


def test_long_records_come_in_pieces_of_whole_lines(tmp_path: Path) -> None:
    """However long the lines are, each arrives whole and once."""
    lines = [b"x" * length for length in (10, 400_000, 1, 300_000, 5)]
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / EVENTS).write_bytes(b"\n".join(lines) + b"\n" + b"torn")
    feed, shown = LiveFeed(str(tmp_path), ""), Shown(run="r1")
    feed.news(shown)

    got: list[bytes] = []
    while news := feed.news(shown):
        got += [line.removeprefix(b"data: ") for line in news.split(b"\n") if line.startswith(b"data: ")]

    assert got == lines


def test_the_graph_of_the_run_is_laid_out(served: Served) -> None:
    """The run that is shown has a drawing; another has none."""
    served.server.show("r1")
    graph = msgspec.json.decode(served.ask(f"{served.path}live/graph/r1")[2])
    assert (len(graph["nodes"]), graph["edges"][0][:2]) == (2, [0, 1])
    assert served.ask(f"{served.path}live/graph/r2")[0] == 404


def test_closing_ends_all_that_is_followed(served: Served) -> None:
    """Streams end with the server, and the port is free again."""
    answer = served.follow()
    served.server.close()
    assert answer.read() == b""
    LiveServer(str(served.root / "site"), "", urlsplit(served.server.url).port or 0).close()
