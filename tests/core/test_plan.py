"""What is known before anything runs."""

from __future__ import annotations

from msgspec.structs import replace

from nbmake_dag.core.decide import Restorable, Rules, Stale, UpToDate
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Undecided, Verdict, plan
from tests.core.builders import Past, chain, graph, task


def _line(**work: str) -> Graph:
    """Make a -> b -> c, with c also after the lonely x."""
    return graph(
        task("x", makes="x.csv"),
        task("a", makes="a.csv", work=work.get("a", "work")),
        task("b", reads="a.csv", makes="b.csv", work=work.get("b", "work")),
        task("c", reads="b.csv", after="x", work=work.get("c", "work")),
    )


def _built() -> Past:
    return Past(_line()).ran("x").ran("a").ran("b").ran("c")


def _short(verdicts: dict[TaskName, Verdict]) -> dict[str, str]:
    """Say each verdict in a word, with what it rests on."""
    said: dict[str, str] = {}
    for name, verdict in verdicts.items():
        match verdict:
            case UpToDate():
                said[name] = "up to date"
            case Restorable(missing=missing):
                said[name] = f"restore {' '.join(missing)}"
            case Stale(reasons=reasons):
                said[name] = f"stale: {', '.join(reasons)}"
            case Undecided(upstream=upstream):
                said[name] = f"undecided: {' '.join(upstream)}"
    return said


def _plan(past: Past, rules: Rules | None = None) -> dict[str, str]:
    return _short(plan(past.graph, past.facts(), rules or Rules()))


def test_all_is_new_at_first() -> None:
    """A task that never ran is stale whatever is above it."""
    assert set(_plan(Past(_line())).values()) == {"stale: new: it has no result yet"}


def test_all_is_up_to_date_after_a_build() -> None:
    """Each hit's record gives the digests for the tasks below it."""
    assert set(_plan(_built()).values()) == {"up to date"}


def test_below_a_stale_task_all_is_undecided() -> None:
    """Nobody knows whether what it makes will be what it was; what is beside it is decided."""
    assert _plan(_built().now(_line(a="edited"))) == {
        "x": "up to date",
        "a": "stale: command: edited",
        "b": "undecided: a",
        "c": "undecided: b",
    }


def test_a_task_that_changed_itself_is_stale_below_a_stale_one() -> None:
    """No record has its own ingredients: it runs, whatever is above it."""
    said = _plan(_built().now(_line(a="edited", c="edited too")))
    assert (said["b"], said["c"]) == ("undecided: a", "stale: command: edited too")


def test_below_a_restored_task_all_is_decided() -> None:
    """What will be put back is known."""
    past = _built()
    del past.present["a.csv"]
    assert _plan(past) == {"x": "up to date", "a": "restore a.csv", "b": "up to date", "c": "up to date"}


def test_a_forced_task_is_stale_and_leaves_those_below_undecided() -> None:
    """The reason is said though what is above is unknown."""
    forced = Rules(forced=frozenset({TaskName("a"), TaskName("c")}))
    assert _plan(_built(), forced) == {
        "x": "up to date",
        "a": "stale: forced",
        "b": "undecided: a",
        "c": "stale: forced",
    }


def test_the_order_of_after_leaves_undecided_too() -> None:
    """What comes after a stale task may read what it logs."""
    past = _built().now(
        graph(
            *(replace(item, parameters={"n": 1}) if item.name == "x" else item for item in _line().tasks.values())
        )
    )
    assert _plan(past)["c"] == "undecided: x"


def test_a_task_whose_record_is_gone_is_stale_below_a_stale_one() -> None:
    """It has a last result and no record that fits: nothing can make it a hit."""
    past = _built().now(_line(a="edited"))
    facts = past.facts()
    c = TaskName("c")
    gone = {**facts, c: replace(facts[c], records=())}
    assert _short(plan(past.graph, gone, Rules()))["c"] == "stale: its record is no longer in the cache"
    expired = {**facts, c: replace(facts[c], records=(), previous=None, unusable="expired: older than max_age")}
    assert _short(plan(past.graph, expired, Rules()))["c"] == "stale: expired: older than max_age"


def test_a_stale_task_in_a_plan_has_its_identity_only_where_all_above_is_known() -> None:
    """Without its keys nobody can publish a record of a task."""
    verdicts = plan(_line(), Past(_line()).facts(), Rules())
    known = {name: isinstance(verdict, Stale) and verdict.keys is not None for name, verdict in verdicts.items()}
    assert known == {"x": True, "a": True, "b": False, "c": False}


def test_a_long_chain_is_planned() -> None:
    """Nothing recurses."""
    long = chain(3000)
    assert set(_plan(Past(long)).values()) == {"stale: new: it has no result yet"}
