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
# # Which station became warmer?
#
# `inputs["normals"]` has an entry for each instance of `normals`, with its parameters: no glob, and no path that is
# taken apart. A station more is a row more.

# %%
import csv
import json
import os
from pathlib import Path

import nbmake_dag as nbdag

# %% tags=["parameters"]
inputs = {
    "normals": [{"path": "results/normals/oslo.json", "params": {"station": "oslo"}}],
    "charts": [{"path": "results/charts/oslo.svg", "params": {"station": "oslo"}}],
}
outputs = {"table": "results/stations.csv"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %%
charts = {chart["params"]["station"]: chart["path"] for chart in inputs["charts"]}
rows = []
for station in inputs["normals"]:
    normals, name = json.loads(Path(station["path"]).read_text()), station["params"]["station"]
    rows.append({"station": name, "trend": round(normals["trend"], 3), "chart": charts[name]})
rows.sort(key=lambda row: row["trend"], reverse=True)

# %%
with open(outputs["table"], "w", newline="") as file:
    table = csv.DictWriter(file, ["station", "trend", "chart"], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)

nbdag.log_table(rows, "stations.json")
for row in rows:
    print(f"{row['station']:8} {row['trend']:+.2f} °C a decade")
