"""Make up the readings of weather stations: `python stations.py YEARS SEED FOLDER`.

A station that you add to `STATIONS` is a file more, and so an instance more of every task that works on stations.
"""

import csv
import math
import random
import sys
from datetime import date, timedelta
from pathlib import Path

STATIONS = {
    "bergen": {"mean": 8.0, "swing": 7.0, "trend": 0.02},
    "dakar": {"mean": 24.5, "swing": 3.5, "trend": 0.03},
    "lhasa": {"mean": 8.5, "swing": 9.0, "trend": 0.05},
    "oslo": {"mean": 6.0, "swing": 11.0, "trend": 0.04},
    "quito": {"mean": 14.5, "swing": 0.5, "trend": 0.02},
}
"""The mean of a year and how far summer is above it, in °C, and what is added each year."""
BROKEN = 99.9
"""What a thermometer that fails reports."""


def readings(name, climate, years, seed):
    """Yield the day and the temperature of each day; now and then the thermometer fails."""
    chance = random.Random(f"{seed} {name}")
    day, end = date(2010, 1, 1), date(2010 + years, 1, 1)
    while day < end:
        season = -math.cos(2 * math.pi * (day.timetuple().tm_yday - 15) / 365.25)
        warm = climate["mean"] + climate["trend"] * (day.year - 2010) + climate["swing"] * season
        yield day, BROKEN if chance.random() < 0.01 else warm + chance.gauss(0, 2)
        day += timedelta(days=1)


def main():
    years, seed, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    for name, climate in STATIONS.items():
        with open(folder / f"{name}.csv", "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["day", "celsius"])
            table.writerows((day, f"{value:.1f}") for day, value in readings(name, climate, years, seed))


if __name__ == "__main__":
    main()
