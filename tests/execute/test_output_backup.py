"""Previous outputs come back whole, or go, whatever happens meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbmake_dag.execute.output_backup import Aside, drop, put_back, recover, set_aside
from nbmake_dag.observe.state_file import StateFile

OUTPUTS = ["data/file.txt", "data/folder/", "fresh/new.txt", "link"]
OLD = {"data/file.txt": "old", "data/folder/a": "old", "data/folder/b/c": "old", "target": "old", "link": "old"}
NEW = {"data/file.txt": "new", "data/folder/x": "new", "fresh/new.txt": "new", "target": "old", "link": "new"}
TORN = {"data/file.txt": "to", "data/folder/x": "new", "target": "old"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a project with old outputs: a file, a folder, a symlink; one declared output is not there."""
    root = tmp_path / "project"
    (root / "data/folder/b").mkdir(parents=True)
    for name in ("data/file.txt", "data/folder/a", "data/folder/b/c", "target"):
        (root / name).write_text("old")
    (root / "link").symlink_to("target")
    return root


@pytest.fixture(params=["same", "other"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Make a state folder on the project's file system, and one on another."""
    if request.param == "same":
        yield str(tmp_path / "state")
        return
    folder = Path("/dev/shm") / f"nbdag-test-{os.urandom(4).hex()}"
    assert os.stat("/dev/shm").st_dev != os.stat(tmp_path).st_dev
    yield str(folder)
    shutil.rmtree(folder, ignore_errors=True)


def content(root: Path) -> dict[str, str]:
    inside = (path for path in root.rglob("*") if ".nbdag" not in path.relative_to(root).parts)
    files = sorted(path for path in inside if path.is_file())
    return {str(path.relative_to(root)): path.read_text() for path in files}


def write_new(root: Path) -> None:
    (root / "data/folder").mkdir()
    for name in ("data/file.txt", "data/folder/x", "fresh/new.txt", "link"):
        (root / name).write_text("new")


def write_torn(root: Path) -> None:
    (root / "data/folder").mkdir()
    (root / "data/folder/x").write_text("new")
    (root / "data/file.txt").write_text("to")


def refuse(message: str) -> None:
    raise AssertionError(message)


def begin(root: Path, state: str) -> Aside:
    return set_aside(state, str(root), OUTPUTS, str(root / ".nbdag/failed"))


def journals(state: str) -> list[str]:
    return [path.name for path in Path(state, "aside").glob("*")]


def test_after_set_aside_written_means_exists(root: Path, state: str) -> None:
    """No declared path exists, and every parent directory does."""
    begin(root, state)
    assert not any(os.path.lexists(root / output) for output in OUTPUTS)
    assert (root / "fresh").is_dir()


def test_drop_leaves_the_new_outputs_and_nothing_else(root: Path, state: str) -> None:
    """The old ones are gone, and so are journal and siblings."""
    aside = begin(root, state)
    write_new(root)
    drop(aside)
    assert content(root) == NEW
    assert journals(state) == []


def test_put_back_returns_the_old_outputs_and_keeps_the_partial_ones(root: Path, state: str) -> None:
    """What the attempt left goes to the folder of failures."""
    aside = begin(root, state)
    write_torn(root)
    kept = put_back(aside).kept
    failed = root / ".nbdag/failed"
    assert content(root) == OLD
    assert (root / "link").is_symlink()
    assert kept == [str(failed / "file.txt"), str(failed / "folder")]
    assert content(failed) == {"file.txt": "to", "folder/x": "new"}
    assert journals(state) == []


def test_partial_outputs_of_one_name_are_both_kept(tmp_path: Path) -> None:
    """Two outputs that differ by folder only do not overwrite each other."""
    aside = set_aside(str(tmp_path / "state"), str(tmp_path), ["a/out", "b/out"], str(tmp_path / "failed"))
    (tmp_path / "a/out").write_text("a")
    (tmp_path / "b/out").write_text("b")
    put_back(aside)
    assert content(tmp_path / "failed") == {"out": "a", "out.1": "b"}


def test_what_cannot_be_set_aside_leaves_everything_in_place(root: Path, tmp_path: Path) -> None:
    """A declared path below a file is an error of the disk, and nothing was moved."""
    (root / "fresh").write_text("a file where a folder must be")
    with pytest.raises(OSError, match="fresh"):
        begin(root, str(tmp_path / "state"))
    assert content(root) == {**OLD, "fresh": "a file where a folder must be"}
    assert journals(str(tmp_path / "state")) == []


def flipped(data: bytes, position: int, bit: int) -> bytes:
    return data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]


def test_a_damaged_journal_changes_nothing_and_is_put_away_once(root: Path, tmp_path: Path) -> None:
    """Whatever the damage: each bit of each byte, each length; the other journals are finished."""
    state = str(tmp_path / "state")
    begin(root, state)
    (journal,) = Path(state, "aside").glob("*.json")
    whole = journal.read_bytes()
    damages = [flipped(whole, position, position % 8) for position in range(len(whole))]
    damages += [flipped(whole, position, 7) for position in range(len(whole))]
    damages += [whole[:length] for length in range(len(whole))]
    before = content(root)
    for damage in damages:
        journal.write_bytes(damage)
        said: list[str] = []
        assert recover(state, str(root), said.append) == ()
        assert len(said) == 1
        assert content(root) == before
        Path(f"{journal}.damaged").unlink()
    journal.write_bytes(damages[0])
    begin(root, state)
    said = []
    recover(state, str(root), said.append)
    recover(state, str(root), said.append)
    assert [message.partition(" ")[0] for message in said] == [str(journal)]


@pytest.mark.parametrize("kind", ["directory", "fifo", "dangling", "foreign", "outside"])
def test_what_is_no_journal_of_ours_stops_nothing(root: Path, tmp_path: Path, kind: str) -> None:
    """It is put aside or left alone, with one warning, and no file outside is touched."""
    state = str(tmp_path / "state")
    begin(root, state)
    (tmp_path / "user.txt").write_text("the user's")
    journal = Path(state) / "aside" / "0000.json"
    match kind:
        case "directory":
            journal.mkdir()
        case "fifo":
            os.mkfifo(journal)
        case "dangling":
            journal.symlink_to("nothing")
        case "foreign":
            StateFile(str(journal), "nbdag-output-backup 3", dict[str, str]).write({})
        case _:
            text: dict[str, object] = {
                "partial_to": "failed",
                "outputs": [{"path": "../user.txt", "existed": False}],
            }
            StateFile(str(journal), "nbdag-output-backup 2", dict[str, object]).write(text)
    said: list[str] = []
    recover(state, str(root), said.append)
    assert len(said) == 1
    assert content(root) == OLD
    assert (tmp_path / "user.txt").read_text() == "the user's"


@pytest.mark.parametrize("moves", [True, False])
def test_a_journal_speaks_of_the_project_that_it_is_found_in(tmp_path: Path, root: Path, *, moves: bool) -> None:
    """A moved project gets its outputs back; the build of a copied one goes on undisturbed."""
    aside = begin(root, str(root / ".nbdag/state"))
    write_torn(root)
    other = tmp_path / "other"
    if moves:
        root.rename(other)
    else:
        shutil.copytree(root, other, symlinks=True)
    kept = recover(str(other / ".nbdag/state"), str(other), refuse)
    assert content(other) == OLD
    assert all(path.startswith(f"{other}/") for path in kept)
    assert journals(str(other / ".nbdag/state")) == []
    if not moves:
        assert content(root) == TORN
        drop(aside)
        assert content(root) == TORN


def test_nothing_is_put_back_once_the_journal_is_gone(root: Path) -> None:
    """With ``.nbdag`` went what was set aside; what is in the workspace may be another build's."""
    aside = begin(root, str(root / ".nbdag/state"))
    write_new(root)
    shutil.rmtree(root / ".nbdag")
    assert put_back(aside).kept == []
    assert content(root) == NEW


def test_what_cannot_be_kept_with_failures_is_kept_beside_its_place(root: Path, state: str) -> None:
    """It may be somebody's; the old outputs return all the same."""
    aside = begin(root, state)
    write_torn(root)
    blocked = Path(aside.partial_to)
    shutil.rmtree(blocked, ignore_errors=True)
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file")
    kept = put_back(aside).kept
    assert Path(next(path for path in kept if path.startswith(f"{root}/data/"))).read_text() == "to"
    assert (root / "data/file.txt").read_text() == "old"


MUTATES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.move", "shutil.rmtree"}


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Do something in a child that is killed before its ``step``-th change of the disk; say if it was."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    left = step

    def hook(event: str, _: tuple[object, ...]) -> None:
        nonlocal left
        if event in MUTATES:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        action()
    finally:
        os._exit(0)


@pytest.mark.slow
@pytest.mark.parametrize("accepted", [True, False])
def test_a_kill_at_any_moment_leaves_old_or_new_never_half(root: Path, state: str, *, accepted: bool) -> None:
    """Before every change of the disk, in turn, the attempt is killed, and the recovery after it is killed too."""

    def attempt() -> None:
        aside = begin(root, state)
        if accepted:
            write_new(root)
            drop(aside)
        else:
            write_torn(root)
            put_back(aside)

    pristine = root.parent / "pristine"
    shutil.copytree(root, pristine, symlinks=True)
    seen: list[str] = []
    step = 0
    killed = True
    while killed:
        shutil.rmtree(root)
        shutil.copytree(pristine, root, symlinks=True)
        shutil.rmtree(state, ignore_errors=True)
        killed = killed_at(step, attempt)
        again = step % 7
        while killed_at(again, lambda: recover(state, str(root), refuse)):
            again += 1 + step % 3
        found = content(root)
        assert found in ([OLD, NEW] if accepted else [OLD])
        assert journals(state) == []
        seen.append(found["data/file.txt"])
        step += 1
    assert step > 20
    assert seen == sorted(seen, key=["old", "new"].index)
    assert seen[-1] == ("new" if accepted else "old")
