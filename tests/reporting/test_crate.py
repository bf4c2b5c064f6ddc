"""A run as an RO-Crate: what is in it, and that no name leads out of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from msgspec.structs import replace

from nbmake_dag_reporting.crate import NothingToDescribeError
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets
from tests.reporting.crates import HOSTILE, hostile, hostile_crate, sha256


def graph(crate: Path) -> dict[str, dict[str, Any]]:
    """Return the entities of a crate by their names; no two have the same."""
    entities = json.loads((crate / "ro-crate-metadata.json").read_bytes())["@graph"]
    found = {entity["@id"]: entity for entity in entities}
    assert len(found) == len(entities)
    return found


def references(value: Any) -> list[str]:
    """Return the names of all entities that are referred to."""
    if isinstance(value, list):
        return [name for each in value for name in references(each)]
    if isinstance(value, dict):
        own = [value["@id"]] if set(value) == {"@id"} else []
        return [*own, *(name for each in value.values() for name in references(each))]
    return []


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    above = tmp_path_factory.mktemp("above") / "deep" / "deeper"
    hostile_crate(above / "crate")
    assert [path.name for path in above.iterdir()] == ["crate"]
    assert [path.name for path in above.parent.iterdir()] == ["deeper"]
    return above / "crate"


def test_hostile_names_stay_inside_and_each_file_is_described(crate: Path) -> None:
    """What lies in the folder and what the metadata say are the same, also their digests."""
    described = {
        unquote(name): entity
        for name, entity in graph(crate).items()
        if "File" in entity["@type"] and not name.startswith(("#", "http"))
    }
    lying = {str(path.relative_to(crate)) for path in crate.rglob("*") if path.is_file()}
    assert lying == {*described, "ro-crate-metadata.json"}
    assert not any(path.is_symlink() for path in crate.rglob("*"))
    for name, entity in described.items():
        data = (crate / name).read_bytes()
        assert (entity["sha256"], entity["contentSize"]) == (sha256(data), str(len(data))), name
    names = {name.encode("utf-8", "backslashreplace").decode() for name in HOSTILE}
    assert names <= {entity["name"] for entity in described.values()}


def test_what_is_referred_to_is_described(crate: Path) -> None:
    """But for the version of the specification."""
    found = graph(crate)
    loose = {name for entity in found.values() for name in references(entity) if name not in found}
    assert {name.rpartition("/")[0] for name in loose} == {"https://w3id.org/ro/crate"}


def test_actions_say_what_happened(crate: Path) -> None:
    """A failure has its error without the paths of the machine; a result that was reused is of its own run."""
    found = graph(crate)
    actions = {each["name"]: each for each in found.values() if each["@type"] == "CreateAction"}
    assert "skipped" not in actions
    assert "damaged" not in actions
    failed, hit = actions["failed"], actions["hit"]
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert failed["error"].startswith("ValueError: no …/data")
    assert hit["description"] == "Executed in run ../..; run r1 reused the result."
    assert "startTime" not in hit, "no calendar has it"
    ran = actions["../../up"]
    assert ran["startTime"] == "2001-09-09T01:46:40.000+00:00"
    assert found[ran["agent"]["@id"]]["name"] == "../me <script>"
    used = [found[each["@id"]] for each in ran["object"]]
    assert {each["value"] for each in used if each["@type"] == "PropertyValue"} == {"NaN"}
    assert {each["name"] for each in used if each["@type"] == "File"} >= {"https://example.org/data.csv?token=..."}


def test_a_file_that_is_gone_is_described_and_named(tmp_path: Path) -> None:
    """Its digest and size are known still."""
    gone = hostile_crate(tmp_path / "crate", replace(hostile(), blob=lambda _: None))
    assert set(HOSTILE) <= set(gone)
    found = [each for each in graph(tmp_path / "crate").values() if each.get("name") == "../../up"]
    file = next(each for each in found if each["@type"] == "File" and "sha256" in each)
    assert (file["sha256"], file["contentSize"]) == (sha256(b"content 0"), "9")
    assert file["@id"].startswith("#file/")


def test_a_secret_is_refused_and_what_looks_like_one_left_out(tmp_path: Path) -> None:
    """Nothing half is left."""
    with pytest.raises(SecretFoundError):
        hostile_crate(tmp_path / "crate", secrets=Secrets({"TOKEN": "javascript:alert(1)"}))
    assert list(tmp_path.iterdir()) == []
    gone = hostile_crate(tmp_path / "crate", secrets=Secrets({}, suspected={"A_KEY": "content 3"}))
    assert HOSTILE[3] in gone
    assert not any(b"content 3" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_run_that_did_nothing_has_no_crate(tmp_path: Path) -> None:
    """The profile describes executions."""
    recorded = hostile()
    tasks = {name: task for name, task in recorded.run.tasks.items() if name in {"skipped", "damaged"}}
    with pytest.raises(NothingToDescribeError):
        hostile_crate(tmp_path / "crate", replace(recorded, run=replace(recorded.run, tasks=tasks)))
    assert list(tmp_path.iterdir()) == []
