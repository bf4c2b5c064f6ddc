"""Histories of git, made at random: branches and merges, commits that break, and one that changes a value."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from nbmake_dag.core.bisection import Revision, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeHistory:
    """A repository whose first commit is good and whose last is bad."""

    repository: str
    commits: tuple[Revision, ...]
    """Parents first."""
    culprit: Revision
    sides: Mapping[Revision, Side]
    """What a trial of each would say."""


def make_history(folder: str, seed: int, *, commits: int = 64, broken: float = 0.05) -> MadeHistory:
    """Make a history with merges, in which single commits and one stretch of them are broken."""
    chance = random.Random(seed)
    parents: list[tuple[int, ...]] = [()]
    heads = [0]
    for number in range(1, commits):
        last = number == commits - 1
        if len(heads) > 1 and (last or chance.random() < 0.25):
            merged = tuple(heads) if last else tuple(chance.sample(heads, 2))
            heads = [head for head in heads if head not in merged]
            parents.append(merged)
        else:
            start = chance.choice(heads)
            if len(heads) > 2 or chance.random() < 0.75:
                heads.remove(start)
            parents.append((start,))
        heads.append(number)
    above: list[set[int]] = []
    for number, those in enumerate(parents):
        above.append({number}.union(*(above[parent] for parent in those)))
    culprit = chance.choice([number for number in sorted(above[-1]) if number])
    stretch = chance.randrange(1, commits - 3)
    unlucky = {number for number in range(1, commits - 1) if chance.random() < broken}
    unlucky |= {stretch, stretch + 1}
    # else nobody could tell which of two it was
    unlucky -= {culprit, *parents[culprit]}
    names = _written(folder, parents)
    sides = {
        names[number]: Side.SKIPPED if number in unlucky else Side.BAD if culprit in above[number] else Side.GOOD
        for number in range(commits)
    }
    return MadeHistory(repository=folder, commits=tuple(names), culprit=names[culprit], sides=sides)


def _written(folder: str, parents: list[tuple[int, ...]]) -> list[Revision]:
    """Write commits with these parents; each changes one file, and some rename it."""
    os.makedirs(folder)
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    lines: list[str] = []
    for number, those in enumerate(parents):
        lines += ["commit refs/heads/main", f"mark :{number + 1}"]
        lines += [f"committer A <a@b.c> {1_700_000_000 + 60 * number} +0000", "data 0"]
        lines += [f"{'merge' if place else 'from'} :{parent + 1}" for place, parent in enumerate(those)]
        lines += ["deleteall", f"M 644 inline code{number // 16}.py", f"data {len(str(number))}", str(number)]
    lines.append("")
    marks = os.path.join(folder, ".git", "marks")
    subprocess.run(
        ["git", "fast-import", "--quiet", f"--export-marks={marks}"],
        cwd=folder,
        input="\n".join(lines),
        text=True,
        check=True,
    )
    with open(marks, encoding="ascii") as file:
        found = dict(line.split() for line in file)
    return [Revision(found[f":{number + 1}"]) for number in range(len(parents))]
