"""Records of past runs from build artefacts, over GitHub's REST API."""

import gzip
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbmake_dag.errors import InfrastructureError, UsageError
from nbmake_dag.runs.fetched import Fetched, fetch
from nbmake_dag.runs.github import GitHub, Patience
from nbmake_dag.runs.places import found_below
from nbmake_dag_reporting.bundle import encode_bundle
from nbmake_dag_reporting.secrets_scan import Secrets
from tests.reporting.runs import recorded
from tests.support.github import FakeGitHub, serving, zipped, zipped_as

TOKEN = "ghs_token-of-the-api"
NOW = 1_800_000_000


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with serving(FakeGitHub()) as github:
        yield github


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encode_bundle(recorded(tmp_path_factory.mktemp("run") / "r1"), Secrets({}))[0]


def named(bundle: bytes, run_id: str) -> bytes:
    return bundle.replace(rb"\"r1\"", rf"\"{run_id}\"".encode())


def get(github: FakeGitHub, folder: Path, waits: list[float] | None = None, *, forks: bool = False) -> Fetched:
    patience = Patience(pause=([] if waits is None else waits).append, clock=lambda: NOW)
    return fetch(GitHub(github.base, TOKEN, patience), "ada/digits", str(folder), forks=forks)


def runs(fetched: Fetched) -> list[str]:
    return sorted(found.read().run.id for found in found_below(*fetched.folders))


def test_all_pages_are_read_and_each_artefact_is_fetched_once(
    github: FakeGitHub, bundle: bytes, tmp_path: Path
) -> None:
    """A second call asks for the list alone; artefacts of other names are left alone."""
    for number in range(5):
        github.add(number, zipped(run__json=named(bundle, f"r{number}")))
    github.add(9, b"no zip", name="coverage")
    fetched = get(github, tmp_path)
    assert (fetched.new, runs(fetched)) == (5, [f"r{number}" for number in range(5)])
    assert len(github.paths("storage")) == 5
    github.seen.clear()
    again = get(github, tmp_path)
    assert (again.new, runs(again)) == (0, runs(fetched))
    assert (len(github.paths("api")), github.paths("storage")) == (3, [])


def test_the_token_goes_to_the_api_alone(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """The storage that a download is redirected to does not see it."""
    github.add(1, zipped(run__json=bundle))
    get(github, tmp_path)
    assert {(where, token) for where, _, token in github.seen} == {
        ("api", f"Bearer {TOKEN}"),
        ("storage", None),
    }


def test_a_next_page_elsewhere_is_not_asked_for(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """Nobody is led to another server with the token."""
    elsewhere = {"Link": f'<{github.storage}/stolen>; rel="next"'}
    github.next_answer("/repos", 200, elsewhere, b'{"artifacts": []}')
    assert get(github, tmp_path).new == 0
    assert github.paths("storage") == []


def test_runs_of_forks_are_fetched_only_when_asked(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """One that was fetched on request is not shown without; a deleted repository counts as a fork."""
    github.add(1, zipped(run__json=named(bundle, "ours")))
    github.add(2, zipped(run__json=named(bundle, "theirs")), of_fork=True)
    github.add(3, zipped(run__json=named(bundle, "gone")), workflow_run={"repository_id": 7})
    assert get(github, tmp_path).of_forks == 2
    assert runs(get(github, tmp_path, forks=True)) == ["gone", "ours", "theirs"]
    assert runs(get(github, tmp_path)) == ["ours"]


def test_a_folder_that_is_not_complete_is_not_looked_into(
    github: FakeGitHub, bundle: bytes, tmp_path: Path
) -> None:
    """What a kill left of an artefact is no run; the artefact is fetched again."""
    github.add(1, zipped(run__json=bundle))
    torn = tmp_path / "own" / ".torn"
    torn.mkdir(parents=True)
    (torn / "r0.json.gz").write_bytes(b"\x1f\x8b")
    assert [found.name for found in found_below(*get(github, tmp_path).folders)] == ["r1"]


def test_an_expired_artefact_that_was_fetched_stays(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """The history outlives what GitHub keeps; others that are expired are counted, and not asked for."""
    github.add(1, zipped(run__json=bundle))
    get(github, tmp_path)
    github.artifacts[0]["expired"] = True
    github.add(2, b"", expired=True)
    fetched = get(github, tmp_path)
    assert (fetched.expired, runs(fetched)) == (1, ["r1"])


def test_an_artefact_that_expires_meanwhile_is_said(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """410 concerns this one, and the others are fetched."""
    github.add(1, zipped(run__json=bundle))
    github.add(2, zipped(run__json=bundle))
    github.next_answer("/repos/ada/digits/actions/artifacts/2/zip", 410)
    fetched = get(github, tmp_path)
    assert (fetched.new, fetched.refused) == (1, ["nbdag-run-2 (2): it has expired"])


@pytest.mark.parametrize(
    ("status", "headers", "waited"),
    [
        (403, {"Retry-After": "7"}, 7),
        (429, {"Retry-After": "7"}, 7),
        (429, {}, 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + 30)}, 31),
        (403, {"Retry-After": "Fri, 15 Jan 2027 08:00:07 GMT"}, 7),
        (502, {}, 1),
    ],
)
def test_waiting_is_as_long_as_github_asks(
    github: FakeGitHub, bundle: bytes, tmp_path: Path, status: int, headers: dict[str, str], waited: float
) -> None:
    """Primary and secondary limits, and faults of the server that pass."""
    github.add(1, zipped(run__json=bundle))
    github.next_answer("/repos", status, headers)
    waits: list[float] = []
    assert get(github, tmp_path, waits).new == 1
    assert waits == [waited]


def test_a_long_wait_is_not_waited_for(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """What was fetched before the limit is kept, and it is said until when the limit is used up."""
    github.add(1, zipped(run__json=named(bundle, "r1")))
    github.add(2, zipped(run__json=named(bundle, "r2")))
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + 3000)}
    github.next_answer("/repos/ada/digits/actions/artifacts/1/zip", 403, limit)
    waits: list[float] = []
    fetched = get(github, tmp_path, waits)
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(NOW + 3001))
    assert fetched.stopped.startswith(f"GitHub's rate limit is used up until {until}")
    assert (waits, runs(fetched)) == ([], ["r2"])
    assert runs(get(github, tmp_path)) == ["r1", "r2"]


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (401, b"{}", UsageError, "does not show the artefacts of ada/digits: 401"),
        (404, b"{}", UsageError, "GITHUB_TOKEN needs the right"),
        (403, b"{}", UsageError, "does not show"),
        (418, b"{}", InfrastructureError, "fails at the artefacts"),
        (200, b"<html>", InfrastructureError, "returned an invalid list of artefacts"),
        (
            200,
            b'{"artifacts": [{"id": "../../x", "name": 1}]}',
            InfrastructureError,
            "an invalid list of artefacts",
        ),
        (200, b"[" * 100_000, InfrastructureError, "an invalid list of artefacts"),
    ],
)
def test_an_answer_that_is_no_list_is_one_error(
    github: FakeGitHub, tmp_path: Path, status: int, body: bytes, error: type[Exception], message: str
) -> None:
    """It says what GitHub said, and what to do."""
    github.next_answer("/repos", status, {}, body)
    with pytest.raises(error) as caught:
        get(github, tmp_path)
    assert message in str(caught.value)


