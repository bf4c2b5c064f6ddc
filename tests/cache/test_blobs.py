"""Blobs are what their names say, whoever writes, whatever breaks."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag_cache.blobs import (
    BlobDamagedError,
    BlobMissingError,
    BlobStore,
    BlobTooLargeError,
    StoredFile,
)
from nbmake_dag_cache.digest import Sha256, digest_bytes
from tests.support.examples import examples

NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."})
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    st.tuples(st.binary(max_size=2_000), st.booleans()),
    max_size=6,
).filter(lambda tree: not any(path[:length] in tree for path in tree for length in range(1, len(path))))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def blob_path(root: Path, sha256: str) -> Path:
    return root / "blobs" / sha256[:2] / sha256


@examples(50)
@given(tree=TREES)
def test_any_tree_comes_back_as_it_was(tree: dict[tuple[str, ...], tuple[bytes, bool]]):
    """put_file then restore is the identity on contents and x bits, for any names."""
    with tempfile.TemporaryDirectory() as folder:
        store = BlobStore(f"{folder}/cache")
        for path, (content, executable) in tree.items():
            source = Path(folder, "source")
            source.write_bytes(content)
            stored = store.put_file(str(source))
            store.restore(stored.sha256, os.path.join(folder, "out", *path), executable=executable)
        restored = {
            path.relative_to(folder).parts[1:]: (path.read_bytes(), os.access(path, os.X_OK))
            for path in Path(folder, "out").rglob("*")
            if path.is_file()
        }
        assert tree == restored


@given(content=st.binary(max_size=5_000))
@examples(50)
def test_bytes_and_file_of_the_same_content_are_one_blob(content: bytes):
    """put_bytes and put_file agree on names, digests and sizes, and store once."""
    with tempfile.TemporaryDirectory() as folder:
        store = BlobStore(f"{folder}/cache")
        Path(folder, "source").write_bytes(content)
        expected = StoredFile(
            sha256=Sha256(hashlib.sha256(content).hexdigest()), xxh3=digest_bytes(content), size=len(content)
        )
        assert expected == store.put_bytes(content) == store.put_file(f"{folder}/source")
        assert content == store.read(expected.sha256, len(content))
        assert len(content) == store.size(expected.sha256)
        assert [f"blobs/{expected.sha256[:2]}/{expected.sha256}"] == files_in(Path(folder, "cache"))


def test_every_damage_of_a_blob_is_found_and_removed(tmp_path: Path):
    """Each truncation and each flipped bit is an error in read and in restore, and the destination stays."""
    store = BlobStore(str(tmp_path / "cache"))
    content = bytes(range(40))
    name = store.put_bytes(content).sha256
    path, destination = blob_path(tmp_path / "cache", name), tmp_path / "out"
    destination.write_text("old")
    damaged = [content[:length] for length in range(len(content))]
    damaged += [
        content[:position] + bytes([content[position] ^ (1 << bit)]) + content[position + 1 :]
        for position in range(len(content))
        for bit in range(8)
    ]
    damaged += [content + b"x"]
    for wrong in damaged:
        path.write_bytes(wrong)
        assert not store.is_sound(name)
        with pytest.raises(BlobDamagedError):
            store.read(name, 1_000)
        assert not path.exists()
        path.write_bytes(wrong)
        with pytest.raises(BlobDamagedError):
            store.restore(name, str(destination))
        assert not store.has(name)
    assert destination.read_text() == "old"
    assert files_in(tmp_path) == ["out"]


@pytest.mark.parametrize("damage", [b"", b"Whole", b"whole and more"])
@pytest.mark.parametrize("way", ["bytes", "file"])
def test_a_damaged_blob_is_written_again(tmp_path: Path, damage: bytes, way: str):
    """Whoever puts bytes has them stored, whatever lay under their name: a file of the user is then removed."""
    store = BlobStore(str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.write_bytes(b"whole")

    def put() -> str:
        return (store.put_bytes(b"whole") if way == "bytes" else store.put_file(str(source))).sha256

    name = put()
    path = blob_path(tmp_path / "cache", name)
    path.unlink()
    path.write_bytes(damage)
    assert put() == name
    assert store.read(name, 10) == b"whole"


@pytest.mark.parametrize("way", ["bytes", "file"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_counts_as_a_missing_blob(tmp_path: Path, make: Callable[[Path], None], way: str):
    """A folder or a pipe in the place of a blob is neither read nor waited for, and gives way to its bytes."""
    store = BlobStore(str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.touch()
    name = store.put_bytes(b"").sha256
    path = blob_path(tmp_path / "cache", name)
    path.unlink()
    make(path)
    assert not store.is_sound(name)
    with pytest.raises(BlobMissingError):
        store.read(name, 10)
    assert (store.put_bytes(b"") if way == "bytes" else store.put_file(str(source))).sha256 == name
    assert store.is_sound(name)


def test_a_present_blob_is_not_rewritten_but_made_young(tmp_path: Path):
    """Putting bytes again keeps the file, and spares it from retention for a while."""
    store = BlobStore(str(tmp_path))
    path = blob_path(tmp_path, store.put_bytes(b"same").sha256)
    os.utime(path, (1, 1))
    before = path.stat()
    store.put_bytes(b"same")
    after = path.stat()
    assert before.st_ino == after.st_ino
    assert after.st_mtime > 1_000_000


@pytest.mark.parametrize("name", ["0" * 64, "", "../../outside", "/etc/passwd", "A" * 64, "0" * 64 + "\n"])
def test_a_name_without_a_blob_is_missing(tmp_path: Path, name: str):
    """Names that are no SHA-256 reach no file, and nothing is removed for them."""
    outside = tmp_path / "outside"
    outside.write_text("keep")
    store = BlobStore(str(tmp_path / "a" / "cache"))
    (tmp_path / "a" / "cache" / "blobs").mkdir(parents=True)
    assert not store.has(name)
    with pytest.raises(BlobMissingError):
        store.read(name, 10)
    with pytest.raises(BlobMissingError):
        store.restore(name, str(tmp_path / "out"))
    assert files_in(tmp_path) == ["outside"]


def test_a_reader_can_limit_the_size(tmp_path: Path):
    """A blob larger than allowed is not loaded, and stays."""
    store = BlobStore(str(tmp_path))
    name = store.put_bytes(b"12345").sha256
    with pytest.raises(BlobTooLargeError):
        store.read(name, 4)
    assert store.read(name, 5) == b"12345"


@pytest.mark.parametrize(
    ("umask", "plain", "executable", "blob"),
    [(0o022, 0o644, 0o755, 0o444), (0o077, 0o600, 0o700, 0o400), (0o002, 0o664, 0o775, 0o444)],
)
def test_modes_follow_the_umask(tmp_path: Path, umask: int, plain: int, executable: int, blob: int):
    """Restored files can be written by whom the umask allows; blobs by nobody."""
    previous = os.umask(umask)
    try:
        store = BlobStore(str(tmp_path / "cache"))
        name = store.put_bytes(b"x").sha256
        store.restore(name, str(tmp_path / "plain"))
        store.restore(name, str(tmp_path / "executable"), executable=True)
        (tmp_path / "y").write_bytes(b"y")
        other = store.put_file(str(tmp_path / "y")).sha256
    finally:
        os.umask(previous)
    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (
            tmp_path / "plain",
            tmp_path / "executable",
            blob_path(tmp_path / "cache", name),
            blob_path(tmp_path / "cache", other),
        )
    ]
    assert modes == [plain, executable, blob, blob]


def test_a_restored_file_shares_nothing_with_its_blob(tmp_path: Path):
    """Writing into a restored file in place leaves the blob whole."""
    store = BlobStore(str(tmp_path / "cache"))
    name = store.put_bytes(b"original").sha256
    store.restore(name, str(tmp_path / "out"))
    with open(tmp_path / "out", "r+b") as file:
        file.write(b"scribble")
    assert store.is_sound(name)


def test_a_restore_reaches_another_file_system(tmp_path: Path):
    """No file can be renamed to there, and nothing half written is left."""
    store = BlobStore(str(tmp_path / "cache"))
    name = store.put_bytes(b"far").sha256
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        assert os.stat(other).st_dev != os.stat(tmp_path).st_dev
        store.restore(name, f"{other}/folder/out")
        assert files_in(Path(other)) == ["folder/out"]
        assert Path(other, "folder/out").read_bytes() == b"far"
    assert files_in(tmp_path / "cache/tmp") == []


DIES_BEFORE_ITS_LAST_STEP = """
import os, sys
from nbmake_dag_cache.blobs import BlobStore

