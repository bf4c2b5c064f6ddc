"""Random pipelines with families whose instances tasks make, and what they come to when computed from scratch."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

NAMES = ("a", "b", "c", "d")
SOURCES = ("src/0.json", "src/1.json")
Files = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A task of the model: ``what`` it does, and where its instances come from, if it has some."""

    name: str
    what: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    gathers: str = ""
    after: str = ""
    files: str = ""
    rows: str = ""

    def toml(self) -> str:
        lines = [f"[tasks.{self.name}]", f'command = ["{self.what}"]', f"outputs = {json.dumps(self.outputs)}"]
        lines += [f'inputs = {{ all = {{ task = "{self.gathers}" }} }}'] if self.gathers else []
        lines += [f"inputs = {json.dumps(self.inputs)}"] if self.inputs else []
        lines += [f'after = ["{self.after}"]'] if self.after else []
        lines += [f'instances = {{ files = "{self.files}" }}'] if self.files else []
        lines += [f'instances = {{ rows = "{self.rows}" }}'] if self.rows else []
        return "\n".join(lines)


def pipeline_of(choices: random.Random) -> list[Spec]:
    """Make a pipeline in which each task comes after all that it needs."""
    specs: list[Spec] = []
    for number, source in enumerate(SOURCES):
        mode = choices.choice(("each", "coarse"))
        mid = f"mid{number}/{{n}}.txt"
        if choices.random() < 0.5:
            raw = f"raw{number}/{{n}}.txt"
            specs += [
                Spec(name=f"make{number}", what="split", inputs=(source,), outputs=(f"raw{number}/",)),
                Spec(name=f"mid{number}", what=mode, files=raw, inputs=(raw,), outputs=(mid,)),
            ]
        else:
            specs += [
                Spec(name=f"make{number}", what="list", inputs=(source,), outputs=(f"list{number}.csv",)),
                Spec(
                    name=f"mid{number}",
                    what=mode,
                    rows=f"list{number}.csv",
                    inputs=choices.choice(((), SOURCES[:1])),
                    outputs=(mid,),
                ),
            ]
        last = f"mid{number}"
        match choices.choice(("none", "files", "fan", "relist")):
            case "files":
                last = f"top{number}"
                specs.append(Spec(name=last, what=mode, files=mid, inputs=(mid,), outputs=(f"{last}/{{n}}.txt",)))
            case "fan":
                deep, last = f"deep{number}/{{n}}/", f"leaf{number}"
                specs.append(Spec(name=f"deep{number}", what="fan", files=mid, inputs=(mid,), outputs=(deep,)))
                part, leaf = f"{deep}{{m}}.txt", f"{last}/{{n}}-{{m}}.txt"
                specs.append(Spec(name=last, what=mode, files=part, inputs=(part,), outputs=(leaf,)))
            case "relist":
                again, last = f"again{number}.csv", f"twice{number}"
                specs.append(
                    Spec(name=f"list{number}", what="relist", inputs=(f"mid{number}/*.txt",), outputs=(again,))
                )
                specs.append(Spec(name=last, what=mode, rows=again, outputs=(f"{last}/{{n}}.txt",)))
            case _:
                pass
        joined = (f"sum{number}.txt",)
        match choices.choice(("glob", "gather", "after")):
            case "glob":
                specs.append(Spec(name=f"sum{number}", what="join", inputs=(f"{last}/*.txt",), outputs=joined))
            case "gather":
                specs.append(Spec(name=f"sum{number}", what="join", gathers=last, outputs=joined))
            case _:
                specs.append(Spec(name=f"sum{number}", what="join", inputs=(source,), after=last, outputs=joined))
    return specs


def work(what: str, inputs: Files, outputs: tuple[str, ...]) -> Files:
    """Do what a task does: a pure function of its inputs."""
    (output,) = outputs
    number = int(hashlib.sha256(repr((inputs, outputs)).encode()).hexdigest(), 16)
    some = [name for place, name in enumerate(NAMES) if number >> place & 1]
    match what:
        case "split":
            made = json.loads(*inputs.values())
            return {f"{output}{name}.txt": f"{name} {made['salt'] % 2}" for name in made["names"]}
        case "list":
            return {output: "\n".join(("n", *json.loads(*inputs.values())["names"], ""))}
        case "relist":
            return {output: "\n".join(("n", *some, ""))}
        case "fan":
            return {f"{output}{name}.txt": f"{name} {number % 3}" for name in some}
        case "coarse":
            return {output: f"{output} {number % 2}"}
        case _:
            return {output: f"{output} {number}"}


def evaluate(specs: list[Spec], user: Files) -> Files:
    """Compute everything from scratch."""
    files = dict(user)
    made: dict[str, Files] = {}
    for spec in specs:
        made[spec.name] = {}
        for values in list(instances_of(spec, files)):
            inputs = dict(made[spec.gathers]) if spec.gathers else {}
            for path in (text.format(**values) for text in spec.inputs):
                inputs |= {name: text for name, text in sorted(files.items()) if means(path, name)}
            effect = work(spec.what, inputs, tuple(text.format(**values) for text in spec.outputs))
            made[spec.name] |= effect
        files |= made[spec.name]
    return files


def instances_of(spec: Spec, files: Files) -> Iterator[Mapping[str, str]]:
    if spec.rows:
        yield from csv.DictReader(io.StringIO(files[spec.rows]))
    elif spec.files:
        expression = re.sub(r"\\\{(\w)\\\}", r"(?P<\1>[^/]+)", re.escape(spec.files))
        yield from (found.groupdict() for path in sorted(files) if (found := re.fullmatch(expression, path)))
    else:
        yield {}


def means(pattern: str, path: str) -> bool:
    return fnmatchcase(path, pattern) and path.count("/") == pattern.count("/")
