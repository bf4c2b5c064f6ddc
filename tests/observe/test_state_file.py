"""The reader of state files: whatever the damage, one warning, nothing half read, and the next write mends it."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from nbmake_dag.observe.state_file import StateFile
from tests.support.damage import every_damage
from tests.support.limits import limited

KIND = "nbdag-test 1"
VALUE = {"a": "sales.csv", "b": "0123456789"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "value.json"


def file_of(path: Path, kind: str = KIND) -> StateFile[dict[str, str]]:
    return StateFile(str(path), kind, dict[str, str])


def test_any_damage_of_the_content_counts_as_absent(path: Path):
    """No value that differs from what was written is ever returned."""
    file_of(path).write(VALUE)
    whole = path.read_bytes()
    for content in every_damage(whole):
        path.write_bytes(content)
        warnings: list[str] = []
        assert file_of(path).read(warnings.append) is None, content
        assert len(warnings) == 1
        assert not path.exists()
        (aside,) = path.parent.glob("*.damaged")
        assert aside.read_bytes() == content
        aside.unlink()


@pytest.mark.parametrize("kind", ["nbdag-other 1", "nbdag-test 2", "nbdag-test 0"])
def test_a_file_of_another_kind_or_format_counts_as_absent(path: Path, kind: str):
    """However sound it is in itself."""
    file_of(path, kind).write(VALUE)
    warnings: list[str] = []
    assert file_of(path).read(warnings.append) is None
    assert len(warnings) == 1
    file_of(path).write(VALUE)
    assert file_of(path).read(warnings.append) == VALUE


def test_a_sound_file_with_a_value_of_another_type_counts_as_absent(path: Path):
    """The checksum is right, but this program never wrote it."""
    StateFile(str(path), KIND, list[int]).write([1, 2])
    warnings: list[str] = []
    assert file_of(path).read(warnings.append) is None
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(Path.mkdir, id="folder"),
        pytest.param(os.mkfifo, id="fifo"),
        pytest.param(lambda path: path.symlink_to("nothing"), id="dangling"),
        pytest.param(lambda path: path.symlink_to(path.name), id="loop"),
    ],
)
def test_what_is_no_file_is_put_aside_and_the_next_write_works(path: Path, make):
    """Nothing waits for a FIFO, and no link is followed."""
    make(path)
    warnings: list[str] = []
    assert file_of(path).read(warnings.append) is None
    file_of(path).write(VALUE)
    assert file_of(path).read(warnings.append) == VALUE
    assert len(warnings) == 1


def test_a_link_to_a_sound_file_is_not_followed(path: Path):
    """It may lead out of the project; what it leads to stays as it is."""
    other = path.with_name("other.json")
    file_of(other).write(VALUE)
    path.symlink_to(other)
    warnings: list[str] = []
    assert file_of(path).read(warnings.append) is None
    assert file_of(other).read(warnings.append) == VALUE
    assert len(warnings) == 1


def test_a_file_that_the_machine_refuses_to_read_stays(path: Path):
    """It may be sound; the reader has the error, and reads it when the machine lets it."""
    file_of(path).write(VALUE)
    warnings: list[str] = []
    with pytest.raises(OSError) as raised, limited(resource.RLIMIT_NOFILE, 0):  # noqa: PT011  # its number is asserted
        file_of(path).read(warnings.append)
    assert (raised.value.errno, raised.value.filename) == (errno.EMFILE, str(path))
    assert (file_of(path).read(warnings.append), warnings) == (VALUE, [])
