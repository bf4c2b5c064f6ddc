"""Interactive figures in notebooks: found in what libraries show, published with the script that draws them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag.inside.figure_scripts import MEDIA_TYPE
from nbmake_dag_reporting import schema
from nbmake_dag_reporting.bundle import blobs_of
from nbmake_dag_reporting.figures import Figure, figure_of, kinds_in, loads_only
from nbmake_dag_reporting.runs import read_run
from nbmake_dag_reporting.secrets_scan import Secrets
from nbmake_dag_reporting.site import SiteOptions, found_in, write_site
from nbmake_dag_reporting.site_chunks import SiteFiles
from tests.reporting.fabricate import Fabric, Made, code, executed, notebook

PLOTLY = {"data": [{"y": [1, 2]}], "layout": {}}
ALTAIR = """<div id="altair-viz-1"></div><script type="text/javascript">
  (function(spec, embedOpt){
    loadScript("vega-embed")
  })({"mark": "bar", "data": {"values": [{"a": "})("}]}}, {"mode": "vega-lite"});
</script>"""
BOKEH = 'const docs_json = {}; const render_items = [{"roots":{"p1":"u-1"}}]; embed()'


@pytest.mark.parametrize(
    ("data", "figure"),
    [
        ({"application/vnd.plotly.v1+json": PLOTLY, "text/html": "x"}, Figure(kind="plotly", spec=PLOTLY)),
        ({"application/vnd.vegalite.v5+json": {"mark": "bar"}}, Figure(kind="vega", spec={"mark": "bar"})),
        ({"application/vnd.vega.v6.1+json": {"marks": []}}, Figure(kind="vega", spec={"marks": []})),
        (
            {"text/html": ALTAIR.splitlines(keepends=True)},
            Figure(kind="vega", spec={"mark": "bar", "data": {"values": [{"a": "})("}]}}),
        ),
        (
            {"application/javascript": BOKEH, "application/vnd.bokehjs_exec.v0+json": ""},
            Figure(kind="bokeh", spec=BOKEH),
        ),
        ({"text/html": "vega-embed })({broken}, {});</script>"}, None),
        ({"application/vnd.plotly.v1+json": "no object"}, None),
        ({"text/plain": "1"}, None),
    ],
)
def test_a_figure_is_found_however_its_library_shows_it(data: dict[str, Any], figure: Figure | None) -> None:
    """By media type, or in the page that loads its library."""
    assert figure_of(data) == figure
    assert kinds_in([{"data": data}, {"text": "a stream"}]) == ([figure.kind] if figure else [])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "})({}, {});" * 100_000,
        "})({" * 200_000,
        "})({" + "}, {" * 200_000 + "});" * 200_000,
        "})(" + "{}, {" * 200_000,
    ],
)
def test_hostile_pages_are_read_in_linear_time(text: str) -> None:
    """What nearly is a figure, thousands of times: a search that tries every division would never end."""
    assert figure_of({"text/html": f"vega-embed {text}"}) in (None, Figure(kind="vega", spec={}))


@pytest.mark.parametrize(
    ("data", "only"),
    [
        ({"application/vnd.bokehjs_load.v0+json": ""}, True),
        ({"text/html": '<div id="u-1" data-root-id="p1" style="display: contents;"></div>'}, True),
        ({"text/html": '<div class="bk-notebook-logo"></div> Loading BokehJS ...'}, True),
        ({"text/html": '<script src="https://cdn.plot.ly/plotly-3.js"></script>'}, True),
        ({"text/html": '<script src="https://cdn.plot.ly/plotly-3.js"></script>Plotly.newPlot()'}, False),
        ({"text/html": "<b>a result</b>"}, False),
    ],
)
def test_what_only_loads_a_library_is_no_output(data: dict[str, Any], *, only: bool) -> None:
    """Its place, its logo and its loader."""
    assert loads_only(data) is only


def test_a_script_is_published_once_and_is_no_artefact(tmp_path: Path) -> None:
    """Tasks of two runs share it; a bundle has it; nobody sees a file that no notebook logged."""
    assert MEDIA_TYPE == schema.FIGURE_SCRIPT
    fabric = Fabric(tmp_path)
    script = {"figures/plotly 6.1.js": (b"window.Plotly = 1", MEDIA_TYPE), "own.txt": (b"mine", "text/plain")}
    shown = {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.plotly.v1+json": PLOTLY}}
    for number in (1, 2):
        fabric.run(number, Made(name="a", artifacts=script, notebook=notebook(code("fig.show()", shown))))
    found = found_in(str(fabric.runs), fabric.record, fabric.blob)
    write_site(str(tmp_path / "site"), found, SiteOptions(executed=executed))
    files = SiteFiles(str(tmp_path / "site"), Secrets({}))
    details = []
    for number in (1, 2):
        run = files.read_chunk(f"run/run-0000{number}")
        details.append(files.read_chunk(f"content/{run['tasks'][0]['detail']}"))
        assert (
            f"data/content/{details[-1]['scripts']['plotly'][:2]}/{details[-1]['scripts']['plotly']}.js"
            in run["refs"]
        )
    assert [artifact["name"] for artifact in details[0]["artifacts"]] == ["own.txt"]
    assert details[0]["scripts"] == details[1]["scripts"]
    assert files.read_chunk(f"content/{details[0]['scripts']['plotly']}") == "window.Plotly = 1"
    [cell] = files.read_chunk(f"content/{details[0]['notebook']}")
    [output] = cell["o"]
    assert (output["t"], output["kind"], output["d"]) == ("figure", "plotly", {})
    assert json.loads(json.dumps(files.read_chunk(f"content/{output['spec']}"))) == PLOTLY
    run = read_run(str(fabric.runs / "run-00001"), fabric.record)
    assert list(run.tasks["a"].artifacts) == ["own.txt"]
    assert run.tasks["a"].scripts["figures/plotly 6.1.js"].sha256 in set(blobs_of(run))
