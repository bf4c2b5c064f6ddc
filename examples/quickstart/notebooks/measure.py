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
# # A year of weather
#
# Nobody measured these temperatures. Each day has the warmth of its season, a cosine over the year, and the
# weather of the day, which remembers some of yesterday's.

# %%
import csv
import math
import os
import random
from datetime import date, timedelta
from pathlib import Path

import nbmake_dag as nbdag

# %% [markdown]
# The next cell is tagged `parameters`. When nbdag runs this notebook, a cell with the values of `pipeline.toml`
# follows it. When you run it by hand, these values stand.

# %% tags=["parameters"]
year = 2025
seed = 7
outputs = {
    "helsinki": "data/helsinki.csv",
    "lisbon": "data/lisbon.csv",
    "nairobi": "data/nairobi.csv",
}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# What sets the towns apart, in °C: the mean of the year, how far summer is above it, and how unsteady the days are.

# %%
CLIMATE = {
    "helsinki": {"mean": 6.5, "swing": 12.0, "unsteady": 3.0},
    "lisbon": {"mean": 17.5, "swing": 6.0, "unsteady": 1.8},
    "nairobi": {"mean": 19.0, "swing": 1.5, "unsteady": 1.0},
}


# %%
def temperatures(town):
    """Yield (day, °C) for each day of the year.

    Each town has its own random numbers, so that a change to one leaves the others as they were.
    """
    climate = CLIMATE[town]
    chance = random.Random(f"{seed} {town}")
    warmest = date(year, 7, 20)
    weather = 0.0
    day = date(year, 1, 1)
    while day.year == year:
        season = math.cos(2 * math.pi * (day - warmest).days / 365.25)
        weather = 0.8 * weather + chance.gauss(0, climate["unsteady"])
        yield day, climate["mean"] + climate["swing"] * season + weather
        day += timedelta(days=1)


# %%
for town, path in outputs.items():
    with open(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["day", "celsius"])
        table.writerows((day, f"{celsius:.1f}") for day, celsius in temperatures(town))

# %%
nbdag.log_metric("days", sum(1 for _ in temperatures("helsinki")))
print(*Path(outputs["helsinki"]).read_text().splitlines()[:5], sep="\n")
