"""The scripts of libraries that drew figures are kept from the environment of the kernel."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nbmake_dag.execute.log_reader import fold_log
from nbmake_dag.inside.figure_scripts import MEDIA_TYPE, keep
from nbmake_dag_cache.blobs import BlobStore

FIGURE = """
from IPython.display import display
display({"application/vnd.plotly.v1+json": {"data": []}, "text/plain": "Figure"}, raw=True)"""


def install(folder: Path, package: str, version: str, **files: str) -> None:
    """Make a package as pip does; the names of its files have ``__`` for slashes."""
    about = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}{'.py' if path.name in ('init', 'vl_convert') else '.min.js'}").write_text(
            text
        )


@pytest.fixture
def logged(tmp_path: Path):
    """Read what was logged into the folder of a test."""

    def read() -> dict[str, bytes]:
        blobs = BlobStore(str(tmp_path / "blobs"))
        found = fold_log(str(tmp_path / "log"), str(tmp_path / "artifacts"), blobs).logged.artifacts
        assert {artifact.media_type for artifact in found.values()} <= {MEDIA_TYPE}
        return {name: blobs.read(artifact.sha256, 1 << 20) for name, artifact in found.items()}

    return read


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    values = {"NBDAG_LOG": str(tmp_path / "log"), "NBDAG_ARTIFACTS": str(tmp_path / "artifacts")}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def test_each_library_has_its_script_where_it_is_installed(tmp_path: Path, env, logged, monkeypatch) -> None:
    """The parts of bokeh are one script; a package that is absent, or looks otherwise, is passed over."""
    site = tmp_path / "site"
    (site / "bokeh").mkdir(parents=True)
    (site / "bokeh/__init__.py").touch()
    parts = {
        f"bokeh__server__static__js__{name}": name
        for name in ("bokeh", "bokeh-gl", "bokeh-widgets", "bokeh-tables")
    }
    install(site, "bokeh", "3.1", **parts)
    install(site, "vl-convert-python", "1.7", vl_convert="def javascript_bundle():\n    return 'vega'\n")
    install(site, "plotly", "9.9")
    monkeypatch.syspath_prepend(str(site))
    for name in ("bokeh", "vl_convert"):
        # what is imported of them is forgotten in the end
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)
    keep(["bokeh", "plotly", "vega", "unknown"])
    assert logged() == {
        "figures/bokeh 3.1.js": b"bokeh\n;bokeh-gl\n;bokeh-widgets\n;bokeh-tables",
        "figures/vega 1.7.js": b"vega",
    }


@pytest.mark.parametrize(("cell", "kept"), [(FIGURE, 1), ("\n1 + 1", 0), (f"{FIGURE}\nraise ValueError", 1)])
def test_a_notebook_that_shows_a_figure_keeps_the_script(
    run, env, logged, tmp_path: Path, cell: str, kept: int
) -> None:
    """Also where it fails afterwards; one without figures keeps nothing."""
    site = tmp_path / "site"
    (site / "plotly").mkdir(parents=True)
    (site / "plotly/__init__.py").touch()
    install(site, "plotly", "6.1", plotly__package_data__plotly="window.Plotly = 1")
    ran = run(f"\nimport sys\nsys.path.append({str(site)!r})", cell, env=env)
    assert ran.run.outcome == ("failed" if "raise" in cell else "succeeded")
    assert logged() == ({"figures/plotly 6.1.js": b"window.Plotly = 1"} if kept else {})


def test_a_widget_is_beside_its_output(run) -> None:
    """What comm messages said of it is HTML at the end, where ipywidgets is not installed either."""
    ran = run(
        """
import comm
from IPython.display import display
state = {"_model_module": "@jupyter-widgets/controls", "_model_name": "IntSliderModel", "value": 3}
model = comm.create_comm(target_name="jupyter.widget", comm_id="m", data={"state": state})
display({"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "slider"}, raw=True)
model.send({"method": "update", "state": {"value": 7}})"""
    )
    [shown] = ran.outputs[0]["outputs"]
    assert shown["data"]["text/html"] == "<b>7</b>"
