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
# # The year of a station
#
# `inputs` and `outputs` are those of one instance: nothing here says which stations there are.

# %%
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt

# %% tags=["parameters"]
station = "oslo"
inputs = {"normals": "results/normals/oslo.json"}
outputs = {"chart": "results/charts/oslo.svg"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
Path(outputs["chart"]).parent.mkdir(parents=True, exist_ok=True)

# %%
normals = json.loads(Path(inputs["normals"]).read_text())

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(range(1, 13), normals["months"], marker="o")
axes.set(title=station.title(), xlabel="month", ylabel="°C", xticks=range(1, 13))
figure.savefig(outputs["chart"], metadata={"Date": None})
