"""Makefiles whose rules execute notebooks: targets, what they need, and recipes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.imports.make_text import MOST_RULES, Makefile, Rule, expanded, parsed, stem_of
from nbmake_dag.scaffold.imports.papermill_calls import run_of, says_all, step_of_commands, step_of_run
from nbmake_dag.scaffold.imports.shell_lines import lines_of
from nbmake_dag.scaffold.imports.steps import Imported, SourceFile, Step, plain


def read_makefile(source: SourceFile) -> Imported:
    """Read rules; raises `UsageError` for a Makefile that executes no notebook."""
    made = parsed(source)
    folder = "" if source.folder == "." else source.folder
    rules = _concrete(made)
    made.phony |= {rule.targets[0] for rule in rules if _is_name(rule)}
    named = {target: rule for rule in rules for target in rule.targets}
    steps: list[Step] = []
    left_out: list[str] = []
    last: dict[str, str] = {}
    for rule in rules:
        found = _steps(source, made, rule, folder)
        if not found:
            continue
        if not rule.recipe or (not any(step.notebook for step in found) and set(rule.targets) <= made.phony):
            left_out += [target for target in rule.targets if rule.recipe and target not in {"all", ".PHONY"}]
            continue
        steps += found
        last |= dict.fromkeys((source.at(target, folder) for target in rule.targets), found[-1].name)
    if not any(step.notebook for step in steps):
        raise UsageError(
            f"{source.path} executes no notebook that can be seen",
            (),
            "recipes with `papermill` or `jupyter nbconvert --execute` are read",
        )
    unsaid = [*made.unsaid]
    if left_out:
        unsaid.append(f"the rules {', '.join(f'`{name}`' for name in left_out)}, which make no file of a notebook")
    return Imported(steps=_connected(source, steps, named, last, folder), unsaid=tuple(unsaid))


def _connected(
    source: SourceFile, steps: Sequence[Step], rules: Mapping[str, Rule], last: Mapping[str, str], folder: str
) -> tuple[Step, ...]:
    """Turn what a step needs beside files of tasks into ``after``: copies of notebooks, and phony targets.

    ``last`` has the last step of each target, by its path.
    """
    makers: dict[str, str] = {}
    copies: dict[str, str] = {}
    for step in steps:
        makers |= dict.fromkeys(plain(step.outputs), step.name)
        if step.notebook_output:
            copies[step.notebook_output] = step.name
    targets = {source.at(target, folder) for target in rules}

    def ends_at(path: str, depth: int = 0) -> list[str]:
        """Return the steps that a target without a file of its own stands for."""
        if path in copies:
            return [copies[path]]
        if path in last:
            return [last[path]]
        rule = next((rule for target, rule in rules.items() if source.at(target, folder) == path), None)
        if rule is None or depth > 20:
            return []
        return [name for need in rule.needs for name in ends_at(source.at(need, folder), depth + 1)]

    done: list[Step] = []
    for step in steps:
        inputs: list[str] = []
        after = [*step.after]
        for path in plain(step.inputs):
            if path not in makers and (path in copies or (path in targets and not source.has(path))):
                after += ends_at(path)
            else:
                inputs.append(path)
        after = [name for name in dict.fromkeys(after) if name != step.name]
        done.append(replace(step, inputs=tuple(inputs), after=tuple(after)))
    return tuple(done)


def _steps(source: SourceFile, made: Makefile, rule: Rule, folder: str) -> list[Step]:
    commands = [expanded(line, _automatic(rule), made.variables, source, folder) for line in rule.recipe]
    commands = [re.sub(r"^[@+-]+\s*", "", line.strip()).replace("$$", "$") for line in commands]
    commands = [line for line in commands if line]
    name = _name(rule.targets[0])
    files_of = partial(source.matching, folder=folder)
    lines = [line for command in commands for line in lines_of(command, {}, files_of)]
    if rule.recipe and all(line.words[0] in {"mkdir", "echo"} for line in lines):
        return []
    runs = [(line, run) for line in lines if (run := run_of(line.words, source, folder)) is not None]
    if len(runs) <= 1:
        steps = [step_of_commands(source, name, commands, folder)]
        if runs and not steps[0].notebook:
            steps = [step_of_run(source, name, runs[0][1], folder)]
            steps[0] = replace(steps[0], unsaid=(*steps[0].unsaid, "the other commands of its rule"))
    else:
        steps = [step_of_run(source, _numbered(name, n), run, folder) for n, (_, run) in enumerate(runs)]
        steps = [
            replace(
                step,
                after=(steps[n - 1].name,) if n else (),
                is_comment=step.is_comment or not says_all(line, run),
            )
            for n, (step, (line, run)) in enumerate(zip(steps, runs, strict=True))
        ]
    unknown = [line for line, run in runs if not says_all(line, run)]
    files = [source.at(target, folder) for target in rule.targets if target not in made.phony]
    needs = [source.at(path, folder) for path in (*rule.needs, *rule.only_before)]
    notebooks = {step.notebook for step in steps} | {step.notebook_output for step in steps}
    last = steps[-1]
    steps[-1] = replace(
        last,
        outputs=tuple(path for path in dict.fromkeys(files) if path not in notebooks),
        is_comment=last.is_comment or bool(unknown),
        unsaid=(
            *last.unsaid,
            *(f"a value that only make tells: `{' '.join(line.words)[:200]}`" for line in unknown),
        ),
    )
    inputs = tuple(path for path in dict.fromkeys(needs) if path not in notebooks)
    return [replace(step, inputs=inputs) for step in steps]


def _is_name(rule: Rule) -> bool:
    """Return whether the target of a rule seems to be no file, though nothing says that it is phony."""
    target = rule.targets[0]
    recipe = "\n".join(rule.recipe)
    is_made = re.search(rf"\$@|\$\(@|>\s*{re.escape(target)}(?![\w./-])", recipe) is not None
    return len(rule.targets) == 1 and not set(target) & {"/", "."} and not is_made


def _numbered(name: str, number: int) -> str:
    return name if number == 0 else f"{name}-{number + 1}"


def _name(target: str) -> str:
    return posixpath.splitext(posixpath.basename(target.rstrip("/")))[0] or target


def _automatic(rule: Rule) -> dict[str, str]:
    first = rule.needs[0] if rule.needs else ""
    target = rule.targets[0]
    found = {"@": target, "<": first, "^": " ".join(rule.needs), "?": " ".join(rule.needs), "*": rule.stem}
    found |= {f"{sign}D": posixpath.dirname(path) or "." for sign, path in (("@", target), ("<", first))}
    return found | {f"{sign}F": posixpath.basename(path) for sign, path in (("@", target), ("<", first))}


def _concrete(made: Makefile) -> list[Rule]:
    """Return the rules without a pattern, and those of a pattern for every file that one of them needs."""
    merged: dict[str, Rule] = {}
    found: list[Rule] = []
    for rule in made.rules:
        if rule.is_pattern:
            continue
        before = merged.get(rule.targets[0])
        if before is not None and len(rule.targets) == 1:
            joined = replace(
                before,
                needs=tuple(dict.fromkeys((*before.needs, *rule.needs))),
                recipe=rule.recipe or before.recipe,
            )
            found[found.index(before)] = joined
            merged[rule.targets[0]] = joined
        else:
            found.append(rule)
            merged |= dict.fromkeys(rule.targets, rule)
    known = set(merged)
    pending = [need for rule in found for need in rule.needs]
    while pending and len(found) < MOST_RULES:
        need = pending.pop()
        if need in known:
            continue
        known.add(need)
        for rule in made.rules:
            stem = stem_of(rule.targets[0], need) if rule.is_pattern and rule.recipe else None
            if stem is not None:
                made_rule = replace(
                    rule,
                    targets=tuple(target.replace("%", stem) for target in rule.targets),
                    needs=tuple(path.replace("%", stem) for path in rule.needs),
                    stem=stem,
                )
                found.append(made_rule)
                pending += made_rule.needs
                break
    return found
