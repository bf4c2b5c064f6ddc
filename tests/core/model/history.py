"""What a user does to a project between builds, and what must come of each build: the second oracle.

A task runs if and only if no record of an earlier success with the same footprint is in the cache, or it is
forced, or it is never cached, or an output is gone of which the cache has no bytes. Footprints are noted by the
stub while it works, from what it really read.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.plan import Undecided
from tests.core.model.shell import Checkout, Order, Report
from tests.core.model.world import (
    GROUP,
    MODULES,
    SOURCES,
    Effect,
    Files,
    Program,
    Spec,
    Specs,
    above,
    evaluate,
    files_below,
    needs,
    producers,
)

PARAMETERS = (0, 0.0, False, "0", 1, 1.0, True, "1", [1], [1.0], {"a": 1}, {"a": True}, None)
MODES = ("exact", "coarse", "constant")


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What a task is made from when it joins a pipeline; ``picks`` choose among what is there then."""

    outputs: str
    inputs: tuple[tuple[str, int], ...]
    after: tuple[int, ...]
    mode: str
    ignores: tuple[int, ...]
    reads: tuple[int, ...]
    lists_upstream: bool
    imports: bool
    cache: bool
    store: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that a user, or bad luck, does."""

    kind: str
    pick: int = 0
    value: int = 0
    seed: Seed | None = None


@dataclass(kw_only=True)
class Expected:
    """What a complete build comes to. A set of two statuses where the cache may or may not still help."""

    statuses: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    effects: Mapping[str, Effect]


class History:
    """A project, and the pipelines that it had."""

    def __init__(self, checkout: Checkout, seeds: list[Seed]) -> None:
        self._checkout = checkout
        self._specs: dict[str, Spec] = {}
        self._past: list[Specs] = []
        self._number = 0
        for path in SOURCES:
            checkout.write(path, "0")
        for path in MODULES:
            checkout.write(path, "VALUE = 0\n")
        for seed in seeds:
            self._add(seed)

    # what can happen

    def apply(self, step: Step) -> None:
        self._past.append(dict(self._specs))
        getattr(self, f"_{step.kind}")(step)

    def _edit_source(self, step: Step) -> None:
        """Edit a source, also without a change of its size and time of modification."""
        path = SOURCES[step.pick % len(SOURCES)]
        place = self._checkout.project.absolute(path)
        before = os.stat(place)
        self._checkout.write(path, str(step.value % 3))
        if step.value % 2:
            os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _replace_source(self, step: Step) -> None:
        """Save as editors do: a new file is renamed over the old one."""
        path = SOURCES[step.pick % len(SOURCES)]
        self._checkout.write(f"{path}.new", str(step.value % 3))
        os.replace(self._checkout.project.absolute(f"{path}.new"), self._checkout.project.absolute(path))

    def _toggle_file(self, step: Step) -> None:
        """Let a file of the user join or leave what globs match."""
        path = ("src/more.txt", "g0/user.csv", "g1/user.csv")[step.pick % 3]
        place = self._checkout.project.absolute(path)
        if os.path.exists(place):
            os.unlink(place)
        else:
            self._checkout.write(path, str(step.value % 3))

    def _touch(self, step: Step) -> None:
        for path in files_below(self._checkout.project.root):
            os.utime(self._checkout.project.absolute(path))

    def _edit_module(self, step: Step) -> None:
        path = MODULES[step.pick % len(MODULES)]
        self._checkout.write(path, f"VALUE = {step.value % 3}\n# comment {step.value}\n")

    def _edit_code(self, step: Step) -> None:
        self._change_program(step, version=step.value % 3)

    def _edit_mode(self, step: Step) -> None:
        self._change_program(step, mode=MODES[step.value % 3])

    def _change_program(self, step: Step, **changes: Any) -> None:
        if spec := self._pick(step.pick):
            self._specs[spec.name] = replace(spec, program=replace(spec.program, **changes))

    def _set_parameter(self, step: Step) -> None:
        if spec := self._pick(step.pick):
            self._specs[spec.name] = replace(spec, parameter=PARAMETERS[step.value % len(PARAMETERS)])

    def _drop_input(self, step: Step) -> None:
        if (spec := self._pick(step.pick)) and spec.inputs:
            gone = step.value % len(spec.inputs)
            self._specs[spec.name] = replace(spec, inputs=(*spec.inputs[:gone], *spec.inputs[gone + 1 :]))

    def _drop_after(self, step: Step) -> None:
        if spec := self._pick(step.pick):
            self._specs[spec.name] = replace(spec, after=spec.after[1:])

    def _add_task(self, step: Step) -> None:
        assert step.seed is not None
        self._add(step.seed)

    def _remove_task(self, step: Step) -> None:
        """Remove a task, and what others need of it."""
        if not (gone := self._pick(step.pick)):
            return
        del self._specs[gone.name]
        for spec in self._specs.values():
            needed = {path for path in spec.inputs if "*" not in path and producers({gone.name: gone}, path)}
            inputs = tuple(path for path in spec.inputs if path not in needed)
            after = tuple(name for name in spec.after if name != gone.name)
            self._specs[spec.name] = replace(spec, inputs=inputs, after=after)

    def _rename_task(self, step: Step) -> None:
        if not (old := self._pick(step.pick)):
            return
        new = f"renamed{old.number}_{len(self._past)}"
        self._specs = {
            new if name == old.name else name: replace(
                spec,
                name=new if name == old.name else name,
                after=tuple(new if other == old.name else other for other in spec.after),
            )
            for name, spec in self._specs.items()
        }

    def _revert_pipeline(self, step: Step) -> None:
        self._specs = dict(self._past[step.pick % len(self._past)])

    def _delete_output(self, step: Step) -> None:
        if path := self._pick_output(step.pick):
            os.unlink(self._checkout.project.absolute(path))

    def _tamper_output(self, step: Step) -> None:
        if path := self._pick_output(step.pick):
            self._checkout.write(path, f"edited by hand {step.value}")

    def _add_stray(self, step: Step) -> None:
        folders = [path for spec in self._specs.values() for path in spec.outputs if path.endswith("/")]
        if folders:
            self._checkout.write(f"{folders[step.pick % len(folders)]}stray.part", f"stray {step.value}")

    def _delete_record(self, step: Step) -> None:
        if paths := self._cached_paths():
            os.unlink(paths[step.pick % len(paths)])

    def _damage_record(self, step: Step) -> None:
        if paths := self._cached_paths():
            path = paths[step.pick % len(paths)]
            self._damage(path, step.value)
            self._checkout.cached = {
                footprint: place for footprint, place in self._checkout.cached.items() if place != path
            }

    def _delete_blob(self, step: Step) -> None:
        if blobs := self._blobs():
            os.unlink(blobs[step.pick % len(blobs)])

    def _damage_blob(self, step: Step) -> None:
        if blobs := self._blobs():
            path = blobs[step.pick % len(blobs)]
            os.chmod(path, 0o644)
            self._damage(path, step.value)

    def _lose_output(self, step: Step) -> None:
        """Lose an output together with its blob, or with what the blob holds."""
        if not (path := self._pick_output(step.pick)):
            return
        place = self._checkout.project.absolute(path)
        with open(place, "rb") as file:
            blob = self._checkout.place.blob(hashlib.sha256(file.read()).hexdigest())
        os.unlink(place)
        if os.path.exists(blob):
            os.chmod(blob, 0o644)
            if step.value % 3:
                self._damage(blob, step.value)
            else:
                os.unlink(blob)

    def _forget(self, step: Step) -> None:
        """Lose what was noted of last results: files of tasks that are gone now count as the user's."""
        path = os.path.join(self._checkout.project.state, "last.json")
        if os.path.exists(path):
            os.unlink(path)
        self._checkout.left.clear()

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

    # building

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
        report = checkout.build(self._specs, order)
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

    # choosing

    def _add(self, seed: Seed) -> None:
        number, self._number = self._number, self._number + 1
        lower = list(self._specs.values())
        picked = [lower[pick % len(lower)] for pick in seed.after] if lower else []
        inputs = dict.fromkeys(path for kind, pick in seed.inputs if (path := self._input(kind, pick, number)))
        reads = [lower[pick % len(lower)].name for pick in seed.reads] if lower else []
        folder = f"g{number // GROUP}"
        outputs = {
            "none": (),
            "file": (f"{folder}/{number}.csv",),
            "folder": (f"d{number}/",),
            "both": (f"d{number}/", f"{folder}/{number}.csv"),
        }[seed.outputs]
        self._specs[f"t{number}"] = Spec(
            name=f"t{number}",
            number=number,
            program=Program(
                mode=seed.mode,
                ignores=seed.ignores,
                reads=tuple(dict.fromkeys(reads)),
                lists_upstream=seed.lists_upstream,
                imports=seed.imports,
            ),
            parameter=0,
            inputs=tuple(inputs),
            outputs=outputs,
            after=tuple(dict.fromkeys(spec.name for spec in picked)),
            cache=seed.cache,
            store=seed.store,
        )

    def _input(self, kind: str, pick: int, number: int) -> str | None:
        match kind:
            case "source":
                return SOURCES[pick % len(SOURCES)]
            case "sources":
                return ("src/*.txt", "src/")[pick % 2]
            case "group":
                groups = number // GROUP
                return f"g{pick % groups}/*.csv" if groups else None
            case _:
                return self._made_input(kind, pick)

    def _made_input(self, kind: str, pick: int) -> str | None:
        lower = [path for spec in self._specs.values() for path in spec.outputs]
        if not lower:
            return None
        path = lower[pick % len(lower)]
        if not path.endswith("/"):
            return path
        return {"output": path, "part": f"{path}0.part", "parts": f"{path}*.part"}[kind]

    def _pick(self, pick: int) -> Spec | None:
        specs = list(self._specs.values())
        return specs[pick % len(specs)] if specs else None

    def _pick_output(self, pick: int) -> str | None:
        paths = sorted(
            path
            for path in files_below(self._checkout.project.root)
            if not path.startswith(("src/", "lib/")) and not path.endswith("user.csv")
        )
        return paths[pick % len(paths)] if paths else None

    def _cached_paths(self) -> list[str]:
        return sorted({path for path in self._checkout.cached.values() if os.path.exists(path)})

    def _blobs(self) -> list[str]:
        return sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(self._checkout.place.blobs)
            for name in names
        )

    def _damage(self, path: str, value: int) -> None:
        """Flip a bit, or cut a file off."""
        with open(path, "r+b") as file:
            data = file.read()
            place = value % len(data)
            if value % 2:
                file.truncate(place)
            else:
                file.seek(place)
                file.write(bytes([data[place] ^ 1]))


def _outputs(spec: Spec, files: Files) -> dict[str, str]:
    return {path: text for path, text in files.items() if path.startswith(spec.outputs)} if spec.outputs else {}
