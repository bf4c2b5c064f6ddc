"""The registered executors. Another one is a module with an `ExecutorKind`, and an entry in `KINDS`."""

from __future__ import annotations

from nbmake_dag.errors import UsageError
from nbmake_dag.execute import inline
from nbmake_dag.execute.executor_kind import Backend, BuildContext, ExecutorKind
from nbmake_dag.execute.ray import kind as ray

AUTO = "auto"
ONE_AT_A_TIME = inline.NAME
KINDS: tuple[ExecutorKind, ...] = (inline.KIND, ray.KIND)
"""In the order in which a build that may choose starts them."""


def configured(wanted: str, context: BuildContext) -> tuple[Backend, ...]:
    """Return what a build uses, the first one first; raises `UsageError` for options of another executor.

    Where a build may choose and an executor has other machines, that one takes everything.
    """
    kinds = [kind for kind in KINDS if wanted in {AUTO, kind.name}]
    known = {option.name for kind in kinds for option in kind.options}
    if foreign := sorted(context.options.keys() - known):
        raise UsageError(f"`--{foreign[0]}` does not go with `--executor={wanted}`", (), "leave one of them out")
    backends = tuple(backend for kind in kinds if (backend := kind.configure(context)))
    if not backends:
        raise UsageError(
            f"`--executor={wanted}` needs a package that is not installed",
            (),
            f"pip install {kinds[0].package}, or leave the option out: tasks then run one at a time",
        )
    return tuple(backend for backend in backends if backend.travels) or backends
