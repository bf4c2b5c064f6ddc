"""Remote inputs: what servers do, and what becomes of the copy, against a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nbmake_dag.config.paths import PathError
from nbmake_dag.config.remote_inputs import read_url
from nbmake_dag.core.model import RemoteFile
from nbmake_dag.core.urls import copy_of, scrubbed, without_secrets
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.remote_copies import RemoteCopies, file_of, folder_of, learned_file
from nbmake_dag.remote_inputs.addresses import RefusedAddressError, check_host, named_in
from nbmake_dag.remote_inputs.fetching import Fetched, Fetcher, Rules
from nbmake_dag.remote_inputs.limits import Limits
from nbmake_dag_cache.memo import StatMemo
from tests.remote_inputs.servers import Asked, Server
from tests.support.buckets import bucket_called

LIMITS = Limits(ask=20.0, connect=5.0, read=1.0, rate=1000.0, window=0.3)
LONG_AGO = "Mon, 01 Jan 2024 10:00:00 GMT"


@dataclass
class Checkout:
    """A project that fetches; each fetch is that of a new build."""

    project: Project
    files: StatMemo

    def fetch(self, *remotes: RemoteFile, limits: Limits = LIMITS, rules: Rules | None = None) -> Fetched:
        copies = RemoteCopies(project=self.project, warn=print)
        return Fetcher(self.project, copies, self.files, rules or Rules(), limits).fetch(remotes)

    def gets(self, remote: RemoteFile, content: bytes, rules: Rules | None = None) -> None:
        """Claim that a copy is here afterwards, and has this content."""
        assert self.fetch(remote, rules=rules) in (Fetched(), Fetched(downloaded=1, size=len(content)))
        assert self.content(remote) == content

    def content(self, remote: RemoteFile) -> bytes:
        return Path(self.project.absolute(copy_of(remote))).read_bytes()

    def fails(self, remote: RemoteFile, why: str, limits: Limits = LIMITS) -> None:
        """Claim that there is no copy, and why."""
        (said,) = self.fetch(remote, limits=limits).failed.values()
        assert why in said
        assert not os.path.exists(self.project.absolute(copy_of(remote)))


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    root = str(tmp_path / "project")
    project = Project(config=f"{root}/pipeline.toml", root=root, repository=root)
    project.make_state()
    files = StatMemo(project.state)
    yield Checkout(project, files)
    files.close()


@pytest.fixture
def remote(server: Server) -> RemoteFile:
    return RemoteFile(url=server.url(), recheck=0.0)


def test_within_the_time_of_recheck_nobody_is_asked(checkout: Checkout, server: Server) -> None:
    """Afterwards the server is; `--recheck` asks at once, and a copy that was edited is put back unasked."""
    remote = RemoteFile(url=server.url(), recheck=3600.0)
    checkout.gets(remote, b"content")
    server.asked()
    place = Path(checkout.project.absolute(copy_of(remote)))
    assert place.stat().st_mode & 0o777 == 0o444
    place.chmod(0o644)
    place.write_bytes(b"edited")
    checkout.gets(remote, b"content")
    assert server.asked() == []
    server.answer = lambda request: request.says(200, b"another")
    checkout.gets(remote, b"another", rules=Rules(recheck=True))
    checkout.gets(replace(remote, recheck=0.0), b"another")
    assert len(server.asked()) == 2


def test_a_clock_that_went_back_makes_it_ask(checkout: Checkout, server: Server) -> None:
    """What was learned in the future is not known to be young."""
    remote = RemoteFile(url=server.url())
    checkout.gets(remote, b"content")
    file = learned_file(checkout.project, remote)
    learned = file.read(print)
    assert learned is not None
    file.write(replace(learned, checked=time.time_ns() + 10**15))
    server.asked()
    checkout.gets(remote, b"content")
    assert server.asked() == ["/sales.csv"]


@pytest.mark.parametrize("what", ["learned", "copy", "blob", "all", "folder", "learned folder"])
def test_damage_costs_a_download_at_most(
    checkout: Checkout, server: Server, remote: RemoteFile, what: str
) -> None:
    """Whatever of a copy is cut, gone, or no file any more."""
    checkout.gets(remote, b"content")
    place = Path(checkout.project.absolute(copy_of(remote)))
    learned = next(Path(checkout.project.cache, "remote").iterdir())
    (blob,) = [path for path in Path(checkout.project.cache, "blobs").rglob("*") if path.is_file()]
    damaged = {"learned": [learned], "copy": [place], "blob": [blob], "all": [learned, place, blob]}
    for path in damaged.get(what, ()):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:3])
    if "folder" in what:
        path = learned if what == "learned folder" else place
        path.unlink()
        (path / "below").mkdir(parents=True)
    checkout.gets(remote, b"content")
    checkout.gets(remote, b"content")


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({"ETag": '"one"'}, ' If-None-Match: "one"'),
        ({"ETag": 'W/"one"'}, ""),
        ({"ETag": 'W/"one"', "Last-Modified": LONG_AGO}, f" If-Modified-Since: {LONG_AGO}"),
        ({"Last-Modified": LONG_AGO}, f" If-Modified-Since: {LONG_AGO}"),
        ({"Last-Modified": "yesterday"}, ""),
        ({}, ""),
    ],
    ids=["strong", "weak", "weak and a time", "time", "no time", "nothing"],
)
def test_what_is_asked_for_rests_on_what_tells_bytes_apart(
    checkout: Checkout, server: Server, remote: RemoteFile, headers: dict[str, str], condition: str
) -> None:
    """A weak entity tag does not; where nothing does, all is downloaded again."""
    server.answer = lambda request: request.says(200, b"content", headers=headers)
    checkout.gets(remote, b"content")
    assert checkout.fetch(remote) == Fetched()
    assert server.asked() == ["/sales.csv", f"/sales.csv{condition}"]


def test_a_time_of_just_now_is_not_believed(checkout: Checkout, server: Server, remote: RemoteFile) -> None:
    """A file may change again within the second that `Last-Modified` has."""
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    server.answer = lambda request: request.says(200, b"content", headers={"Last-Modified": now})
    checkout.gets(remote, b"content")
    checkout.gets(remote, b"content")
    assert server.asked() == ["/sales.csv", "/sales.csv"]


def test_not_modified_leaves_the_copy(checkout: Checkout, server: Server, remote: RemoteFile) -> None:
    """One that was not asked for does not make one."""
    server.answer = lambda request: request.says(304)
    checkout.fails(remote, "answers 304")
    server.answer = lambda request: request.says(200, b"content", headers={"ETag": '"1"'})
    checkout.gets(remote, b"content")
    server.answer = lambda request: request.says(304)
    checkout.gets(remote, b"content")


def test_the_same_content_under_another_tag_is_the_same(
    checkout: Checkout, server: Server, remote: RemoteFile
) -> None:
    """It is downloaded, and no input has changed; another content is another one."""
    for tag, content in (('"1"', b"content"), ('"2"', b"content"), ('"3"', b"changed")):
        server.answer = lambda request, tag=tag, content=content: request.says(200, content, headers={"ETag": tag})  # type: ignore[misc]
        checkout.gets(remote, content)


@pytest.mark.parametrize("status", [403, 404, 410, 500, 503, 206, 204])
def test_a_bad_answer_leaves_the_last_copy(
    checkout: Checkout, server: Server, remote: RemoteFile, status: int
) -> None:
    """Without one it is missing, with `--strict-remote` too."""
    good = server.answer
    server.answer = lambda request: request.says(status)
    checkout.fails(remote, f"answers {status}")
    server.answer = good
    checkout.gets(remote, b"content")
    server.answer = lambda request: request.says(status)
    assert list(checkout.fetch(remote).kept) == [remote.key]
    assert list(checkout.fetch(remote, rules=Rules(strict=True)).failed) == [remote.key]
    assert checkout.content(remote) == b"content"


def test_offline_nobody_is_asked(checkout: Checkout, server: Server, remote: RemoteFile) -> None:
    assert list(checkout.fetch(remote, rules=Rules(offline=True)).failed) == [remote.key]
    checkout.gets(remote, b"content")
    server.asked()
    checkout.gets(remote, b"content", rules=Rules(offline=True))
    assert server.asked() == []


def never(request: Asked) -> None:
    request.over.wait(30)


def drip(request: Asked) -> None:
    request.says(200, b"", length=10**6)
    while not request.over.wait(0.05):
        request.wfile.write(b"x")


def packed(body: bytes) -> Callable[[Asked], None]:
    return lambda request: request.says(200, body, headers={"Content-Encoding": "gzip"})


def stall(request: Asked) -> None:
    request.says(200, b"half", length=8)
    request.over.wait(30)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (never, "no answer within 1 s"),
        (drip, "under 1000 bytes a second"),
        (stall, "broke off"),
        (lambda request: request.says(200, b"half", length=8), "broke off"),
        (lambda request: request.wfile.write(b"nonsense\r\n\r\n"), "cannot be reached"),
        (lambda request: request.says(200, b"x" * 2000), "more than max_size"),
        (lambda request: request.says(200, b"", length=10**15), "more than max_size"),
        (
            lambda request: request.says(
                200, b"7d1\r\n" + b"x" * 2001 + b"\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked"}
            ),
            "more than max_size",
        ),
        (
            lambda request: request.says(200, gzip.compress(b"x" * 10**6), headers={"Content-Encoding": "gzip"}),
            "max_size",
        ),
        (packed(b"no gzip"), "damaged gzip"),
        (
            lambda request: request.says(200, gzip.compress(b"x")[:-8], headers={"Content-Encoding": "gzip"}),
            "without its end",
        ),
        (lambda request: request.says(200, b"x", headers={"Content-Encoding": "br"}), "was not asked for"),
        (lambda request: request.wfile.write(b"HTTP/1.1 500 \x1b[31m\r\n\r\n"), "answers 500 \\x1b[31m"),
    ],
)
def test_a_hostile_or_broken_server_gives_nothing(
    checkout: Checkout, server: Server, answer: Callable[[Asked], None], why: str
) -> None:
    """The reason is said, and nothing half is left where tasks look."""
    server.answer = answer
    limits = replace(LIMITS, ask=1.0, read=30.0) if answer is never else LIMITS
    checkout.fails(RemoteFile(url=server.url(), max_size=1000 if answer is not drip else 10**7), why, limits)


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("/sales.csv", "redirects more than 5 times"),
        ("", "not followed"),
        ("file:///etc/passwd", "not followed"),
        ("ftp://127.0.0.1/x", "not followed"),
        ("http://user:word@127.0.0.1/x", "not followed"),
        ("http://[::1/x", "cannot be reached"),
        ("http://127.0.0.2:1/x", "no address of the internet"),
        ("http://localhost:1/x", "no address of the internet"),
        ("http://2130706433:1/x", "no address of the internet"),
        ("http://[::ffff:10.0.0.1]/x", "no address of the internet"),
        ("http://[64:ff9b::7f00:1]/x", "no address of the internet"),
        ("http://169.254.169.254/x", "no address of the internet"),
    ],
)
def test_a_redirect_leads_to_no_other_machine_of_this_network(
    checkout: Checkout, server: Server, location: str, why: str
) -> None:
    """Nor in circles, nor to another scheme; only the address that the URL itself names is allowed."""
    server.answer = lambda request: request.says(302, headers={"Location": location} if location else {})
    checkout.fails(RemoteFile(url=server.url()), why)


def test_a_server_that_hangs_delays_no_other(checkout: Checkout, server: Server) -> None:
    """All are asked at once, within one time."""
    server.answer = lambda request: never(request) if "slow" in request.path else request.says(200, b"x")
    slow = [RemoteFile(url=server.url(f"/slow{number}")) for number in range(8)]
    fast = [RemoteFile(url=server.url(f"/fast{number}")) for number in range(8)]
    done = checkout.fetch(*slow, *fast, limits=replace(LIMITS, ask=5.0))
    assert set(done.failed) == {each.key for each in slow}
    assert done.downloaded == 8


def test_redirects_are_followed(checkout: Checkout, server: Server) -> None:
    """Five of them, also to an address that the URL names."""

    def answer(request: Asked) -> None:
        left = int(request.path[1:])
        if left:
            request.says(307, headers={"Location": server.url(f"/{left - 1}")})
        else:
            request.says(200, b"there")

    server.answer = answer
    checkout.gets(RemoteFile(url=server.url("/5")), b"there")
    checkout.fails(RemoteFile(url=server.url("/6")), "redirects more than 5 times")


def test_a_name_of_a_private_address_is_not_connected_to(
    checkout: Checkout, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if only one of its addresses is; and what was checked is what is connected to."""
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "data.example":
            return [row for each in ("1.1.1.1", "127.0.0.1") for row in real(each, *arguments, **options)]
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    checkout.fails(RemoteFile(url=server.url(host="data.example")), "write the address itself into the URL")
    assert server.asked() == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "192.0.0.8", "192.88.99.1"),
        *("198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1"),
        *("::ffff:0:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2001::7f00:1"),
        *("fe80::1", "fec0::1", "fc00::1", "ff0e::1"),
    ],
)
def test_an_address_that_the_internet_does_not_have_is_refused(address: str) -> None:
    """Also as IPv6 writes and translates those of IPv4; one that the URL itself has is meant."""
    with pytest.raises(RefusedAddressError):
        check_host(address, frozenset())
    check_host(address, named_in(f"http://{f'[{address}]' if ':' in address else address}/x"))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_an_address_of_the_internet_is_connected_to(address: str) -> None:
    check_host(address, frozenset())


