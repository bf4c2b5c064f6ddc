"""The time of last use survives crashes and machines, and may be lost."""

from __future__ import annotations

from pathlib import Path

from nbmake_dag_cache.key import Key
from nbmake_dag_cache.last_used import LastUsed

A, B, C = (Key(letter * 32) for letter in "abc")


def files_in(root: Path) -> list[Path]:
    return sorted((root / "last_used").iterdir())


def test_the_latest_use_counts(tmp_path: Path):
    """Each record has the time of the newest build that used it, in whatever order they are noted."""
    used = LastUsed(str(tmp_path))
    used.note([B, C], 9_000)
    used.note([A, B], 20_000.9)
    used.note([A], 30_000)
    assert used.read() == {A: 30_000, B: 20_000, C: 9_000}


def test_a_use_within_the_hour_is_noted_once(tmp_path: Path):
    """A day of rebuilds writes little: only what is new, or an hour old."""
    used = LastUsed(str(tmp_path))
    used.note([A, B], 10_000)
    used.note([A, B], 11_000)
    assert len(files_in(tmp_path)) == 1
    used.note([A, C], 12_000)
    assert used.read() == {A: 10_000, B: 10_000, C: 12_000}
    used.note([A], 13_700)
    assert used.read() == {A: 13_700, B: 10_000, C: 12_000}


def test_damaged_and_strange_files_do_not_count(tmp_path: Path):
    """Every truncation and every flipped byte of a file loses its times, and invents none."""
    used = LastUsed(str(tmp_path))
    used.note([A, B], 10_000)
    (file,) = files_in(tmp_path)
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position])
        assert used.read() == {}
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert used.read() == {}
    file.write_bytes(whole)
    file.with_name("strange").write_text("x")
    file.with_name("5-").write_text("x")
    file.with_name(f"{1 << 64}-{file.name.partition('-')[2]}").write_bytes(whole)
    assert used.read() == {A: 10_000, B: 10_000}


def test_forgetting_leaves_one_file_for_each_time(tmp_path: Path):
    """What is kept keeps its time; all else goes, old and damaged files included."""
    used = LastUsed(str(tmp_path))
    used.note([A], 10_000)
    used.note([B], 10_000)
    used.note([C], 20_000)
    (tmp_path / "last_used" / "strange").write_text("x")
    used.replace([(10_000, A), (10_000, B)])
    assert used.read() == {A: 10_000, B: 10_000}
    assert len(files_in(tmp_path)) == 1
    used.replace([(10_000, A), (10_000, B)])
    assert used.read() == {A: 10_000, B: 10_000}


def test_files_of_two_machines_lie_side_by_side(tmp_path: Path):
    """Copying one folder over another merges them."""
    one, two = LastUsed(str(tmp_path / "one")), LastUsed(str(tmp_path / "two"))
    one.note([A, B], 10_000)
    two.note([B, C], 20_000)
    for file in files_in(tmp_path / "two"):
        file.rename(tmp_path / "one" / "last_used" / file.name)
    assert one.read() == {A: 10_000, B: 20_000, C: 20_000}
