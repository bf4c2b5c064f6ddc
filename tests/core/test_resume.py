"""From which snapshot a notebook goes on: never from one that it would not have come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag.core.resume import ANY, INJECTED, Taken, basis, choose, fits
from nbmake_dag_cache.key import Ingredient

digests = st.sampled_from("abc")
cells = st.lists(digests, max_size=6)
others = st.dictionaries(
    st.tuples(
        st.sampled_from(["module", "input", "package", "parameter"]),
        st.sampled_from(["0", "y"]),
        st.sampled_from(["", "x"]),
    ),
    digests,
)
paths = st.frozensets(st.sampled_from(["x", "y", "0"]))


def ingredients(cells, others=(), place=0):
    """Write ingredients as a notebook's key has them."""
    numbered = [Ingredient("cell", str(number), digest) for number, digest in enumerate(cells, 1)]
    named = [Ingredient(kind, name, value, path=path) for (kind, name, path), value in dict(others).items()]
    return [*named, *numbered, Ingredient("parameters cell", "", str(place))]


def taken(cells, count, others=(), **fields):
    of = basis(ingredients(cells, others), injects=False)
    return Taken(folder="f", pid=1, basis=of, cells=count, elapsed_s=1.0, **fields)


@pytest.mark.parametrize(
    ("opened", "expected"),
    [
        ((), True),
        (("data/b.csv",), True),
        (("data/a.csv",), False),
        (("data/",), False),
        (("./",), True),
        ((ANY,), False),
    ],
)
def test_an_input_played_no_part_if_it_was_neither_opened_nor_inspected_nor_listed(opened, expected):
    """A child process may have read any file."""
    which = ("input", "a", "data/a.csv")
    held = taken(["x"], 1, {which: "1"}, opened=frozenset(opened), later=frozenset({"data/a.csv"}))
    assert fits(held, basis(ingredients(["x"], {which: "2"}), injects=False), {}) is expected


@given(st.lists(st.tuples(cells, st.integers(0, 6), others), max_size=6), cells, others, paths, paths, paths)
def test_the_chosen_snapshot_is_the_last_that_fits(held, now, present, modules, opened, later):
    """What was executed is a beginning of what is wanted, nothing used differs, and no other one is longer."""
    snapshots = [
        taken(each, min(count, len(each)), other, modules=modules, opened=opened, later=later)
        for each, count, other in held
    ]
    wanted = basis(ingredients(now, present), injects=False)
    chosen = choose(snapshots, wanted, {})
    assert chosen is None or fits(chosen, wanted, {})
    for each in snapshots:
        if chosen is None or each.cells > chosen.cells:
            assert not fits(each, wanted, {})
        differing = {
            which
            for which in {**each.basis.others, **wanted.others}
            if each.basis.others.get(which) != wanted.others.get(which)
        }
        harmless = all(
            (kind == "module" and name not in modules) or (kind == "input" and path in later - opened)
            for kind, name, path in differing
        )
        assert fits(each, wanted, {}) == (harmless and wanted.cells[: each.cells] == each.executed)


def test_what_was_read_above_must_be_what_it_was():
    """A value of a task above, or a module found by running, decides as any other ingredient."""
    snapshot = taken("ab", 2, used={("read", "r"): "1"})
    now = basis(ingredients("abc"), injects=False)
    assert choose([snapshot], now, {("read", "r"): "1"}) == snapshot
    assert choose([snapshot], now, {("read", "r"): "2"}) is None
    assert choose([snapshot], now, {}) is None


def test_injected_parameters_are_a_cell_where_they_are_put():
    """Their place counts, and so do injected paths, but only to a snapshot that was taken after them."""
    before = basis(ingredients("ab", place=1), injects=True, given="old")
    assert before.cells == ("a", INJECTED, "b")
    early = Taken(folder="e", pid=1, basis=before, cells=1, elapsed_s=1.0)
    late = Taken(folder="l", pid=1, basis=before, cells=2, elapsed_s=1.0)
    assert choose([early, late], before, {}) == late
    assert choose([early, late], basis(ingredients("ab", place=1), injects=True, given="new"), {}) == early
    assert choose([early, late], basis(ingredients("ab", place=0), injects=True, given="old"), {}) is None
