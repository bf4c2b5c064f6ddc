"""Keep the scripts that draw interactive figures, from the packages of the notebook that has shown some.

The site can then show them without network. A script is logged as an artifact with a media type of its own; as a
blob it is shared by all tasks that have the same version.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version

from nbmake_dag.inside.artifacts import log_data

MEDIA_TYPE = "text/javascript; nbdag=figures"
_BOKEH = ("bokeh", "bokeh-gl", "bokeh-widgets", "bokeh-tables")


def keep(kinds: list[str]) -> None:
    """Log the script of each kind of figure whose package is here; no failure of it is one of the notebook."""
    for kind in kinds:
        try:
            package, read = _SCRIPTS[kind]
            log_data(f"figures/{kind} {version(package)}.js", read().encode(), MEDIA_TYPE)
        except Exception:  # noqa: BLE001, S112 - packages of any version may fail in any way
            continue


def _plotly() -> str:
    return _read("plotly", "package_data", "plotly.min.js")


def _bokeh() -> str:
    return "\n;".join(_read("bokeh", "server", "static", "js", f"{name}.min.js") for name in _BOKEH)


def _vega() -> str:
    script: str = import_module("vl_convert").javascript_bundle()
    return script


def _read(package: str, *path: str) -> str:
    folder = os.path.dirname(str(import_module(package).__file__))
    with open(os.path.join(folder, *path), encoding="utf-8") as file:
        return file.read()


_SCRIPTS: dict[str, tuple[str, Callable[[], str]]] = {
    "plotly": ("plotly", _plotly),
    "bokeh": ("bokeh", _bokeh),
    "vega": ("vl-convert-python", _vega),
}
