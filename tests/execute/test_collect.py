"""Declared outputs become digests and blobs, or one clear complaint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.protocol import Failure
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.digest import digest_bytes, digest_listing
from nbmake_dag_cache.record import Output, OutputFile


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "cache"))


def collect(root: Path, blobs: BlobStore | None, *declared: str) -> tuple[Output, ...] | Failure:
    return collect_outputs(str(root), declared, blobs)


def only_file(path: str, data: bytes, *, executable: bool = False) -> OutputFile:
    import hashlib

    return OutputFile(
        path=path,
        xxh3=digest_bytes(data),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        executable=executable,
    )


def test_a_file_and_a_folder_become_digests_and_blobs(root: Path, blobs: BlobStore) -> None:
    """A folder's digest is over paths below it, contents and x bits, and empty folders in it."""
    (root / "out/below/empty").mkdir(parents=True)
    (root / "model.onnx").write_bytes(b"model")
    (root / "out/b").write_bytes(b"b")
    (root / "out/below/a").write_bytes(b"a")
    (root / "out/below/a").chmod(0o755)
    files = (only_file("out/b", b"b"), only_file("out/below/a", b"a", executable=True))
    entries = [("b", digest_bytes(b"b"), False), ("below/a", digest_bytes(b"a"), True)]
    listing = digest_listing(entries, ["below/empty"])
    model = only_file("model.onnx", b"model")
    expected = (
        Output(path="model.onnx", digest=model.xxh3, files=(model,)),
        Output(path="out/", digest=listing, files=files, folders=("out/below/empty/",)),
    )
    assert collect(root, blobs, "model.onnx", "out/") == expected
    assert [blobs.read(file.sha256, 9) for file in (model, *files)] == [b"model", b"b", b"a"]


def test_without_a_store_the_digests_are_the_same_and_nothing_is_stored(root: Path, blobs: BlobStore) -> None:
    """``store = false`` keeps digests only."""
    (root / "big").write_bytes(b"big")
    unstored = collect(root, None, "big")
    assert not blobs.has(only_file("big", b"big").sha256)
    assert collect(root, blobs, "big") == unstored


def test_every_output_that_is_missing_is_named(root: Path, blobs: BlobStore) -> None:
    """A folder where a file was declared is missing too, and the other way round."""
    (root / "there").touch()
    (root / "folder").mkdir()
    failure = collect(root, blobs, "there", "a", "b/", "folder", "there/")
    assert failure == Failure(type="MissingOutput", message="declared but not written: a, b/, folder, there/")


def test_symlinks_inside_the_project_count_as_their_content(root: Path, blobs: BlobStore) -> None:
    """Links to files and folders, at the top and within a folder, are followed."""
    (root / "real").mkdir()
    (root / "real/file").write_bytes(b"x")
    (root / "out").mkdir()
    (root / "out/file").symlink_to("../real/file")
    (root / "out/folder").symlink_to("../real")
    (root / "top").symlink_to("real/file")
    outputs = collect(root, blobs, "out/", "top")
    assert not isinstance(outputs, Failure)
    assert [file.path for output in outputs for file in output.files] == ["out/file", "out/folder/file", "top"]


def test_a_project_folder_that_is_itself_a_link_is_the_users_choice(root: Path, blobs: BlobStore) -> None:
    """``data`` may lead to another disk; what lies there may link within it."""
    disk = root.parent / "disk"
    disk.mkdir()
    (disk / "real").write_bytes(b"x")
    (disk / "out").symlink_to("real")
    (root / "data").symlink_to(disk)
    assert not isinstance(collect(root, blobs, "data/real", "data/out"), Failure)


@pytest.mark.parametrize("declared", ["link", "folder/"])
def test_a_symlink_out_of_the_project_is_refused(root: Path, blobs: BlobStore, declared: str) -> None:
    """Its content would be cached under a name that does not show where it came from."""
    secret = root.parent / "secret"
    secret.touch()
    (root / "folder").mkdir()
    (root / "link").symlink_to(secret)
    (root / "folder/link").symlink_to("../../secret")
    name = "link" if declared == "link" else "folder/link"
    assert collect(root, blobs, declared) == Failure(
        type="BadOutput", message=f"{name} is a symlink to {secret}, outside the project"
    )


def test_dangling_and_circular_symlinks_are_refused(root: Path, blobs: BlobStore) -> None:
    """Both end, with the link named."""
    (root / "dangling").symlink_to("nothing")
    (root / "circle/below").mkdir(parents=True)
    (root / "circle/below/up").symlink_to("..")
    assert collect(root, blobs, "dangling") == Failure(
        type="BadOutput", message=f"dangling is a symlink to {root}/nothing, which does not exist"
    )
    assert collect(root, blobs, "circle/") == Failure(
        type="BadOutput", message="circle/below/up is a symlink to a folder that holds it"
    )


@pytest.mark.parametrize("declared", ["pipe", "folder/"])
def test_a_fifo_is_refused_without_being_opened(root: Path, blobs: BlobStore, declared: str) -> None:
    """Opening it would wait for ever."""
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    os.mkfifo(root / "folder/pipe")
    name = "pipe" if declared == "pipe" else "folder/pipe"
    assert collect(root, blobs, declared) == Failure(type="BadOutput", message=f"{name} is not a regular file")
