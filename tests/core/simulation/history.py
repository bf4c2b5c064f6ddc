"""A history of edits and builds, and what must come of each build: the second oracle.

A task runs if and only if no record of an earlier success with the same footprint is in the cache, or it is
forced, or it is never cached, or an output is gone of which the cache has no bytes. Footprints are noted by the
stub while it works, from what it really read.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.plan import Undecided
from tests.core.simulation.build import Order, Report, build
from tests.core.simulation.checkout import Checkout
from tests.core.simulation.edits import Edits, Seed, Step
from tests.core.simulation.world import (
    Effect,
    Files,
    Spec,
    Specs,
    above,
    evaluate,
    files_below,
    needs,
)


@dataclass(kw_only=True)
class Expected:
    """What a complete build comes to. A set of two statuses where the cache may or may not still help."""

    statuses: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    effects: Mapping[str, Effect]


class History:
    """What happens to one project, step by step."""

    def __init__(self, checkout: Checkout, seeds: list[Seed]) -> None:
        self._checkout = checkout
        self._edits = Edits(checkout, seeds)

    @property
    def _specs(self) -> Specs:
        return self._edits.specs

    def apply(self, step: Step) -> None:
        self._edits.remember()
        if step.kind == "build":
            self._build(step)
        else:
            self._edits.apply(step)

    def _build(self, step: Step) -> None:
        """Build something in some way, and hold it to what must come of it."""
        rng = random.Random(step.value)
        names = list(self._specs)

        def some(share: float) -> frozenset[str]:
            return frozenset(name for name in names if rng.random() < share)

        self.build(
            Order(
                targets=tuple(sorted(some(0.3))) if rng.random() < 0.2 else (),
                forced=some(0.3) if rng.random() < 0.2 else frozenset(),
                failing=some(0.2) if rng.random() < 0.3 else frozenset(),
                keep_going=rng.random() < 0.7,
                interrupt_after=rng.randrange(6) if rng.random() < 0.15 else None,
                disturb=rng.random() < 0.1,
                jobs=rng.choice((1, 1, 2, 4)),
                choices=step.value,
            )
        )

    def uncached(self) -> set[str]:
        """Return the tasks that every build runs."""
        return {spec.name for spec in self._specs.values() if not spec.cache}

    def build(self, order: Order) -> Report:
        checkout = self._checkout
        before = files_below(checkout.project.root)
        over = above(self._specs)
        targets = order.targets or tuple(self._specs)
        wanted = {*targets, *(name for target in targets for name in over[target])}
        order = replace(order, forced=order.forced & wanted)
        expected, order = self._expect(order, wanted, before)
        report = build(checkout, self._specs, order)
        after = files_below(checkout.project.root)
        self._check_plan(report, over if order.disturb else {})
        assert set(report.statuses) == wanted
        if order.disturb:
            return report
        complete = order.keep_going and order.interrupt_after is None
        for name, status in report.statuses.items():
            possible = expected.statuses[name] if complete else expected.statuses[name] | {"cancelled", "skipped"}
            assert status in possible, f"{name}: {status}, not {possible}"
            left = _outputs(self._specs[name], after)
            if status in {"up_to_date", "restored", "ran"}:
                assert left == expected.effects[name].files, name
            elif name in report.unrestorable:
                # a restore that ended half way: each file is what it was, or what was wanted
                old_or_new = {*_outputs(self._specs[name], before).items(), *expected.effects[name].files.items()}
                assert set(left.items()) <= old_or_new, name
            else:
                assert left == _outputs(self._specs[name], before), name
        self._check_nothing_lost(before, after)
        return report

    def _expect(self, order: Order, wanted: set[str], before: Files) -> tuple[Expected, Order]:
        """Say what must come of a build; a task whose outputs may or may not be had does not fail in it."""
        checkout = self._checkout
        effects = evaluate(self._specs, checkout.user_files(self._specs, before), checkout.modules())
        direct = needs(self._specs)
        expected = Expected(effects=effects)
        for spec in sorted(self._specs.values(), key=lambda spec: spec.number):
            if spec.name not in wanted:
                continue
            helped = self._helped(spec, effects[spec.name], order, before)
            if "ran" in helped and len(helped) > 1:
                order = replace(order, failing=order.failing - {spec.name})
            if any(expected.statuses[other] & {"failed", "skipped"} for other in direct[spec.name]):
                expected.statuses[spec.name] = {"skipped"}
            elif helped == {"ran"} and spec.name in order.failing:
                expected.statuses[spec.name] = {"failed"}
            else:
                expected.statuses[spec.name] = helped
        return expected, order

    def _helped(self, spec: Spec, effect: Effect, order: Order, before: Files) -> set[str]:
        """Say how far the cache helps one task: it ran, was restored, or was up to date."""
        if spec.name in order.forced or not spec.cache or not self._checkout.has_record(effect.footprint):
            return {"ran"}
        root = self._checkout.project.root
        needed: set[str] = set()
        for path in spec.outputs:
            wanted = {name: text for name, text in effect.files.items() if name.startswith(path)}
            there = {name: text for name, text in before.items() if name.startswith(path)}
            if wanted != there or (path.endswith("/") and not os.path.isdir(os.path.join(root, path))):
                needed |= {*wanted, path}
        if not needed:
            return {"up_to_date"}
        if not spec.store:
            return {"ran"}
        lacking = {
            path for path in needed if path in effect.files and not self._checkout.is_stored(effect.files[path])
        }
        if not lacking:
            return {"restored"}
        # what is in place may become a blob of the user's bytes just before it is needed
        return {"restored", "ran"} if all(before.get(path) == effect.files[path] for path in lacking) else {"ran"}

    def _check_plan(self, report: Report, over: Mapping[str, Iterable[str]]) -> None:
        """Hold what was said before a build to what then happened.

        ``over`` names what is above each task of a build during which a source is edited: a task that could not be
        restored after all may then produce something new, and what was said of those below it no longer holds.
        """
        never = {"skipped", "cancelled"}
        statuses = report.statuses
        for name, verdict in report.verdicts.items():
            if not report.unrestorable.isdisjoint(over.get(name, ())):
                continue
            match verdict:
                case UpToDate():
                    possible = {"up_to_date", *never}
                case Restorable():
                    possible = {"restored", "ran", "failed", *never}
                case Stale():
                    possible = {"ran", "failed", *never}
                case Undecided():
                    possible = {"up_to_date", "restored", "ran", "failed", *never}
            assert statuses[name] in possible, f"{name}: {verdict}, then {statuses[name]}"

    def _check_nothing_lost(self, before: Files, after: Files) -> None:
        for path, text in before.items():
            if text.startswith(("edited", "stray")) and after.get(path) != text:
                assert self._checkout.is_stored(text), f"{text} was in {path}, and is nowhere"


def _outputs(spec: Spec, files: Files) -> dict[str, str]:
    return {path: text for path, text in files.items() if path.startswith(spec.outputs)} if spec.outputs else {}
