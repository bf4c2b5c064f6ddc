"""Attestations: who signed says what made a file, and whatever is changed afterwards is found."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag.commands.verify import NotVerifiedError, signed_statement
from nbmake_dag.core import reasons
from nbmake_dag_cache import dsse
from nbmake_dag_cache.signatures import Signer
from nbmake_dag_reporting import attestation
from tests.support.project import Project

SIGNER, PRIVATE = Signer.new()
PUBLIC = SIGNER.public_key
KEY = {"NBDAG_CACHE_SIGNING_KEY": PRIVATE}


@pytest.fixture(scope="module")
def attested(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build two files with a parameter, and export what was signed about them."""
    project = Project(tmp_path_factory.mktemp("attested") / "project").pipeline(
        """
        [software]
        variables = ["LANG"]

        [tasks.make]
        command = "echo {size} > a.txt; cat in.txt > b.txt"
        inputs = ["in.txt"]
        outputs = ["a.txt", "b.txt"]
        parameters = { size = 3 }
        """
    )
    project.write("in.txt", "x").commit()
    project.build().ran("make")
    done = project.nbdag("export", "--attest", "run.intoto.jsonl", env=KEY)
    assert (done.returncode, done.stdout) == (0, "run.intoto.jsonl\n"), done.stderr
    return project


def test_elsewhere_a_file_is_verified(attested: Project, tmp_path: Path) -> None:
    """Without a repository; the commit, the inputs and the parameters are those of the run."""
    place = Project(tmp_path / "elsewhere")
    for name in ("a.txt", "run.intoto.jsonl"):
        shutil.copy(attested / name, place.root)
    arguments = ("verify", "a.txt", "--attestation", "run.intoto.jsonl")
    done = place.nbdag(*arguments, "--public-key", PUBLIC, "--json")
    found = json.loads(done.stdout)
    assert (found["file"], found["task"], found["parameters"]) == ("a.txt", "make", {"size": 3})
    assert found["commit"] == attested.git("rev-parse", "HEAD").strip()
    assert found["uncommitted"] is False
    assert [row[:2] for row in found["inputs"]] == [["input", "in.txt"]]
    assert [row[:2] for row in found["software"]] == [["variable", "LANG"]]
    text = place.nbdag(*arguments, "--public-key", PUBLIC).stdout
    assert text.startswith("a.txt is a.txt, made by task make of ")
    unknown = place.nbdag(*arguments)
    assert (unknown.returncode, unknown.stderr.splitlines()[0]) == (
        1,
        "error: nobody's key is known, so nothing can be verified",
    )


@pytest.mark.slow
def test_changes_in_no_commit_are_said(attested: Project, tmp_path: Path) -> None:
    """Of the run that made the bytes, also where a later one reuses them; and that it is not known."""
    project = Project.copied(attested.root, tmp_path / "dirty").edit("pipeline.toml", "size = 3", "size = 4")
    executed = project.build().ran("make").summary["run_id"]
    project.build().ran()
    for said in (", with uncommitted changes\n", ", perhaps with uncommitted changes\n"):
        project.nbdag("export", "--attest", "a.jsonl", env=KEY)
        done = project.nbdag("verify", "a.txt", "--attestation", "a.jsonl", "--public-key", PUBLIC)
        assert said in done.stdout, done
        shutil.rmtree(project / ".nbdag/runs" / executed, ignore_errors=True)


@pytest.mark.slow
def test_the_keys_of_the_pipeline_count(attested: Project) -> None:
    """And what cannot be signed is refused."""
    project = Project.copied(attested.root, attested.root.parent / "configured")
    project.write(
        "pipeline.toml", f'[cache]\nremote = "x"\npublic_keys = ["{PUBLIC}"]\n{project.read("pipeline.toml")}'
    )
    assert project.nbdag("verify", "b.txt", "--attestation", "run.intoto.jsonl").returncode == 0
    unsigned = project.nbdag("export", "--attest", "other.jsonl")
    assert (unsigned.returncode, "NBDAG_CACHE_SIGNING_KEY is not set" in unsigned.stderr) == (2, True)
    assert project.nbdag("export", "--bundle", "run.json").returncode == 0
    foreign = project.nbdag("export", "run.json", "--attest", "other.jsonl", env=KEY)
    assert (foreign.returncode, "is attested where it ran" in foreign.stderr) == (2, True), foreign.stderr


