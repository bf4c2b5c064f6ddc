"""One file holds a run with all that it names, and nothing that was changed is believed."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nbmake_dag_reporting.bundle import BundleError, blobs_of, read_bundle, write_bundle
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets
from tests.reporting.runs import BLOBS, HIT, recorded, sha256

NONE = Secrets({})


def test_a_bundle_gives_back_the_run_its_records_and_its_blobs(tmp_path: Path) -> None:
    """Everything but where it lies is the same, also the values of a hit."""
    original = recorded(tmp_path / "r1")
    path = str(tmp_path / "bundle.json")
    assert write_bundle(path, original, NONE) == ()
    bundle = read_bundle(path)
    assert bundle.run == replace(original.run, directory=path)
    assert bundle.run.tasks["hit"].metrics == {"auc": 0.5}
    assert bundle.record("o", "k") == HIT
    assert {name: bundle.blob(name) for name in blobs_of(original.run)} == {
        name: BLOBS[name] for name in (sha256("roc"), sha256("plan"))
    }


def test_what_is_gone_is_named(tmp_path: Path) -> None:
    """A blob that the cache has lost is left out, and said."""
    original = replace(recorded(tmp_path / "r1"), blob=lambda _: None)
    assert set(write_bundle(str(tmp_path / "b.json"), original, NONE)) == {sha256("roc"), sha256("plan")}
    assert read_bundle(str(tmp_path / "b.json")).blob(sha256("roc")) is None


def damaged(bundle: dict[str, Any], how: str) -> dict[str, Any]:
    match how:
        case "blob":
            bundle["blobs"][sha256("roc")] = base64.b64encode(b"other").decode()
        case "base64":
            bundle["blobs"][sha256("roc")] = "§"
        case "format":
            bundle["nbdag_bundle"] = 2
        case "trace":
            bundle["trace"] = ""
        case "record":
            bundle["records"] = {"o/k": {"logged": 1}}
        case "id":
            bundle["trace"] = bundle["trace"].replace('"r1"', '"../../r1"')
        case _:
            del bundle["blobs"]
    return bundle


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("blob", f"was changed: blob {sha256('roc')} does not match its name"),
        ("base64", "has no bytes for"),
        ("format", "has format 2, this version reads 1"),
        ("trace", "holds no run that can be read"),
        ("record", "has no record o/k: Expected `object`, got `int`"),
        ("id", "holds no run that can be read"),
        ("missing", "is not a bundle"),
    ],
)
def test_a_changed_bundle_is_refused(tmp_path: Path, how: str, message: str) -> None:
    """Whatever was done to a bundle, it is said in one sentence."""
    path = tmp_path / "b.json"
    write_bundle(str(path), recorded(tmp_path / "r1"), NONE)
    path.write_text(json.dumps(damaged(json.loads(path.read_text()), how)))
    with pytest.raises(BundleError, match=message):
        read_bundle(str(path))


def test_other_files_are_no_bundles(tmp_path: Path) -> None:
    """Neither text nor other JSON is taken for one."""
    for number, content in enumerate((b"", b"[]", b"\xff\xfe", b"[" * 100_000)):
        (tmp_path / str(number)).write_bytes(content)
        with pytest.raises(BundleError, match="is not a bundle"):
            read_bundle(str(tmp_path / str(number)))


def test_attributes_of_another_type_are_left_out(tmp_path: Path) -> None:
    """What a reader is told has the type that the span contract gives it, whoever wrote the bundle."""
    path = tmp_path / "b.json"
    write_bundle(str(path), recorded(tmp_path / "r1"), NONE)
    bundle = json.loads(path.read_text())
    bundle["trace"] = bundle["trace"].replace('{"stringValue":"p"}', '{"intValue":"5"}')
    path.write_text(json.dumps(bundle))
    assert read_bundle(str(path)).run.pipeline == ""


def test_a_bundle_may_be_gzipped(tmp_path: Path) -> None:
    """It reads the same; one that is cut off is refused."""
    path = tmp_path / "b.json"
    write_bundle(str(path), recorded(tmp_path / "r1"), NONE)
    plain = read_bundle(str(path)).run
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed)
    assert read_bundle(str(path)).run == plain
    path.write_bytes(packed[:-9])
    with pytest.raises(BundleError, match="is not a bundle: Compressed file ended"):
        read_bundle(str(path))


@pytest.mark.parametrize(
    ("secret", "place"),
    [("ran[x=a/b]", "run r1"), ("undeclared", "a record of run r1"), ("roc-roc-roc", "content")],
)
def test_no_bundle_is_written_that_holds_a_secret(tmp_path: Path, secret: str, place: str) -> None:
    """Spans, records and blobs are searched; nothing is written where one has the value."""
    original = replace(recorded(tmp_path / "r1"), blob=lambda _: b"roc-roc-roc")
    path = tmp_path / "b.json"
    with pytest.raises(SecretFoundError, match=place):
        write_bundle(str(path), original, Secrets({"TOKEN": secret}))
    assert not path.exists()


def test_a_bundle_is_not_made_of_a_bundle(tmp_path: Path) -> None:
    """It is one already."""
    path = str(tmp_path / "b.json")
    write_bundle(path, recorded(tmp_path / "r1"), NONE)
    with pytest.raises(BundleError, match="is a bundle already"):
        write_bundle(str(tmp_path / "c.json"), read_bundle(path), NONE)
