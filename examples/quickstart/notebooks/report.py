# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The page
#
# The charts come as files, found by the glob in `pipeline.toml`. The numbers come from what `summarise` logged:
# `nbdag.upstream()` maps the name of each task above this one to its parameters, metrics, tags and artefacts.

# %%
import os
from pathlib import Path
from string import Template

import nbmake_dag as nbdag

# %% tags=["parameters"]
inputs = {"charts": ["charts/helsinki.svg", "charts/lisbon.svg", "charts/nairobi.svg"]}
outputs = {"page": "report.html"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %%
numbers = {
    logged.params["town"]: {name: logged.metrics[name] for name in ("mean", "coldest", "warmest", "frost_days")}
    for task, logged in nbdag.upstream().items()
    if task.startswith("summarise[")
}
numbers

# %%
SECTION = Template("""\
<section>
<h2>$town</h2>
$chart<p>$mean °C on average, from $coldest to $warmest °C; $frost</p>
</section>
""")


def section(chart):
    """One town: its chart, and a sentence about it."""
    town = Path(chart).stem
    metrics = numbers[town]
    return SECTION.substitute(
        town=town.title(),
        chart=Path(chart).read_text(),
        mean=f"{metrics['mean']:.1f}",
        coldest=f"{metrics['coldest']:.1f}",
        warmest=f"{metrics['warmest']:.1f}",
        frost=f"{metrics['frost_days']:.0f} days of frost" if metrics["frost_days"] else "no frost",
    )


# %%
PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A year of weather</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; color: #333 }
  p { color: #666 }
</style>
<h1>A year of weather</h1>
$sections</html>
""")

page = PAGE.substitute(sections="".join(section(chart) for chart in inputs["charts"]))

# %%
Path(outputs["page"]).write_text(page)
nbdag.log_metric("towns", len(inputs["charts"]))
display({"text/html": page}, raw=True)