def test_the_envelope_is_that_of_the_standard(attested: Project) -> None:
    """Checked with the algorithm as it is published, and not with our own code."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for line in (attested / "run.intoto.jsonl").read_text().splitlines():
        envelope = json.loads(line)
        payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
        signed = b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(PUBLIC))
        key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)
        statement = json.loads(payload)
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
        name, digest = statement["subject"][0]["name"], statement["subject"][0]["digest"]["sha256"]
        assert hashlib.sha256((attested / name).read_bytes()).hexdigest() == digest
        assert set(statement["predicate"]) == {"buildDefinition", "runDetails"}


def test_each_kind_of_ingredient_has_its_place() -> None:
    """Code, inputs and software are shown as such; the rest says how the task was declared."""
    placed = {*attestation._CODE, *attestation._SOFTWARE, "input", "gathered", "read", "parameter"}
    assert {*reasons._ORDER, *reasons._KINDS} - placed == {"secret", "output", "named", "origin"}
    assert placed - {*reasons._ORDER, *reasons._KINDS} == set()


def _in(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of one value of a statement."""

    def change(statement: dict[str, Any]) -> None:
        at: Any = statement
        for part in path[:-1]:
            at = at[part]
        assert at[path[-1]] != to
        at[path[-1]] = to

    return change


_OUTER = ("predicate", "buildDefinition", "externalParameters")
_INNER = ("predicate", "buildDefinition", "internalParameters")
STATEMENTS = [
    _in("_type", to="https://in-toto.io/Statement/v0.1"),
    _in("predicateType", to="https://slsa.dev/provenance/v0.2"),
    _in("subject", 0, "name", to="b.txt"),
    _in("subject", 0, "digest", "sha256", to="0" * 64),
    _in("subject", to=[]),
    _in("predicate", "buildDefinition", "buildType", to="urn:other"),
    _in("predicate", "buildDefinition", "resolvedDependencies", to=[]),
    _in("predicate", "buildDefinition", "resolvedDependencies", 0, "uri", to="git+https://evil.example/x"),
    _in("predicate", "buildDefinition", "resolvedDependencies", 0, "digest", "gitCommit", to="0" * 40),
    _in("predicate", "buildDefinition", "resolvedDependencies", 0, "annotations", "uncommitted", to=True),
    _in("predicate", "runDetails", "metadata", "invocationId", to="another"),
    _in("predicate", "runDetails", "metadata", "startedOn", to="2020-01-01T00:00:00Z"),
    _in("predicate", "runDetails", "builder", "id", to="urn:evil"),
    *(_in(*_OUTER, name, to="another") for name in ("pipeline", "task", "type", "path")),
    _in(*_OUTER, "parameters", "size", to=4),
    _in(*_OUTER, "parameters", to={}),
    _in(*_INNER, "key", to="0" * 32),
    *(_in(*_INNER, name, to=[["input", "x", "0"]]) for name in ("code", "inputs", "software", "others")),
    _in(*_INNER, "inputs", 0, 2, to="0" * 32),
]


