"""A shared cache in a bucket, over HTTP, with moto's server at the other end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from nbmake_dag_cache.remote import Limits, Remote, RemoteError
from tests.cache.sharing import RECORD_NAME, TABLE, TABLE_NAME, Clone, make_record
from tests.support.buckets import bucket_called

LIMITS = Limits(operation=60)
BUCKET = "nbdag-test"


@pytest.fixture
def bucket(monkeypatch) -> Iterator[object]:
    """Serve an empty bucket, and let clients of this process find it."""
    with bucket_called(BUCKET) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        resource: Any = boto3.resource("s3")
        yield resource.Bucket(BUCKET)


def test_a_bucket_holds_a_shared_cache(tmp_path: Path, bucket):
    """One clone publishes, another takes; what is there is not sent again; a short or empty blob is replaced."""
    url = f"s3://{BUCKET}/team/cache"
    one, two = Clone(tmp_path / "one", url, limits=LIMITS), Clone(tmp_path / "two", url, limits=LIMITS)
    record = one.publish()
    assert (two.find(), two.blobs.read(TABLE_NAME, 100), two.remote.errors) == (record, TABLE, [])
    blob = bucket.Object(f"team/cache/main/blobs/{TABLE_NAME[:2]}/{TABLE_NAME}")
    written = blob.last_modified
    one.publish()
    blob.reload()
    assert blob.last_modified == written
    for damaged in (TABLE[:2], b""):
        blob.put(Body=damaged)
        one.publish()
        assert (blob.get()["Body"].read(), one.remote.errors) == (TABLE, [])


def test_broken_objects_in_a_bucket_are_refused(tmp_path: Path, bucket):
    """Truncated, replaced, missing: each is a miss that is counted."""
    url = f"s3://{BUCKET}/c"
    Clone(tmp_path / "one", url, limits=LIMITS).publish()
    blob = bucket.Object(f"c/main/blobs/{TABLE_NAME[:2]}/{TABLE_NAME}")
    record = bucket.Object(f"c/main/records/{RECORD_NAME[:2]}/{RECORD_NAME}.json")
    found: dict[str, int] = {}
    for body in (b"", TABLE[:-1], TABLE + b"x", TABLE[::-1]):
        blob.put(Body=body)
        clone = Clone(tmp_path / f"b{len(body)}{body[:1]!r}", url, limits=LIMITS)
        assert (clone.find(), clone.remote.errors) == (None, [])
        found |= clone.shared.refused
    for body in (b"", b"{}", b"\xff"):
        record.put(Body=body)
        clone = Clone(tmp_path / f"r{len(body)}{body!r}", url, limits=LIMITS)
        assert clone.find() is None
        assert (clone.shared.refused.total(), clone.remote.errors) == (1, [])
    assert set(found) == {"blob not of its size", "damaged blob"}


@pytest.mark.slow
def test_a_large_blob_goes_and_comes_in_parts(tmp_path: Path, bucket):
    """A multipart upload and several requests for parts give the same bytes."""
    url = f"s3://{BUCKET}/large"
    table = os.urandom(1 << 20) * 20
    one, two = Clone(tmp_path / "one", url, limits=LIMITS), Clone(tmp_path / "two", url, limits=LIMITS)
    for clone in (one, two):
        clone.shared._max_size = 1 << 30
    record = make_record(blobs=one.blobs, table=table)
    one.shared.publish(record, one.blobs)
    assert two.find() == record
    assert two.blobs.read(record.outputs[0].files[0].sha256, 1 << 30) == table


def test_a_bucket_that_does_not_exist_is_an_error_of_the_writer(tmp_path: Path, bucket):
    """A reader finds nothing there, a writer is told."""
    clone = Clone(tmp_path / "one", "s3://nobody-made-this/c", limits=LIMITS)
    assert clone.find() is None
    with pytest.raises(RemoteError, match="nowhere to write"):
        clone.shared.publish(make_record(blobs=clone.blobs), clone.blobs)


def test_one_of_many_creates_an_object(bucket):
    """The others are told that it is there; when it was removed, one may again."""
    remote = Remote(f"s3://{BUCKET}/c", LIMITS)
    assert [remote.create("claims/a.json", b"1"), remote.create("claims/a.json", b"2")] == [True, False]
    assert remote.read("claims/a.json", 10) == b"1"
    remote.remove("claims/a.json")
    remote.remove("claims/a.json")
    assert remote.create("claims/a.json", b"3")
    assert remote.errors == []