def test_redirects_end(github: FakeGitHub, tmp_path: Path) -> None:
    """A circle of them is an error, not an endless loop."""
    for _ in range(10):
        github.next_answer("/repos", 302, {"Location": f"{github.base}/repos/x"})
    with pytest.raises(InfrastructureError, match="more than 3 redirects"):
        get(github, tmp_path)


def bomb() -> bytes:
    return zipped_as({"run.json": bytes(32 << 20)})


def lying(content: bytes) -> bytes:
    """Say of the first member that it is small."""
    at = content.index(b"PK\x01\x02") + 24
    return content[:at] + (10).to_bytes(4, "little") + content[at + 4 :]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda bundle: b"", "File is not a zip file"),
        (lambda bundle: b"PK\x03\x04 and nothing", "File is not a zip file"),
        (lambda bundle: zipped(run__json=bundle)[:-30], "File is not a zip file"),
        (lambda bundle: zipped(run__json=bundle)[200:], ""),
        (lambda bundle: zipped(run__json=bundle).replace(b"run.json", b"ran.json", 1), "differ"),
        (lambda bundle: bomb(), "it unpacks to more than"),
        (lambda bundle: lying(zipped(run__json=bundle)), "Bad CRC"),
        (lambda bundle: zipped_as({f"{n}.json": b"" for n in range(500)}), "more than 100 members"),
        (lambda bundle: zipped(run__txt=bundle), "it holds no bundle"),
        (lambda bundle: zipped(), "it holds no bundle"),
        (lambda bundle: zipped(run__json=b"{}"), "is not a bundle"),
        (lambda bundle: zipped(run__json=b"[" * 1_000_000), "is not a bundle"),
        (lambda bundle: zipped(run__json=b"\x80\x04\x95 a pickle"), "is not a bundle"),
        (lambda bundle: zipped(run__json=named(bundle, "../../../escaped")), "holds no run"),
        (lambda bundle: zipped(run__json=named(bundle, "it');alert(1)//")), "holds no run"),
        (lambda bundle: zipped(run__json=bundle.replace(b'"blobs":{"', b'"blobs":{"0')), "was changed"),
        (lambda bundle: zipped(run__json=gzip.compress(bytes(513 << 20))), "more than 512 MB"),
    ],
)
def test_what_is_no_artefact_of_ours_is_refused(
    github: FakeGitHub, bundle: bytes, tmp_path: Path, make, message: str
) -> None:
    """It is said of the one artefact, the others are fetched, and nothing of it is on the disk."""
    folder = tmp_path / "deep" / "er" / "folder"
    github.add(1, make(bundle))
    github.add(2, zipped(run__json=bundle))
    fetched = get(github, folder)
    assert (fetched.new, len(fetched.refused)) == (1, 1)
    assert fetched.refused[0].startswith("nbdag-run-1 (1): ")
    assert message in fetched.refused[0]
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if path.is_file()]
    assert files == ["deep/er/folder/own/2/r1.json.gz"]


