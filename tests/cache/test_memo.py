"""The memos save work and never give another answer than the work would."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from nbmake_dag_cache import stamps
from nbmake_dag_cache.digest import Digest, digest_bytes, digest_descriptor, digest_file, digest_listing
from nbmake_dag_cache.diskcache_text import TextIndex
from nbmake_dag_cache.memo import IdentityMemo, ListedFile, StatMemo
from nbmake_dag_cache.stamps import FileClock, UnstableFileError
from tests.support.damage import every_damage

AT_REST = os.path.realpath(sys.executable)
"""A file that nobody has changed for long."""


@contextmanager
def memo_at(state: Path, warn: Callable[[str], None] = lambda _: None) -> Iterator[StatMemo]:
    state.mkdir(exist_ok=True)
    memo = StatMemo(str(state), warn)
    try:
        yield memo
        memo.flush()
    finally:
        memo.close()


def remembered(state: Path) -> dict[str, tuple[list[int], str]]:
    """Read the rows of a memo's index."""
    index = TextIndex(str(state / "files"))
    rows: dict[str, tuple[list[int], str]] = {}
    for shard in range(256):
        rows.update(msgspec.json.decode(index.get(f"1/{shard}") or "{}"))
    index.close()
    return rows


def forge(state: Path, change: Callable[[list[int]], object]) -> None:
    """Give every remembered file a wrong digest, and change its stamp."""
    index = TextIndex(str(state / "files"))
    for shard in range(256):
        if text := index.get(f"1/{shard}"):
            rows = msgspec.json.decode(text)
            for row in rows.values():
                row[1] = "f" * 32
                change(row[0])
            index.write({f"1/{shard}": msgspec.json.encode(rows).decode()})
    index.close()


def test_a_digest_is_that_of_the_content(tmp_path: Path):
    """First, second and a later process's answers equal digest_file, and follow every rewrite."""
    file = tmp_path / "file"
    for content in (b"", b"one", b"two", b"x" * 200_000):
        file.write_bytes(content)
        with memo_at(tmp_path / "state") as memo:
            assert digest_bytes(content) == memo.digest(str(file)) == memo.digest(str(file))


def test_a_file_at_rest_is_not_read_again(tmp_path: Path):
    """With the same size, times and inode the remembered digest is the answer, whatever it is."""
    with memo_at(tmp_path) as memo:
        assert memo.digest(AT_REST) == digest_file(AT_REST)
    forge(tmp_path, lambda stamp: None)
    with memo_at(tmp_path) as memo:
        assert memo.digest(AT_REST) == "f" * 32
        assert memo.digest_many([AT_REST]) == {AT_REST: "f" * 32}


@pytest.mark.parametrize("field", range(4), ids=["size", "mtime", "ctime", "inode"])
def test_any_difference_of_the_stamp_means_reading_again(tmp_path: Path, field: int):
    """Size, modification time, change time and inode each count alone."""
    with memo_at(tmp_path) as memo:
        memo.digest(AT_REST)

    def change(stamp: list[int]) -> None:
        stamp[field] -= 1

    forge(tmp_path, change)
    with memo_at(tmp_path) as memo:
        assert memo.digest(AT_REST) == digest_file(AT_REST)


@pytest.mark.parametrize("mtime", [1, 10**12], ids=["long ago", "in the future"])
def test_a_file_that_was_just_changed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mtime: int
):
    """Its change time is young whatever its modification time says, so a second write might be missed."""
    file = tmp_path / "young"
    file.write_text("x")
    os.utime(file, (mtime, mtime))
    monkeypatch.setattr(FileClock, "now", lambda _: file.stat().st_ctime_ns + 1_999_999_999)
    with memo_at(tmp_path / "state") as memo:
        memo.digest(str(file))
        memo.digest(AT_REST)
    assert set(remembered(tmp_path / "state")) == {AT_REST}


