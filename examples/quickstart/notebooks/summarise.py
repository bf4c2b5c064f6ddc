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
# # One town's year at a glance
#
# This notebook runs once for each town in the `matrix` of `pipeline.toml`. It leaves a chart, which is an output,
# and a few numbers, which it logs.

# %%
import csv
import os
from pathlib import Path
from statistics import mean

import nbmake_dag as nbdag

# %% tags=["parameters"]
town = "helsinki"
inputs = {"temperatures": f"data/{town}.csv"}
outputs = {"chart": f"charts/{town}.svg"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %%
months = {month: [] for month in range(1, 13)}
with open(inputs["temperatures"], newline="") as file:
    for row in csv.DictReader(file):
        _, month, _ = row["day"].split("-")
        months[int(month)].append(float(row["celsius"]))
days = [celsius for month in months.values() for celsius in month]

# %% [markdown]
# Logged numbers are kept with the run: `nbdag show latest` prints them, and the report below reads them.

# %%
nbdag.log_metrics(
    {
        "mean": round(mean(days), 2),
        "coldest": min(days),
        "warmest": max(days),
        "frost_days": sum(celsius < 0 for celsius in days),
    }
)
for month, values in months.items():
    nbdag.log_metric("monthly_mean", round(mean(values), 2), step=month)

# %% [markdown]
# ## The chart
#
# A bar from the coldest to the warmest day of each month, a dot at its mean, and a line where water freezes.
# All towns share one scale, so that their charts can be compared.

# %%
WIDTH, HEIGHT, COLDEST, WARMEST = 312, 140, -20, 35
BLUE, ORANGE = (60, 125, 215), (240, 140, 40)


def y(celsius):
    return round(HEIGHT * (WARMEST - celsius) / (WARMEST - COLDEST), 1)


def colour(celsius):
    """From blue at 0 °C and below to orange at 25 °C and above."""
    warmth = min(max(celsius / 25, 0), 1)
    red, green, blue = (round(cold + warmth * (warm - cold)) for cold, warm in zip(BLUE, ORANGE))
    return f"rgb({red} {green} {blue})"


shapes = [f'<line x1="0" x2="{WIDTH}" y1="{y(0)}" y2="{y(0)}" stroke="#999" stroke-dasharray="3"/>']
for month, values in months.items():
    x, top, height = 26 * (month - 1) + 4, y(max(values)), y(min(values)) - y(max(values))
    shapes += [
        f'<rect x="{x}" y="{top}" width="18" height="{height:.1f}" rx="4" fill="{colour(mean(values))}"/>',
        f'<circle cx="{x + 9}" cy="{y(mean(values))}" r="3" fill="white"/>',
    ]
svg = "\n".join(
    [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">', *shapes, "</svg>\n"]
)

# %%
Path(outputs["chart"]).write_text(svg)
display({"image/svg+xml": svg}, raw=True)