def test_names_in_an_archive_name_no_files(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """A member is known by the run that it holds, whatever path it claims."""
    names = ["../../up.json", "/etc/absolute.json", "C:\\windows.json", "a/b/c.json"]
    github.add(1, zipped_as({name: named(bundle, f"r{number}") for number, name in enumerate(names)}))
    fetched = get(github, tmp_path / "in")
    assert runs(fetched) == ["r0", "r1", "r2", "r3"]
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if path.is_file()}
    assert files == {f"in/own/1/r{number}.json.gz" for number in range(4)}


def test_a_download_that_breaks_off_is_tried_again(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """Fewer bytes than announced are no file; the third attempt counts."""
    content = zipped(run__json=bundle)
    github.add(1, content)
    for _ in range(2):
        github.next_answer("/blob/1", 200, {"Content-Length": str(len(content))}, content[:100])
    fetched = get(github, tmp_path)
    assert (fetched.refused, runs(fetched)) == ([], ["r1"])


def test_a_download_is_what_its_digest_says(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """Where GitHub names the digest of an artefact, other bytes are refused."""
    content = zipped(run__json=bundle)
    github.add(1, content, digest=f"sha256:{hashlib.sha256(content).hexdigest()}")
    github.add(2, content, digest=f"sha256:{'0' * 64}")
    fetched = get(github, tmp_path)
    assert fetched.new == 1
    assert fetched.refused[0].endswith(f"GitHub reports sha256:{'0' * 64}")


def test_a_server_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    """It says where it was looked for."""
    patience = Patience(pause=lambda _: None)
    with pytest.raises(InfrastructureError, match=r"GitHub cannot be reached at http://127\.0\.0\.1:9"):
        fetch(GitHub("http://127.0.0.1:9", None, patience), "ada/digits", str(tmp_path), forks=False)
    assert os.listdir(tmp_path) == []


def test_a_page_is_json_of_artefacts(github: FakeGitHub) -> None:
    """The server of these tests answers as GitHub documents it."""
    github.add(1, b"")
    status, _, body = github.api("/repos/ada/digits/actions/artifacts?per_page=100")
    assert (status, json.loads(body)["artifacts"][0]["workflow_run"]["head_repository_id"]) == (200, 7)


def test_thousands_of_artefacts_are_listed_once(github: FakeGitHub, bundle: bytes, tmp_path: Path) -> None:
    """Later calls look at what is new, and at a hundred before it: one may have been uploaded for longer."""
    github.page_size = 100
    github.zips = dict.fromkeys(range(1, 5001), b"")
    for number in range(1, 5001):
        github.add(number, b"", name=f"coverage-{number}")
    assert get(github, tmp_path).new == 0
    assert len(github.paths("api")) == 50
    github.seen.clear()
    github.add(5002, zipped(run__json=named(bundle, "r5002")))
    late = github.artifacts.pop(60)
    assert get(github, tmp_path).new == 1
    assert len(github.paths("api")) == 3
    github.artifacts.insert(60, {**late, "name": "nbdag-run-late"})
    github.zips[late["id"]] = zipped(run__json=named(bundle, "late"))
    assert runs(get(github, tmp_path)) == ["late", "r5002"]


def test_what_was_lost_or_could_not_be_fetched_is_fetched_by_the_next_call(
    github: FakeGitHub, bundle: bytes, tmp_path: Path
) -> None:
    """Only where all that is listed was seen, and is still there, the list is not read to its end."""
    github.page_size = 100
    for number in range(1, 301):
        github.add(
            number, zipped(run__json=named(bundle, f"r{number}")), name=f"{'nbdag-run' if number < 3 else 'x'}"
        )
    for artifact in github.artifacts[-2:]:
        artifact["name"] = f"nbdag-run-{artifact['id']}"
    github.next_answer("/blob/1", 404)
    first = get(github, tmp_path)
    assert (first.new, len(first.refused)) == (1, 1)
    assert get(github, tmp_path).new == 1
    (tmp_path / "own/2").rename(tmp_path / "gone")
    assert get(github, tmp_path).new == 1
    (tmp_path / "own/complete").write_bytes(b"\xff")
    assert runs(get(github, tmp_path)) == ["r1", "r2"]


def test_the_last_tenth_of_the_rate_limit_is_left_to_others(
    github: FakeGitHub, bundle: bytes, tmp_path: Path
) -> None:
    """The site is written with what is there, and the next call goes on."""
    for number in range(1, 4):
        github.add(number, zipped(run__json=named(bundle, f"r{number}")))
    github.limit, github.left = 20, 5
    first = get(github, tmp_path)
    assert (first.new, github.left) == (2, 1)
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(NOW + 100))
    assert first.stopped.startswith(f"nine tenths of GitHub's rate limit are used until {until}")
    github.left = 20
    assert runs(get(github, tmp_path)) == ["r1", "r2", "r3"]
