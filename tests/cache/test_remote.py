"""A remote costs bounded time and bytes, whatever is at its other end."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.remote import Limits, Remote, RemoteError, UnknownRemoteError, WriteRefusedError, check_url
from tests.cache.servers import BEHAVIOURS, serving
from tests.cache.sharing import RECORD_NAME, TABLE_NAME, Clone, place
from tests.support.read_only_files import SCHEME

SHORT = Limits(operation=1.0, failures=2)


@pytest.mark.parametrize("scheme", ["http", pytest.param("s3", marks=pytest.mark.slow)])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_server_that_misbehaves_is_a_miss(tmp_path: Path, monkeypatch, behaviour: str, scheme: str):
    """Lookups end, nothing is found, and what went wrong is one printable line for each kind."""
    with serving(BEHAVIOURS[behaviour]) as port:
        url = f"http://127.0.0.1:{port}/cache" if scheme == "http" else "s3://bucket/cache"
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        clone = Clone(tmp_path, url, limits=SHORT)
        assert [clone.find() for _ in range(4)] == [None] * 4
    assert clone.remote.errors or clone.shared.refused
    assert all(text.isprintable() and len(text) < 300 for text in clone.remote.errors)
    assert clone.remote.gone in {"", *clone.remote.errors}


def test_a_remote_that_fails_again_and_again_is_given_up(tmp_path: Path):
    """After so many failures in a row nothing is tried any more."""
    with serving(BEHAVIOURS["silent"]) as port:
        remote = Remote(f"http://127.0.0.1:{port}", SHORT)
        for _ in range(2):
            with pytest.raises(RemoteError):
                remote.read("x", 10)
        assert remote.gone == "no answer within 1 s"
    with pytest.raises(RemoteError, match="no answer"):
        remote.size("x")


class FoldersOfAServer(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system as ssh shows it: nobody makes the folders of a file that is written or renamed."""

    protocol = ("folders", "ssh")


def test_a_file_of_a_server_is_written_to_a_folder_that_is_not_there(tmp_path: Path):
    """It is renamed when it is whole, so that its folders, and those of the cache, are made before."""
    fsspec.register_implementation("folders", FoldersOfAServer, clobber=True)
    remote = Remote(f"folders://{tmp_path}/cache")
    remote.write("records/aa/b", b"x")
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["b"]
    assert remote.read("records/aa/b", 1) == b"x"


def test_a_user_who_may_not_write_can_still_read(tmp_path: Path):
    """However often something is refused: that is no failure of the remote, and said once for each file."""
    (tmp_path / "a").write_text("x")
    remote = Remote(f"{SCHEME}://{tmp_path}")
    for _ in range(5):
        for attempt in (
            lambda: remote.write("b", b"x"),
            lambda: remote.create("b", b"x"),
            lambda: remote.send("b", str(tmp_path / "a"), 1),
            lambda: remote.remove("a"),
        ):
            with pytest.raises(WriteRefusedError):
                attempt()
    assert (remote.gone, remote.read("a", 10)) == ("", b"x")


def test_nobody_listens(tmp_path: Path):
    """A refused connection is an error like any other."""
    with serving(BEHAVIOURS["silent"]) as port:
        pass
    clone = Clone(tmp_path, f"http://127.0.0.1:{port}/cache", limits=SHORT)
    assert (clone.find(), len(clone.remote.errors)) == (None, 1)


@pytest.mark.timing
def test_giving_up_ends_what_is_under_way(tmp_path: Path):
    """An interrupted build does not wait for a server."""
    with serving(BEHAVIOURS["silent"]) as port:
        remote = Remote(f"http://127.0.0.1:{port}", Limits(operation=200))
        threading.Timer(0.5, remote.give_up, args=("interrupted",)).start()
        with pytest.raises(RemoteError, match="interrupted"):
            remote.read("x", 10)


@pytest.mark.timing
def test_lookups_that_take_too_long_in_all_are_the_last(tmp_path: Path):
    """Each may be quick enough, and all together not."""
    remote = Remote(str(tmp_path), Limits(lookups=0.0))
    assert remote.read("x", 10) is None
    with pytest.raises(RemoteError, match="looking things up took more than 0 s"):
        remote.read("x", 10)
    assert remote.errors == ["looking things up took more than 0 s"]


@pytest.mark.timing
def test_a_pipe_in_a_shared_folder_is_waited_for_no_longer_than_anything_else(tmp_path: Path):
    """Opening one does not return until somebody writes."""
    shared = tmp_path / "shared"
    Clone(tmp_path / "one", str(shared)).publish()
    record = place(shared, "records", RECORD_NAME)
    record.unlink()
    os.mkfifo(record)
    clone = Clone(tmp_path / "two", str(shared), limits=SHORT)
    assert (clone.find(), clone.remote.errors) == (None, ["no answer within 1 s"])


def test_a_success_forgives_failures(tmp_path: Path):
    """Only failures in a row count."""
    (tmp_path / "shared").mkdir()
    remote = Remote(str(tmp_path / "shared"), Limits(failures=2))
    for _ in range(3):
        with pytest.raises(RemoteError):
            remote.read("no\0name", 10)
        assert remote.read("missing", 10) is None
    assert remote.gone == ""


def test_more_than_was_allowed_is_not_read(tmp_path: Path):
    """A small file has a limit, a blob has its size."""
    (tmp_path / "file").write_bytes(b"12345")
    remote = Remote(str(tmp_path))
    assert remote.read("file", 5) == b"12345"
    with pytest.raises(RefusedError, match="too large"):
        remote.read("file", 4)
    assert b"".join(remote.pieces("file", 5)) == b"12345"
    for size in (0, 4, 6, 1 << 40):
        with pytest.raises(RefusedError, match="not of its size"):
            list(remote.pieces("file", size))


def test_a_large_file_comes_in_pieces(tmp_path: Path):
    """No more than a few megabytes are in memory at once."""
    data = os.urandom(1 << 20) * 20
    (tmp_path / "file").write_bytes(data)
    pieces = list(Remote(str(tmp_path)).pieces("file", len(data)))
    assert (b"".join(pieces), max(map(len, pieces))) == (data, 8 << 20)


@pytest.mark.parametrize("url", ["nonsense://x", "s3x://bucket"])
def test_a_scheme_that_nobody_serves_is_said(url: str):
    """It is an error before anything is built."""
    with pytest.raises(UnknownRemoteError, match="no file system is known for"):
        check_url(url)


def test_a_missing_package_is_named():
    """The file system is known, what serves it is not installed."""
    with pytest.raises(UnknownRemoteError, match="gcsfs"):
        check_url("gs://bucket/x")


def test_an_upload_that_is_cut_leaves_no_blob_under_its_name(tmp_path: Path):
    """Another writer sees the whole file or none."""
    shared = tmp_path / "shared"
    clone = Clone(tmp_path / "one", str(shared))
    clone.publish()
    place(shared, "blobs", TABLE_NAME).unlink()
    place(shared, "blobs", TABLE_NAME).mkdir()
    assert Clone(tmp_path / "two", str(shared)).find() is None