def test_a_download_that_broke_off_goes_on(checkout: Checkout, server: Server, remote: RemoteFile) -> None:
    """In the same build, and in the next; only with a strong tag, and only of the same version."""
    content = bytes(range(256)) * 40

    def answer(request: Asked) -> None:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        part, headers = content[start : start + 3000], {"ETag": '"v1"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        request.says(206 if start else 200, part, length=len(content) - start, headers=headers)

    server.answer = answer
    checkout.gets(remote, content)
    assert [line for line in server.asked() if 'Range: bytes=3000- If-Range: "v1"' in line]
    folder = Path(checkout.project.cache, "remote")
    assert [path.suffix for path in folder.iterdir()] == [".json"]


def test_a_download_goes_on_in_the_next_build(checkout: Checkout, server: Server, remote: RemoteFile) -> None:
    """Where the server then sends all, or another version, it begins anew."""
    server.answer = lambda request: request.says(200, b"0123", length=10, headers={"ETag": '"v1"'})
    checkout.fails(remote, "broke off")
    server.answer = lambda request: request.says(200, b"abcdefghij", headers={"ETag": '"v1"'})
    checkout.gets(remote, b"abcdefghij")
    server.answer = lambda request: request.says(200, b"0123", length=10, headers={"ETag": '"v2"'})
    assert checkout.fetch(remote).kept
    server.answer = lambda request: request.says(200, b"other", headers={"ETag": '"v3"'})
    checkout.gets(remote, b"other")


def test_one_part_of_a_file_is_kept_at_most(checkout: Checkout, server: Server, remote: RemoteFile) -> None:
    """That of the newest version: a server that breaks off each of them does not fill the disk."""

    def parts() -> list[Path]:
        return sorted(Path(folder_of(checkout.project)).glob("*.part"))

    for version in ("v1", "v2", "v3"):
        headers = {"ETag": f'"{version}"'}
        server.answer = partial(Asked.says, status=200, body=b"0123", length=10, headers=headers)
        checkout.fails(remote, "broke off")
        assert len(parts()) == 1
    server.answer = lambda request: request.says(200, b"content")
    checkout.gets(remote, b"content")
    assert parts() == []


def test_gzip_that_was_not_asked_for_is_unpacked(checkout: Checkout, server: Server) -> None:
    """But a file whose name says that it is packed stays so."""
    packed = gzip.compress(b"rows")
    server.answer = lambda request: request.says(200, packed, headers={"Content-Encoding": "gzip"})
    checkout.gets(RemoteFile(url=server.url()), b"rows")
    checkout.gets(RemoteFile(url=server.url("/rows.csv.gz")), packed)


def test_lengths_that_are_no_numbers_are_none(checkout: Checkout, server: Server) -> None:
    """Neither of a whole answer, nor where a range begins."""

    def odd(request: Asked) -> None:
        request.send_response(206 if "Range" in request.headers else 200)
        request.send_header("ETag", '"v1"')
        request.send_header("Content-Length", "9" * 5000)
        request.send_header("Content-Range", f"bytes {'9' * 5000}-{'9' * 5001}/*")
        request.end_headers()
        request.wfile.write(b"content")

    remote = RemoteFile(url=server.url(), recheck=0.0)
    server.answer = lambda request: request.says(200, b"0123", length=10, headers={"ETag": '"v1"'})
    checkout.fails(remote, "broke off")
    server.answer = odd
    checkout.gets(remote, b"content")


def test_what_was_learned_of_other_content_is_not_believed(checkout: Checkout, server: Server) -> None:
    """A cache that was carried may say of a hash that another content has it."""
    right, wrong = (
        RemoteFile(url=server.url(), sha256=hashlib.sha256(data).hexdigest()) for data in (b"content", b"x")
    )
    checkout.gets(right, b"content")
    shutil.copy(file_of(checkout.project, right), file_of(checkout.project, wrong))
    checkout.fails(wrong, "and not that of the URL")


def test_a_hash_is_asked_for_once(checkout: Checkout, server: Server) -> None:
    """Content that does not match it is refused; what is here already is not fetched."""
    right = RemoteFile(url=server.url(), sha256=hashlib.sha256(b"content").hexdigest(), recheck=0.0)
    checkout.fails(replace(right, sha256="0" * 64), "and not that of the URL")
    checkout.gets(right, b"content")
    server.asked()
    checkout.gets(right, b"content", rules=Rules(recheck=True))
    checkout.gets(replace(right, url=server.url("/elsewhere.csv")), b"content")
    assert server.asked() == []


@pytest.mark.slow
def test_objects_of_a_bucket_are_inputs(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged one is not downloaded again, a changed one is; a version never changes."""
    import boto3

    with bucket_called("data") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=variables["AWS_ENDPOINT_URL"])
        client.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
        first = client.put_object(Bucket="data", Key="a/x.bin", Body=b"one")["VersionId"]
        remote = RemoteFile(url="s3://data/a/x.bin", recheck=0.0)
        checkout.gets(remote, b"one")
        assert checkout.fetch(remote) == Fetched()
        client.put_object(Bucket="data", Key="a/x.bin", Body=b"other")
        checkout.gets(remote, b"other")
        checkout.gets(read_url(f"s3://data/a/x.bin?versionId={first}", {}), b"one")
        checkout.fails(RemoteFile(url="s3://data/a/none.bin"), "does not exist")
        client.put_object(Bucket="data", Key="a/large.bin", Body=b"12345")
        checkout.fails(RemoteFile(url="s3://data/a/large.bin", max_size=4), "more than max_size")


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("https://user:word@example.org/x", "holds a user name"),
        ("https://example.org/", "does not name one file"),
        ("https://example.org", "does not name one file"),
        ("https:///x.csv", "names no host"),
        ("https://example.org/*.csv", "does not name one file"),
        ("https://example.org/x#part", "is no hash"),
        ("https://example.org/x#sha256=12", "is no hash"),
        ("https://example.org/ä", "characters that no URL has"),
        ("https://example.org/a b", "characters that no URL has"),
        ("https://[::1/x", "is not a URL"),
        ("https://h/" + "x" * 3000, "too many"),
        ("file:///etc/passwd", "of another machine"),
        ("local://x/etc/passwd", "of another machine"),
        ("simplecache::s3://b/x", "not one URL"),
        ("zip://x.csv::https://h/a.zip", "not a URL"),
        ("memory://a/x", "of another machine"),
        ("reference://a/x", "of another machine"),
        ("://x/y", "not one URL"),
    ],
)
def test_what_is_no_url_of_one_file_is_refused(url: str, what: str) -> None:
    with pytest.raises(PathError, match=what):
        read_url(url, {})


def test_what_is_not_fetched_needs_a_hash_or_version() -> None:
    with pytest.raises(PathError, match="has no hash or version"):
        read_url("https://h/x", {"fetch": False})
    assert not read_url(f"https://h/x#sha256={'0' * 64}", {"fetch": False}).fetch
    assert read_url("s3://b/x?versionId=1", {"fetch": False}).is_pinned


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@h/x?a=1#f", "https://h/x?a=1"),
        ("https://h/x?X-Amz-Signature=abc&page=2", "https://h/x?X-Amz-Signature=...&page=2"),
        ("https://h/x?t=" + "0" * 40, "https://h/x?t=..."),
        ("https://h/x?" + "0" * 40, "https://h/x?..."),
        ("https://h/x?a=1;token=abc", "https://h/x?a=1;token=..."),
        ("https://h/x?%74oken=abc", "https://h/x?%74oken=..."),
        ("https://h/x;jsessionid=abc/y;v=1?a", "https://h/x;jsessionid=.../y;v=1?a"),
        ("https://u:p@[::1/x?token=abc", "https://..."),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str) -> None:
    assert scrubbed(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://u:p@ss@h/x?a=1#f, and me@h", "at https://...@h/x?a=1#f, and me@h"),
        ("https://h/x;token=abc?sig=abc&a=1#a=1&token=abc", "https://h/x;token=...?sig=...&a=1#a=1&token=..."),
        (f"https://h/x#sha256={'0' * 64}", f"https://h/x#sha256={'0' * 64}"),
    ],
)
def test_a_text_is_shown_without_secrets_in_its_urls(text: str, shown: str) -> None:
    """Wherever they are in a URL, also in a password with an ``@``; a hash is none."""
    assert without_secrets(text) == shown
