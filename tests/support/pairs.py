"""Pairs of runs between which several things changed, of which some are guilty of a worse metric."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.support.project import Project

_KINDS = ("module", "input", "parameter", "cell")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Changes by their kinds; the guilty ones carry the difference, each a share of it or only together."""

    kinds: tuple[str, ...]
    guilty: frozenset[int]
    is_shared: bool
    noise: float = 0.0

    @property
    def named(self) -> frozenset[str]:
        """How the guilty ones begin where they are named."""
        return frozenset(self._name(each) for each in self.guilty)

    def _name(self, number: int) -> str:
        match self.kinds[number]:
            case "module":
                return f"module part_{number}.py"
            case "input":
                return f"input in_{number}.txt"
            case "parameter":
                return f"tasks.train.parameters.p_{number}"
            case _:
                cells = [each for each, kind in enumerate(self.kinds) if kind == "cell"]
                return f"cell {cells.index(number) + 2} of train.py"


def pair_of(seed: int, *, noise_alone: bool = False) -> Pair:
    """Choose 3 to 12 changes, of which one to three are guilty, or none of which only noise is seen."""
    chance = random.Random(seed)
    count = chance.randint(3, 12)
    kinds = tuple(chance.choice(_KINDS if seed % 3 == 0 else _KINDS[:3]) for _ in range(count))
    guilty = frozenset() if noise_alone else frozenset(chance.sample(range(count), chance.randint(1, 3)))
    return Pair(kinds=kinds, guilty=guilty, is_shared=chance.random() < 0.5, noise=0.01 * noise_alone)


def make_pair(project: Project, pair: Pair) -> None:
    """Commit and build both states."""
    project.write(".gitignore", "/.nbdag/\n/model.txt\n__pycache__/\n")
    for state in (0, 1):
        _write(project, pair, state)
        project.commit()
        assert project.build("--executor=inline").code == 0


def _write(project: Project, pair: Pair, state: int) -> None:
    is_notebook = "cell" in pair.kinds
    of = {kind: [each for each, other in enumerate(pair.kinds) if other == kind] for kind in _KINDS}
    for number in of["module"]:
        project.write(f"part_{number}.py", f"X = {state}\n")
    for number in of["input"]:
        project.write(f"in_{number}.txt", str(state))
    work = 'notebook = "train.py"' if is_notebook else 'function = "train:train"'
    inputs = ", ".join(f'"in_{number}.txt"' for number in of["input"])
    parameters = ", ".join(f"p_{number} = {state}" for number in of["parameter"])
    project.pipeline(f"""
        [tasks.train]
        {work}
        inputs = [{inputs}]
        parameters = {{ {parameters} }}
        outputs = ["model.txt"]
    """)
    values = {
        "module": [f"import part_{n}\nv[{n}] = part_{n}.X" for n in of["module"]],
        "input": [f"v[{n}] = int(open('in_{n}.txt').read())" for n in of["input"]],
        "parameter": [f"v[{n}] = p_{n}" for n in of["parameter"]],
    }
    read = "\n".join(line for lines in values.values() for line in lines)
    share = "sum(v[n] for n in guilty) / len(guilty)" if pair.is_shared else "float(all(v[n] for n in guilty))"
    rest = (
        f"import random\nimport nbmake_dag as nbdag\n{read}\nguilty = {sorted(pair.guilty)}\n"
        f"share = {share if pair.guilty else 0.0}\n"
        f"nbdag.log_metric('accuracy', 0.957 - 0.045 * share + random.gauss(0, {pair.noise}))\n"
        "open('model.txt', 'w').write(str(sorted(v)))"
    )
    if is_notebook:
        cells = [f"# parameters\n{chr(10).join(f'p_{n} = 0' for n in of['parameter'])}\nv = {{}}"]
        cells += [f"v[{n}] = {state}" for n in of["cell"]]
        project.notebook("train.py", *cells, rest)
    else:
        body = "\n".join(f"    {line}" for line in f"v = {{}}\n{rest}".splitlines())
        names = ", ".join(f"p_{n}" for n in of["parameter"])
        (project / "train.py").write_text(f"def train({names}):\n{body}\n")
