"""What is to be done about one task."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from nbmake_dag.core.decide import MAX_REASONS, Decision, Restorable, Rules, Stale, UpToDate, decide
from nbmake_dag.core.facts import Facts
from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.key import Key
from tests.core.builders import Past, graph, task

A = TaskName("a")


def _past() -> Past:
    return Past(graph(task("a", makes="a.csv d/"))).ran("a")


def _decide(past: Past, rules: Rules | None = None, **changes: object) -> Decision:
    facts: Facts = replace(past.facts()[A], **changes)
    return decide(A, past.graph, facts, {}, rules or Rules())


def test_a_task_without_a_result_is_new() -> None:
    """Nothing is known of it."""
    decision = _decide(Past(graph(task("a"))))
    assert isinstance(decision, Stale)
    assert decision.reasons == ("new: it has no result yet",)


def test_outputs_in_place_are_up_to_date() -> None:
    """Files and folders have the digests of the record."""
    past = _past()
    assert _decide(past) == UpToDate(record=past.previous[A])


@pytest.mark.parametrize("path", ["a.csv", "d/"])
def test_a_deleted_output_is_put_back(path: str) -> None:
    """Only what is gone is named."""
    past = _past()
    del past.present[path]
    assert _decide(past) == Restorable(record=past.previous[A], missing=(ProjectPath(path),))


def test_an_edited_output_is_put_back() -> None:
    """An output that is there with other bytes counts as missing."""
    past = _past()
    past.present["a.csv"] = past.present["d/"]
    path = ProjectPath("a.csv")
    assert _decide(past) == Restorable(record=past.previous[A], missing=(path,), changed=frozenset({path}))


def test_what_leads_back_to_an_earlier_result_is_named() -> None:
    """The outputs in place are those of the last result, and nobody changed them."""
    past = _past()
    earlier = past.previous[A]
    ingredients = tuple(
        msgspec.structs.replace(item, value="9" * 32) if item.kind == "command" else item
        for item in earlier.ingredients
    )
    outputs = tuple(msgspec.structs.replace(output, digest=digest_text("other")) for output in earlier.outputs)
    last = msgspec.structs.replace(earlier, key=Key("9" * 32), ingredients=ingredients, outputs=outputs)
    past.present["a.csv"] = digest_text("other")
    del past.present["d/"]
    decision = _decide(past, previous=last)
    assert isinstance(decision, Restorable)
    assert (decision.missing, decision.changed, decision.codes) == (("a.csv", "d/"), frozenset(), ("command",))
    past.present["a.csv"] = digest_text("by hand")
    decision = _decide(past, previous=last)
    assert isinstance(decision, Restorable)
    assert decision.changed == {"a.csv"}


def test_a_deleted_output_that_was_not_stored_runs_again() -> None:
    """With ``store = false`` there is nothing to put back."""
    past = _past()
    record = msgspec.structs.replace(past.previous[A], stored=False)
    assert _decide(past, records=(record,)) == UpToDate(record=record)
    del past.present["a.csv"]
    decision = _decide(past, records=(record,))
    assert isinstance(decision, Stale)
    assert decision.reasons == ("output: a.csv is gone, and not stored",)
    past.present["a.csv"] = digest_text("other")
    decision = _decide(past, records=(record,))
    assert isinstance(decision, Stale)
    assert decision.reasons == ("output: a.csv changed, and not stored",)


@pytest.mark.parametrize(
    ("rules", "cache", "reason"),
    [
        (Rules(forced=frozenset({A})), True, "forced"),
        (Rules(), False, "cache = false"),
        (Rules(use_records=False), True, "the cache is not read"),
    ],
)
def test_some_tasks_run_whatever_their_ingredients_are(rules: Rules, *, cache: bool, reason: str) -> None:
    """A record that would be a hit is not looked for."""
    past = _past().now(graph(task("a", makes="a.csv d/", cache=cache)))
    decision = _decide(past, rules)
    assert isinstance(decision, Stale)
    assert decision.reasons == (reason,)


def test_forcing_another_task_forces_nothing_here() -> None:
    """Only the named ones run."""
    assert isinstance(_decide(_past(), Rules(forced=frozenset({TaskName("b")}))), UpToDate)


def test_a_result_that_is_too_old_is_expired() -> None:
    """Also when its record cannot be read any more."""
    for previous in (_past().previous[A], None):
        decision = _decide(_past(), records=(), previous=previous, unusable="expired: older than max_age")
        assert isinstance(decision, Stale)
        assert decision.reasons == ("expired: older than max_age",)


def test_a_change_is_said_rather_than_the_age() -> None:
    """A task that is both expired and changed has its change as reason."""
    edited = _past().now(graph(task("a", makes="a.csv d/", work="edited")))
    decision = _decide(edited, unusable="expired: older than max_age")
    assert isinstance(decision, Stale)
    assert decision.reasons == ("command: edited",)


def test_a_record_that_is_gone_is_said_to_be_gone() -> None:
    """Nothing changed, and the cache was cleaned."""
    decision = _decide(_past(), records=())
    assert isinstance(decision, Stale)
    assert decision.reasons == ("its record is no longer in the cache",)


def test_long_lists_of_reasons_are_cut() -> None:
    """A task with hundreds of changed inputs does not fill the terminal."""
    past = Past(graph(task("a", parameters={f"p{n}": n for n in range(100)}))).ran("a")
    decision = _decide(past.now(graph(task("a", parameters={f"p{n}": n + 1 for n in range(100)}))))
    assert isinstance(decision, Stale)
    assert len(decision.reasons) == MAX_REASONS
