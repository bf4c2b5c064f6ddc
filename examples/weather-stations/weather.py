"""What is done to the readings of a station: each function is a task of `pipeline.toml`."""

import csv
import json
from collections import defaultdict
from statistics import linear_regression, mean

import nbmake_dag as nbdag

HIGHEST = 60.0


def rows_of(path):
    with open(path, newline="") as file:
        return [(row["day"], float(row["celsius"])) for row in csv.DictReader(file)]


def clean(*, inputs, outputs):
    """Leave out what is hotter than any place on Earth."""
    rows = rows_of(inputs["raw"])
    kept = [(day, value) for day, value in rows if value < HIGHEST]
    with open(outputs["clean"], "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["day", "celsius"])
        table.writerows(kept)
    nbdag.log_metric("dropped", len(rows) - len(kept))


def believable(*, inputs):
    """Fail where a station has hardly any readings, or one that cannot be."""
    for station in inputs["readings"]:
        values = [value for _, value in rows_of(station["path"])]
        name = station["params"]["station"]
        assert len(values) > 300, f"{name} has {len(values)} readings"
        assert -90 < min(values) <= max(values) < HIGHEST, f"{name} reads {min(values)} to {max(values)} °C"


def normals(*, inputs, outputs):
    """Write the mean of each month, and the trend of the yearly means in °C a decade."""
    months, years = defaultdict(list), defaultdict(list)
    for day, value in rows_of(inputs["clean"]):
        months[day[5:7]].append(value)
        years[int(day[:4])].append(value)
    yearly = {year: mean(values) for year, values in years.items()}
    trend = 10 * linear_regression(list(yearly), list(yearly.values())).slope
    with open(outputs["normals"], "w") as file:
        json.dump({"months": [round(mean(months[month]), 2) for month in sorted(months)], "trend": trend}, file)
    nbdag.log_metric("trend", trend)