def test_files_that_are_gone_are_forgotten(tmp_path: Path):
    """A row that is written again leaves out what no longer exists."""
    index = TextIndex(str(tmp_path / "files"))
    with memo_at(tmp_path) as memo:
        memo.digest(AT_REST)
    (row,) = [number for number in range(256) if index.get(f"1/{number}")]
    rows = msgspec.json.decode(index.get(f"1/{row}") or "")
    gone = next(name for number in range(10_000) if zlib.crc32((name := f"/gone/{number}").encode()) % 256 == row)
    rows[gone] = rows[AT_REST]
    rows[AT_REST] = [[0, 0, 0, 0], "f" * 32]
    index.write({f"1/{row}": msgspec.json.encode(rows).decode()})
    index.close()
    with memo_at(tmp_path) as memo:
        memo.digest(AT_REST)
    assert set(remembered(tmp_path)) == {AT_REST}


def test_a_damaged_index_gives_true_digests_and_a_warning(tmp_path: Path):
    """Losing the memo costs reading, nothing else."""
    with memo_at(tmp_path) as memo:
        memo.digest(AT_REST)
    (tmp_path / "files" / "cache.db").write_bytes(b"garbage" * 100)
    said: list[str] = []
    with memo_at(tmp_path, said.append) as memo:
        assert memo.digest(AT_REST) == digest_file(AT_REST)
    assert "not a database" in said[0]
    assert set(remembered(tmp_path)) == {AT_REST}


