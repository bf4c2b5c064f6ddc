"""One file holds a run with all that it names, and nothing that was changed is believed."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nbmake_dag_reporting.bundle import BundleError, blobs_of, read_bundle, write_bundle
from tests.reporting.runs import BLOBS, HIT, recorded, sha256


def test_a_bundle_gives_back_the_run_its_records_and_its_blobs(tmp_path: Path) -> None:
    """Everything but where it lies is the same, also the values of a hit."""
    original = recorded(tmp_path / "r1")
    path = str(tmp_path / "bundle.json")
    assert write_bundle(path, original) == ()
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
    assert set(write_bundle(str(tmp_path / "b.json"), original)) == {sha256("roc"), sha256("plan")}
    assert read_bundle(str(tmp_path / "b.json")).blob(sha256("roc")) is None


def damaged(bundle: dict, how: str) -> dict:
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
        case _:
            del bundle["blobs"]
    return bundle


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("blob", f"was changed: blob {sha256('roc')} is not what its name says"),
        ("base64", "has no bytes for"),
        ("format", "has format 2, this version reads 1"),
        ("trace", "holds no run that can be read"),
        ("missing", "is no bundle"),
    ],
)
def test_a_changed_bundle_is_refused(tmp_path: Path, how: str, message: str) -> None:
    """Whatever was done to a bundle, it is said in one sentence."""
    path = tmp_path / "b.json"
    write_bundle(str(path), recorded(tmp_path / "r1"))
    path.write_text(json.dumps(damaged(json.loads(path.read_text()), how)))
    with pytest.raises(BundleError, match=message):
        read_bundle(str(path))


def test_other_files_are_no_bundles(tmp_path: Path) -> None:
    """Neither text nor other JSON is taken for one."""
    for number, content in enumerate((b"", b"[]", b"\xff\xfe", b"[" * 100_000)):
        (tmp_path / str(number)).write_bytes(content)
        with pytest.raises(BundleError, match="is no bundle"):
            read_bundle(str(tmp_path / str(number)))
