"""IPython's input transformation, loaded without the rest of IPython, which takes much longer to import."""

from __future__ import annotations

import builtins
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from os.path import dirname, join
from types import SimpleNamespace
from typing import Any


def transform_cell(source: str) -> str:
    """Turn the text of a cell into the Python that IPython executes; raises any error of IPython."""
    transformed: str = _transformer_manager().transform_cell(source)
    return transformed


@cache
def package_version(package: str, module: str) -> str:
    """Read ``__version__`` of a package's ``module`` without importing the package."""
    version: str = _execute(package, module)["__version__"]
    return version


@cache
def _transformer_manager() -> Any:
    return _execute("IPython", "core/inputtransformer2.py")["TransformerManager"]()


def _execute(package: str, module: str) -> dict[str, Any]:
    """Execute one module of a package for us alone; imports that it makes, but one, are ordinary ones."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    name = f"{__name__}.{module}"
    code = SourceFileLoader(name, join(dirname(spec.origin), module)).get_code(name)
    scope = {"__name__": name, "__builtins__": {**vars(builtins), "__import__": _import}}
    exec(code, scope)  # type: ignore[arg-type] # noqa: S102
    return scope


def _import(name: str, scope: Any = None, local: Any = None, names: Any = (), level: int = 0) -> Any:
    if name == "IPython.utils" and names == ("tokenutil",):
        return SimpleNamespace(tokenutil=SimpleNamespace(**_execute("IPython", "utils/tokenutil.py")))
    return __import__(name, scope, local, names, level)