os.replace = lambda *_: os.kill(os.getpid(), 9)
BlobStore(sys.argv[1]).restore(sys.argv[2], sys.argv[3])
"""


def test_a_killed_restore_leaves_nothing_beside_its_file(tmp_path: Path):
    """What it had written is where the cache is swept."""
    root = tmp_path / "cache"
    name = BlobStore(str(root)).put_bytes(b"x" * 5_000).sha256
    killed = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_ITS_LAST_STEP, str(root), name, str(tmp_path / "out/file")], check=False
    )
    assert killed.returncode == -9
    assert files_in(tmp_path / "out") == []
    assert [path.stat().st_size for path in (root / "tmp").iterdir()] == [5_000]


def test_a_source_that_changes_while_it_is_put_gives_a_sound_blob(tmp_path: Path):
    """Whatever mixture of states was read, the blob is named by it."""
    source, stop = tmp_path / "source", threading.Event()
    source.write_bytes(bytes(8 << 20))

    def scribble() -> None:
        with open(source, "r+b", buffering=0) as file:
            while not stop.is_set():
                file.seek(0)
                file.write(os.urandom(8 << 20))

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        store = BlobStore(str(tmp_path / "cache"))
        names = {store.put_file(str(source)).sha256 for _ in range(10)}
        while len(names) < 2:
            names.add(store.put_file(str(source)).sha256)
    finally:
        stop.set()
        writer.join()
    assert all(store.is_sound(name) for name in names)


HAMMER = """
import random, sys
from nbmake_dag_cache.blobs import BlobMissingError, BlobStore

