"""Which tool a file belongs to, and the pipeline that it declares."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.imports.code import with_code
from nbmake_dag.scaffold.imports.dvc import read_dvc
from nbmake_dag.scaffold.imports.makefile import read_makefile
from nbmake_dag.scaffold.imports.ploomber import read_ploomber
from nbmake_dag.scaffold.imports.predecessor import read_predecessor
from nbmake_dag.scaffold.imports.scripts import read_python, read_shell
from nbmake_dag.scaffold.imports.snakefile import read_snakefile
from nbmake_dag.scaffold.imports.steps import Imported, SourceFile, Step, settled

_SHEBANG = re.compile(r"#!.*\b(?:ba|da|k|z)?sh\b")
_MOST_ROUNDS = 20
KINDS = (
    "Ploomber's pipeline.yaml, a Snakefile, DVC's dvc.yaml, a Makefile or a script with papermill calls, or a"
    " driver of pynb_dag_runner"
)


def read_pipeline(
    root: str, path: str, refused: Callable[[Sequence[Step], Sequence[str]], Mapping[str, str]]
) -> Imported:
    """Read a file of another tool without executing it; raises `UsageError`.

    ``refused`` gets steps and what cannot be said, and returns why some of them, by name, cannot be planned: those
    become comments.
    """
    source = SourceFile.read(root, path)
    reader = _reader(source)
    if reader is None:
        raise UsageError(f"{source.path} is of no kind that is understood", (), f"understood are {KINDS}")
    try:
        found = reader(source)
        steps = settled(source, with_code(source, found.steps))
    except RecursionError:
        raise UsageError(f"{source.path} holds expressions that are nested too deep") from None
    unsaid = tuple(dict.fromkeys(found.unsaid))
    for _ in range(_MOST_ROUNDS):
        reasons = refused(steps, unsaid)
        if not reasons:
            break
        steps = settled(source, (_refused(step, reasons) for step in steps))
    else:
        steps = tuple(replace(step, is_comment=True) for step in steps)
    if all(step.is_comment for step in steps):
        facts = tuple((step.name, what) for step in steps[:5] for what in step.unsaid[-1:])
        raise UsageError(f"{source.path} declares nothing that can be a task", facts)
    return Imported(steps=steps, unsaid=unsaid)


def _refused(step: Step, reasons: Mapping[str, str]) -> Step:
    if step.name not in reasons:
        return step
    return replace(step, is_comment=True, unsaid=(*step.unsaid, f"a task as it is: {reasons[step.name]}"))


def _reader(source: SourceFile) -> Callable[[SourceFile], Imported] | None:
    name = posixpath.basename(source.path)
    stem, suffix = posixpath.splitext(name)
    match suffix:
        case ".yaml" | ".yml":
            return (
                read_dvc if stem == "dvc" or re.search(r"^stages:", source.text, re.MULTILINE) else read_ploomber
            )
        case ".smk":
            return read_snakefile
        case ".mk":
            return read_makefile
        case ".sh" | ".bash" | ".zsh" | ".ksh":
            return read_shell
        case ".py":
            return read_predecessor if "pynb_dag_runner" in source.text else read_python
        case _ if name in {"Makefile", "makefile", "GNUmakefile"}:
            return read_makefile
        case _ if stem == "Snakefile" or suffix == ".snakefile":
            return read_snakefile
        case _ if _SHEBANG.match(source.text):
            return read_shell
        case _:
            return None
