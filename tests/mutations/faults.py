"""The mistakes that build tools make, each written as an edit of the source."""

from __future__ import annotations

from dataclasses import dataclass

MODEL = "tests/core/test_simulation.py"
SURVEY = "tests/observe/test_survey.py"
KEEP = "tests/engine/test_restore.py"
SCRIPTS = "tests/observe/test_scripts.py"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One wrong edit, and the tests that should notice."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


FAULTS = (
    Fault(
        name="ignore a parameter's type",
        path="nbmake_dag/core/ingredients.py",
        old='Ingredient("parameter", name, literal(value))',
        new='Ingredient("parameter", name, str(value).lower().removesuffix(".0"))',
        tests=("tests/core/test_ingredients.py",),
    ),
    Fault(
        name="let literals run into each other",
        path="cache/nbmake_dag_cache/syntax.py",
        old='    float: lambda number: f"{number!r};",\n',
        new="    float: repr,\n",
        tests=("tests/cache/test_identity_syntax.py",),
    ),
    Fault(
        name="trust mtime",
        path="cache/nbmake_dag_cache/stamps.py",
        old="return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino",
        new="return status.st_size, status.st_mtime_ns, 0, 0",
        tests=("tests/cache/test_memo.py",),
    ),
    Fault(
        name="skip the 2 s rule",
        path="cache/nbmake_dag_cache/stamps.py",
        old="_REST_NS = 2_000_000_000",
        new="_REST_NS = -(10**18)",
        tests=("tests/cache/test_memo.py",),
    ),
    Fault(
        name="forget a second-level module",
        path="nbmake_dag/observe/modules.py",
        old="                if identity is not None:\n",
        new="                if identity is None:\n",
        tests=(SURVEY, SCRIPTS),
    ),
    Fault(
        name="forget a glob's membership",
        path="nbmake_dag/core/ingredients.py",
        old="        files = observed.inputs.get(item, ())\n",
        new="        files = () if item.is_glob else observed.inputs.get(item, ())\n",
        tests=(SURVEY,),
    ),
    Fault(
        name="forget a glob's new file",
        path="nbmake_dag/observe/inputs.py",
        old="                yield path, digest\n",
        new='                yield ProjectPath("any"), digest_bytes(b"")\n',
        tests=(SURVEY,),
    ),
    Fault(
        name="forget downstream: what is above is in no key",
        path="nbmake_dag/core/lookup.py",
        old="    upstream = tuple(upstream_ingredients(graph.tasks[name], graph.edges[name], results))\n",
        new="    upstream: tuple[Ingredient, ...] = ()\n",
        tests=("tests/core/test_schedule.py",),
    ),
    Fault(
        name="forget downstream: no edge for a folder",
        path="nbmake_dag/core/graph.py",
        old="        direct = next((path for path in _enclosing(item.path) if path in owners), None)\n",
        new="        direct = item.path if item.path in owners else None\n",
        tests=("tests/core/test_graph.py",),
    ),
    Fault(
        name="no early cutoff",
        path="nbmake_dag/core/schedule.py",
        old="            match decision:\n",
        new=(
            "            if any(self.states[other] is State.RAN for other in self._graph.upstream[name]):\n"
            "                keys = task_keys(name, self._graph, self._facts[name], self._results)\n"
            '                decision = Stale(reasons=("above",), keys=keys)\n'
            "            match decision:\n"
        ),
        tests=("tests/core/test_schedule.py",),
    ),
    Fault(
        name="accept a truncated record",
        path="cache/nbmake_dag_cache/record.py",
        old="    if not data.startswith(_PREFIX + xxh3_128_hexdigest(body).encode() + b'\"'):\n",
        new="    if not data.startswith(_PREFIX):\n",
        tests=("tests/cache/test_records.py",),
    ),
    Fault(
        name="accept a record whose blob is missing",
        path="nbmake_dag/engine/results/restore.py",
        old="            blobs.restore(file.sha256, project.absolute(file.path), executable=file.executable)\n",
        new=(
            "            if blobs.has(file.sha256):\n"
            "                blobs.restore(file.sha256, project.absolute(file.path), executable=file.executable)\n"
        ),
        tests=(KEEP,),
    ),
    Fault(
        name="restore a damaged blob",
        path="cache/nbmake_dag_cache/blobs.py",
        old="                if digest.hexdigest() != sha256:\n                    self._discard(sha256)\n",
        new="",
        tests=(KEEP,),
    ),
    Fault(
        name="publish after an input changed",
        path="nbmake_dag/engine/results/publish.py",
        old="    changed = set(after.changed_since(task, facts.own, written))\n",
        new="    changed: set[str] = set()\n",
        tests=(SURVEY,),
    ),
    Fault(
        name="publish after what is above changed",
        path="nbmake_dag/engine/results/publish.py",
        old="    changed |= set(_changed_upstream(task, survey.graph, results, after))\n",
        new="",
        tests=(SURVEY,),
    ),
    Fault(
        name="ignore a deleted output",
        path="nbmake_dag/core/decide.py",
        old="        if facts.present.get(ProjectPath(output.path)) != output.digest\n",
        new="        if facts.present.get(ProjectPath(output.path), output.digest) != output.digest\n",
        tests=("tests/core/test_decide.py",),
    ),
    Fault(
        name="take an upstream digest from disk instead of its record",
        path="nbmake_dag/core/schedule.py",
        old="        self._results[task] = result\n",
        new=(
            "        from msgspec.structs import replace\n"
            "        present = self._facts[task].present\n"
            "        self._results[task] = Result(\n"
            "            outputs={\n"
            "                path: replace(output, digest=present.get(path, output.digest))\n"
            "                for path, output in result.outputs.items()\n"
            "            },\n"
            "            logged=result.logged,\n"
            "            parameters=result.parameters,\n"
            "        )\n"
        ),
        tests=("tests/core/test_lookup.py", MODEL),
    ),
    Fault(
        name="use a trace of another static key",
        path="nbmake_dag/core/lookup.py",
        old=("    usable = [record for record in facts.records if record.static_key == keys.static_key]\n"),
        new=(
            "    usable = list(facts.records)\n"
            "    for record in usable:\n"
            "        recorded = [item for item in record.ingredients if item.stage == 'trace']\n"
            "        present = list(present_trace(name, record.trace, graph, facts.modules, results))\n"
            "        if recorded and recorded == present:\n"
            "            return record\n"
        ),
        tests=("tests/core/test_lookup.py",),
    ),
    Fault(
        name="keep a stale file in a glob",
        path="nbmake_dag/observe/inputs.py",
        old="            if not is_leaving:\n",
        new="            if True:\n",
        tests=(SURVEY,),
    ),
    Fault(
        name="leave an unrecorded file in a restored folder",
        path="nbmake_dag/engine/results/restore.py",
        old="            _clear(place, keep={project.absolute(file.path) for file in output.files})\n",
        new="",
        tests=(KEEP,),
    ),
    Fault(
        name="lose what the user edited",
        path="nbmake_dag/engine/state/rescued_files.py",
        old='            if not is_ours and not blobs.is_sound(held.get((relative, digest), "")):\n',
        new="            if False:\n",
        tests=(KEEP,),
    ),
)