root, seed = sys.argv[1:]
store, chance = BlobStore(root + "/cache"), random.Random(seed)
for _ in range(1250):
    number = chance.randrange(50)
    stored = store.put_bytes(b"%d" % number * 1000)
    assert store.read(stored.sha256, 10_000) == b"%d" % number * 1000
    if chance.random() < 0.1:
        store.restore(stored.sha256, f"{root}/out/{number}")
        store.put_file(f"{root}/out/{number}")
"""


@pytest.mark.fault
def test_eight_processes_put_and_read_the_same_blobs(tmp_path: Path):
    """Ten thousand concurrent puts, reads and restores: no error, no torn read, no file left over."""
    workers = [subprocess.Popen([sys.executable, "-c", HAMMER, str(tmp_path), str(seed)]) for seed in range(8)]
    assert [worker.wait() for worker in workers] == [0] * 8
    store = BlobStore(str(tmp_path / "cache"))
    names = [name.rpartition("/")[2] for name in files_in(tmp_path / "cache")]
    assert len(names) == 50
    assert all(store.is_sound(name) for name in names)
    assert len(files_in(tmp_path / "out")) <= 50


FULL = """
import os, resource, sys
from nbmake_dag_cache.blobs import BlobStore

root = sys.argv[1]
store = BlobStore(root + "/cache")
name = store.put_bytes(bytes(5000)).sha256
open(root + "/source", "wb").write(bytes(range(250)) * 20)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
for attempt in (
    lambda: store.put_bytes(b"x" * 5000),
    lambda: store.put_file(root + "/source"),
    lambda: store.restore(name, root + "/out"),
):
    try:
        attempt()
    except OSError:
        print("refused")
"""


def test_no_room_is_an_error_that_leaves_nothing_behind(tmp_path: Path):
    """When the system refuses a write, the error passes on and the half-written file is gone."""
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=True, capture_output=True, text=True)
    assert done.stdout == "refused\n" * 3
    (blob,) = files_in(tmp_path / "cache")
    assert blob.startswith("blobs/")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["source"]


def test_memory_stays_flat_for_large_files(tmp_path: Path):
    """Putting and restoring 64 MiB takes a few MiB of memory."""
    with open(tmp_path / "large", "wb") as file:
        file.truncate(64 << 20)
    store = BlobStore(str(tmp_path / "cache"))
    tracemalloc.start()
    try:
        stored = store.put_file(str(tmp_path / "large"))
        store.restore(stored.sha256, str(tmp_path / "out"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stored.size == 64 << 20
    assert peak < 8 << 20
