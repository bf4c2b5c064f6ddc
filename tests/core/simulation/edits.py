"""What a user, or bad luck, does to a project between builds."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import Any

from tests.core.simulation.checkout import Checkout
from tests.core.simulation.world import (
    GROUP,
    MODULES,
    SOURCES,
    Program,
    Spec,
    Specs,
    files_below,
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


class Edits:
    """A project on disk, its pipeline, and the pipelines that it had."""

    def __init__(self, checkout: Checkout, seeds: list[Seed]) -> None:
        self.specs: dict[str, Spec] = {}
        self._checkout = checkout
        self._past: list[Specs] = []
        self._number = 0
        for path in SOURCES:
            checkout.write(path, "0")
        for path in MODULES:
            checkout.write(path, "VALUE = 0\n")
        for seed in seeds:
            self._add(seed)

    def remember(self) -> None:
        """Note the pipeline as one that may come back."""
        self._past.append(dict(self.specs))

    def apply(self, step: Step) -> None:
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
            self.specs[spec.name] = replace(spec, program=replace(spec.program, **changes))

    def _set_parameter(self, step: Step) -> None:
        if spec := self._pick(step.pick):
            self.specs[spec.name] = replace(spec, parameter=PARAMETERS[step.value % len(PARAMETERS)])

    def _drop_input(self, step: Step) -> None:
        if (spec := self._pick(step.pick)) and spec.inputs:
            gone = step.value % len(spec.inputs)
            self.specs[spec.name] = replace(spec, inputs=(*spec.inputs[:gone], *spec.inputs[gone + 1 :]))

    def _drop_after(self, step: Step) -> None:
        if spec := self._pick(step.pick):
            self.specs[spec.name] = replace(spec, after=spec.after[1:])

    def _add_task(self, step: Step) -> None:
        assert step.seed is not None
        self._add(step.seed)

    def _remove_task(self, step: Step) -> None:
        """Remove a task, and what others need of it."""
        if not (gone := self._pick(step.pick)):
            return
        del self.specs[gone.name]
        for spec in self.specs.values():
            needed = {path for path in spec.inputs if "*" not in path and producers({gone.name: gone}, path)}
            inputs = tuple(path for path in spec.inputs if path not in needed)
            after = tuple(name for name in spec.after if name != gone.name)
            self.specs[spec.name] = replace(spec, inputs=inputs, after=after)

    def _rename_task(self, step: Step) -> None:
        if not (old := self._pick(step.pick)):
            return
        new = f"renamed{old.number}_{len(self._past)}"
        self.specs = {
            new if name == old.name else name: replace(
                spec,
                name=new if name == old.name else name,
                after=tuple(new if other == old.name else other for other in spec.after),
            )
            for name, spec in self.specs.items()
        }

    def _revert_pipeline(self, step: Step) -> None:
        self.specs = dict(self._past[step.pick % len(self._past)])

    def _delete_output(self, step: Step) -> None:
        if path := self._pick_output(step.pick):
            os.unlink(self._checkout.project.absolute(path))

    def _tamper_output(self, step: Step) -> None:
        if path := self._pick_output(step.pick):
            self._checkout.write(path, f"edited by hand {step.value}")

    def _add_stray(self, step: Step) -> None:
        folders = [path for spec in self.specs.values() for path in spec.outputs if path.endswith("/")]
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
            for places in self._checkout.made.values():
                places.discard(path)

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
            blob = self._checkout.layout.blob(hashlib.sha256(file.read()).hexdigest())
        os.unlink(place)
        if os.path.exists(blob):
            os.chmod(blob, 0o644)
            if step.value % 3:
                self._damage(blob, step.value)
            else:
                os.unlink(blob)

    def _forget(self, step: Step) -> None:
        """Lose what was noted of last results, which decides nothing."""
        path = os.path.join(self._checkout.project.state, "last.json")
        if os.path.exists(path):
            os.unlink(path)

    def _add(self, seed: Seed) -> None:
        number, self._number = self._number, self._number + 1
        lower = list(self.specs.values())
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
        self.specs[f"t{number}"] = Spec(
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
        lower = [path for spec in self.specs.values() for path in spec.outputs]
        if not lower:
            return None
        path = lower[pick % len(lower)]
        if not path.endswith("/"):
            return path
        return {"output": path, "part": f"{path}0.part", "parts": f"{path}*.part"}[kind]

    def _pick(self, pick: int) -> Spec | None:
        specs = list(self.specs.values())
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
            for folder, _, names in os.walk(self._checkout.layout.blobs)
            for name in names
        )

    def _damage(self, path: str, value: int) -> None:
        """Flip a bit, or cut a file off, unless nothing is left of it."""
        with open(path, "r+b") as file:
            data = file.read()
            if not data:
                return
            place = value % len(data)
            if value % 2:
                file.truncate(place)
            else:
                file.seek(place)
                file.write(bytes([data[place] ^ 1]))
