"""Pipelines, facts and records in a line each, for tests of the core."""

from __future__ import annotations

from collections.abc import Mapping

from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.ingredients import Observed, Software, own_ingredients
from nbmake_dag.core.lookup import read_digest, read_name
from nbmake_dag.core.model import (
    Command,
    Input,
    Output,
    Pipeline,
    Policy,
    ProjectPath,
    Task,
    TaskName,
    Value,
    Work,
)
from nbmake_dag.core.vocabulary import ReadKind
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.key import Ingredient, Key, key_of
from nbmake_dag_cache.record import Logged, Origin, OutputFile, Record
from nbmake_dag_cache.record import Output as Made

NO_SOFTWARE = Software(lockfiles={}, packages={}, variables={})


def task(
    name: str,
    *,
    reads: str = "",
    makes: str = "",
    after: str = "",
    work: Work | str = "work",
    tags: str = "",
    family: str = "",
    cache: bool = True,
    check: bool = False,
    parameters: Mapping[str, Value] | None = None,
    instances: str = "",
) -> Task:
    """Make a task; inputs, outputs, ``after`` and tags are words of one text.

    ``instances`` is the file or glob that those of its family come from; it stands for all of them with ``[...]``.
    """
    return Task(
        name=TaskName(name),
        family=family or name.partition("[")[0],
        work=Command(arguments=work) if isinstance(work, str) else work,
        inputs=tuple(Input(path=ProjectPath(path), is_glob="*" in path) for path in reads.split()),
        outputs=tuple(Output(path=ProjectPath(path)) for path in makes.split()),
        after=tuple(TaskName(other) for other in after.split()),
        tags=frozenset(tags.split()),
        parameters=parameters or {},
        policy=Policy(cache=cache, check=check),
        source=Input(path=ProjectPath(instances), is_glob="*" in instances) if instances else None,
        is_unknown=name.endswith("[...]"),
        line=len(name),
    )


def pipeline(*tasks: Task) -> Pipeline:
    return Pipeline(name="test", tasks={item.name: item for item in tasks})


def graph(*tasks: Task) -> Graph:
    return build_graph(pipeline(*tasks))


def chain(length: int) -> Graph:
    """Make tasks 0, 1, 2…, each of which reads what the one before it makes."""
    return graph(
        *(task(str(n), reads=f"{n - 1}.csv" if n else "", makes=f"{n}.csv") for n in range(length)),
    )


def made(path: str, text: str | Mapping[str, str]) -> Made:
    """Describe an output: a file with a text, or a folder with files."""
    if isinstance(text, str):
        return Made(path=path, digest=digest_text(text), files=(_file(path, text),))
    files = tuple(_file(path + name, content) for name, content in text.items())
    return Made(path=path, digest=digest_text(repr(sorted(text.items()))), files=files)


def _file(path: str, text: str) -> OutputFile:
    return OutputFile(path=path, xxh3=digest_text(text), sha256=digest_text(text) * 2, size=len(text))


def result(*outputs: Made, **metrics: float) -> Result:
    return Result(
        outputs={ProjectPath(output.path): output for output in outputs},
        logged=Logged(metrics={**metrics}),
        parameters={},
    )


class Past:
    """What a graph's tasks did before, and what is on disk now: the facts of a build.

    A source's text is on disk for each external input; outputs are where the last execution put them.
    """

    def __init__(self, of: Graph, **sources: str) -> None:
        self.graph = of
        self.sources = {path.replace("__", "/").replace("_", "."): text for path, text in sources.items()}
        self.present: dict[str, Digest] = {}
        self.records: dict[Key, list[Record]] = {}
        self.results: dict[TaskName, Result] = {}
        self.previous: dict[TaskName, Record] = {}
        self.modules: dict[str, str] = {}
        self.clock = 0

    def own(self, name: str) -> tuple[Ingredient, ...]:
        inputs = {
            item: ((item.path, digest_text(self.sources[item.path])),)
            for item in self.graph.external[TaskName(name)]
            if item.path in self.sources
        }
        observed = Observed(inputs=inputs)
        return own_ingredients(self.graph.tasks[TaskName(name)], observed, NO_SOFTWARE, "")

    def ran(
        self, name: str, *, used: str = "", saw: tuple[str, ReadKind, str | None] | None = None, **logged: float
    ) -> Past:
        """Note an execution of a task; ``used`` is a module that it loaded, ``saw`` a value that it read."""
        return self.left(
            name,
            *(output.path for output in self.graph.tasks[TaskName(name)].outputs),
            text="",
            used=used,
            saw=saw,
            **logged,
        )

    def left(
        self,
        name: str,
        *paths: str,
        text: str = "",
        used: str = "",
        saw: tuple[str, ReadKind, str | None] | None = None,
        **logged: float,
    ) -> Past:
        """Note an execution that left the same text, by default the task's name, in each of its outputs."""
        self.clock += 1
        task_name = TaskName(name)
        own = self.own(name)
        outputs = tuple(
            made(path, {"part": text or name} if path.endswith("/") else text or name) for path in paths
        )
        above = tuple(
            Ingredient("input", edge_label, digest, "upstream", path)
            for edge_label, path, digest in self._above(task_name)
        )
        trace: tuple[Ingredient, ...] = ()
        if used:
            trace += (Ingredient("module", used, self.modules.get(used, ""), "trace"),)
        if saw:
            spelled = read_name(*saw)
            trace += (Ingredient("read", spelled, read_digest(spelled, self.results), "trace"),)
        record = Record(
            key=key_of((*own, *above, *trace)),
            static_key=key_of((*own, *above)),
            own_key=key_of(own),
            task=name,
            ingredients=(*own, *above, *trace),
            outputs=outputs,
            logged=Logged(metrics={**logged}),
            origin=Origin(run_id="r", trace_id="0" * 32, span_id="0" * 16, started=self.clock, duration_s=1.0),
        )
        self.records.setdefault(record.own_key, []).insert(0, record)
        self.previous[task_name] = record
        self.present |= {output.path: Digest(output.digest) for output in outputs}
        self.results[task_name] = result_of(record, self.graph.tasks[task_name].parameters)
        return self

    def _above(self, name: TaskName) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        of = self.graph.tasks[name]
        for edge in self.graph.edges[name]:
            output = self.results[edge.producer].outputs[edge.output]
            found.append((str(of.inputs.index(edge.input)), edge.output, output.digest))
        return found

    def now(self, of: Graph | None = None, **sources: str) -> Past:
        """Return the same past seen from another pipeline, or with other sources."""
        other = Past(of or self.graph)
        other.sources = self.sources | {
            path.replace("__", "/").replace("_", "."): text for path, text in sources.items()
        }
        other.present, other.records, other.results = dict(self.present), self.records, dict(self.results)
        other.previous, other.modules, other.clock = dict(self.previous), dict(self.modules), self.clock
        return other

    def facts(self) -> dict[TaskName, Facts]:
        found: dict[TaskName, Facts] = {}
        for name in self.graph.order:
            own = self.own(name)
            key = key_of(own)
            found[name] = Facts(
                own=own,
                own_key=key,
                records=tuple(self.records.get(key, ())),
                present={ProjectPath(path): digest for path, digest in self.present.items()},
                modules=self.modules,
                previous=self.previous.get(name),
            )
        return found