def _text(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda line: line.replace(old.encode(), new.encode(), 1)


def _member(name: str, change: Callable[[str], Any]) -> Callable[[bytes], bytes]:
    def changed(line: bytes) -> bytes:
        envelope = json.loads(line)
        at = envelope if name in envelope else envelope["signatures"][0]
        at[name] = change(at[name])
        return json.dumps(envelope).encode() + b"\n"

    return changed


def _flipped(place: int) -> Callable[[str], str]:
    def flip(text: str) -> str:
        data = bytearray(base64.b64decode(text))
        data[place] ^= 1
        return base64.b64encode(data).decode()

    return flip


ENVELOPES = [
    _text("payloadType", "payloadtype"),
    _text("application/vnd.in-toto+json", "application/json"),
    _text('"keyid":"', '"keyid":"0'),
    _text("{", '{"payload":"",'),
    _text("}", ',"more":1}'),
    _member("keyid", lambda _: ""),
    _member("keyid", lambda _: "0" * 64),
    _member("sig", lambda _: ""),
    _member("sig", lambda text: text[:-4]),
    _member("sig", _flipped(0)),
    _member("sig", _flipped(63)),
    _member("sig", lambda text: text.rstrip("=") + "="),
    _member("payload", _flipped(0)),
    _member("payload", _flipped(-1)),
    _member("payload", lambda text: text + "\n"),
    _member("payload", lambda _: ""),
    _member("signatures", lambda _: []),
    _member("signatures", lambda found: found * 2),
    lambda line: line[: len(line) // 2],
    lambda line: line[:-1],
    lambda _: b"",
    lambda _: b"\n",
    lambda _: b"\xff\xfe\n",
    lambda _: b"[" * 100_000 + b"\n",
]


def test_there_are_forty_tamperings_and_more() -> None:
    assert len(STATEMENTS) + len(ENVELOPES) > 40


def signed(line: bytes, keys: tuple[str, ...] = (PUBLIC,)) -> str:
    sha256 = hashlib.sha256(b"3\n").hexdigest()
    return signed_statement(dsse, line, sha256, keys)[0].file


@pytest.fixture
def line(attested: Project) -> bytes:
    found = (attested / "run.intoto.jsonl").read_bytes().splitlines(keepends=True)[0]
    assert signed(found) == "a.txt"
    return found


@pytest.mark.parametrize("change", STATEMENTS)
def test_a_changed_statement_is_found(line: bytes, change: Callable[[dict[str, Any]], None]) -> None:
    """Its signature is of other bytes, and of somebody else where it was signed anew."""
    envelope = json.loads(line)
    statement = json.loads(base64.b64decode(envelope["payload"]))
    change(statement)
    payload = json.dumps(statement, separators=(",", ":")).encode()
    envelope["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(NotVerifiedError):
        signed(json.dumps(envelope).encode() + b"\n")
    with pytest.raises(NotVerifiedError):
        signed(dsse.sign([payload], Signer.new()[1]))


@pytest.mark.parametrize("change", ENVELOPES)
def test_a_changed_envelope_is_found(line: bytes, change: Callable[[bytes], bytes]) -> None:
    """Also where a decoder of another kind would read the same from it."""
    changed = change(line)
    assert changed != line
    with pytest.raises(NotVerifiedError):
        signed(changed)


def test_of_several_files_with_the_same_bytes_the_one_of_the_name_is_meant(line: bytes) -> None:
    """And all of the attestation must be sound."""
    statement = json.loads(base64.b64decode(json.loads(line)["payload"]))
    _in("subject", 0, "name", to="sub/other.txt")(statement)
    both = line + dsse.sign([json.dumps(statement).encode()], PRIVATE)
    sha256 = hashlib.sha256(b"3\n").hexdigest()
    for name, file in (("a.txt", "a.txt"), ("other.txt", "sub/other.txt"), ("renamed.txt", "a.txt")):
        assert signed_statement(dsse, both, sha256, (PUBLIC,), name)[0].file == file
    with pytest.raises(NotVerifiedError):
        signed(both + b"{}\n")


def test_other_bytes_and_other_keys_are_not_verified(line: bytes) -> None:
    """The file may be the one that was changed; of two keys one is enough."""
    with pytest.raises(NotVerifiedError):
        signed_statement(dsse, line, hashlib.sha256(b"4\n").hexdigest(), (PUBLIC,))
    other = Signer.new()[0].public_key
    with pytest.raises(NotVerifiedError):
        signed(line, (other,))
    assert signed(line, (other, PUBLIC)) == "a.txt"