@pytest.mark.fault
@pytest.mark.parametrize("step", [997, pytest.param(61, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_whatever_byte_of_an_index_is_damaged_its_answers_are_true(tmp_path: Path, step: int):
    """What was remembered, or nothing: cut or flipped anywhere, a row never has another digest or text."""
    with memo_at(tmp_path) as memo:
        memo.digest(AT_REST)
    texts = IdentityMemo(str(tmp_path))
    texts.put(Digest("d"), "schema", "text")
    texts.flush()
    texts.close()
    files, identities = (tmp_path / name / "cache.db" for name in ("files", "identities"))
    sound = files.read_bytes(), identities.read_bytes()
    true = digest_file(AT_REST)
    for content in every_damage(sound[0], step):
        restored(tmp_path, sound)
        files.write_bytes(content)
        with memo_at(tmp_path) as memo:
            assert memo.digest(AT_REST) == true
    for content in every_damage(sound[1], step):
        restored(tmp_path, sound)
        identities.write_bytes(content)
        texts = IdentityMemo(str(tmp_path))
        assert texts.get(Digest("d"), "schema") in {"text", None}
        texts.close()


def restored(state: Path, sound: tuple[bytes, bytes]) -> None:
    """Put two sound indexes where damaged ones were."""
    for name, content in zip(("files", "identities"), sound, strict=True):
        shutil.rmtree(state / name, ignore_errors=True)
        shutil.rmtree(state / f"{name}.damaged", ignore_errors=True)
        (state / name).mkdir()
        (state / name / "cache.db").write_bytes(content)


def test_a_state_folder_that_cannot_be_written_remembers_nothing(tmp_path: Path):
    """Digests are right all the same, and a warning says why they take time."""
    (tmp_path / "file").write_text("")
    said: list[str] = []
    memo = StatMemo(str(tmp_path / "file" / "state"), said.append)
    assert memo.digest(AT_REST) == digest_file(AT_REST)
    memo.flush()
    memo.close()
    assert said


def test_what_is_not_a_file_has_no_digest(tmp_path: Path):
    """Missing files, directories and pipes raise at once; a pipe is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    paths = {
        str(tmp_path / "missing"): errno.ENOENT,
        str(tmp_path): errno.EISDIR,
        str(tmp_path / "pipe"): errno.EINVAL,
    }
    with memo_at(tmp_path / "state") as memo:
        for path, number in paths.items():
            with pytest.raises(OSError, match=f"Errno {number}"):
                memo.digest(path)
        many = memo.digest_many(paths)
    assert {path: error.errno for path, error in many.items() if isinstance(error, OSError)} == paths


def test_many_files_have_the_digests_of_each(tmp_path: Path):
    """Small and large files together, the large ones hashed by threads."""
    contents = {str(tmp_path / str(size)): b"x" * size for size in (0, 1, 70_000, 8 << 20, 9 << 20)}
    for path, content in contents.items():
        Path(path).write_bytes(content)
    with memo_at(tmp_path / "state") as memo:
        assert memo.digest_many(contents) == {path: digest_bytes(it) for path, it in contents.items()}


def test_a_file_that_never_rests_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file written all the while it is hashed gives an error instead of a digest of no state it ever had."""
    file = tmp_path / "log"
    file.touch()

    def digest_while_written(descriptor: int, size: int) -> Digest:
        digest = digest_descriptor(descriptor, size)
        with open(file, "ab") as stream:
            stream.write(b"x")
        return digest

    monkeypatch.setattr(stamps, "digest_descriptor", digest_while_written)
    with memo_at(tmp_path / "state") as memo, pytest.raises(UnstableFileError):
        memo.digest(str(file))


def test_a_directory_is_listed_with_the_targets_of_its_links(tmp_path: Path):
    """Nested files, links to files and directories, x bits and names as they are; and empty folders."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far").write_text("far")
    out = tmp_path / "out"
    (out / "sub" / "empty").mkdir(parents=True)
    (out / "sub" / "script").write_text("run")
    (out / "sub" / "script").chmod(0o755)
    (out / "é").write_text("composed")
    (out / "e\u0301").write_text("decomposed")
    (out / "link").symlink_to(out / "é")
    (out / "there").symlink_to(tmp_path / "elsewhere")
    expected = (
        ListedFile("é", digest_bytes(b"composed"), 8, executable=False),
        ListedFile("e\u0301", digest_bytes(b"decomposed"), 10, executable=False),
        ListedFile("link", digest_bytes(b"composed"), 8, executable=False),
        ListedFile("sub/script", digest_bytes(b"run"), 3, executable=True),
        ListedFile("there/far", digest_bytes(b"far"), 3, executable=False),
    )
    with memo_at(tmp_path / "state") as memo:
        assert memo.listing(str(out)) == tuple(sorted(expected, key=lambda file: file.path))
        assert memo.digest_directory(str(out)) == digest_listing(
            ((file.path, file.digest, file.executable) for file in expected), ["sub/empty"]
        )


def test_a_name_that_is_not_unicode_is_hashed_each_time(tmp_path: Path):
    """Bytes that are no UTF-8 in a name are no reason to fail, only not to remember."""
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.symlink(AT_REST, name)
    with memo_at(tmp_path / "state") as memo:
        assert memo.digest(name) == digest_file(AT_REST)
    assert remembered(tmp_path / "state") == {}


@pytest.mark.parametrize(
    ("target", "number"), [(".", errno.ELOOP), ("..", errno.ELOOP), ("missing", errno.ENOENT)]
)
def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, target: str, number: int):
    """Circles and dangling links in a directory raise instead of going on for ever or being left out."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(target)
    with memo_at(tmp_path / "state") as memo, pytest.raises(OSError, match=f"Errno {number}"):
        memo.digest_directory(str(tmp_path / "out"))


def test_identities_are_kept_by_digest_and_schema(tmp_path: Path):
    """A text is found by both names, before and after flushing, and by no other."""
    one, two = Digest("1" * 32), Digest("2" * 32)
    memo = IdentityMemo(str(tmp_path))
    memo.put(one, "notebook/1/3.12", "first\0\n")
    memo.put(two, "notebook/1/3.13", "")
    assert memo.get(one, "notebook/1/3.12") == "first\0\n"
    assert memo.get(two, "notebook/1/3.13") == ""
    memo.flush()
    memo.close()
    memo = IdentityMemo(str(tmp_path))
    names = [(digest, schema) for digest in (one, two) for schema in ("notebook/1/3.12", "notebook/1/3.13")]
    found = [memo.get(digest, schema) for digest, schema in names]
    memo.close()
    assert found == ["first\0\n", None, None, ""]
