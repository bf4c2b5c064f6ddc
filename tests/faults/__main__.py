"""The fault campaign: `python -m tests.faults [--for SECONDS] [--most N] [ROW[:NUMBER]...]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.faults.campaign import Campaign, Row, table
from tests.faults.rows import ROWS


def main() -> int:
    """Try what was not tried yet, and print the table; a failed trial is exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW[:NUMBER]", help="rows, all by default, or one trial again")
    parser.add_argument("--seed", type=int, default=1, help="seed of a new campaign (1)")
    parser.add_argument("--state", type=Path, default=Path("faults.json"), help="what was tried (faults.json)")
    parser.add_argument("--most", type=int, metavar="N", help="trials of each row in this call")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="begin no trial after that")
    parser.add_argument("--list", action="store_true", help="print the table of what was tried, and try nothing")
    options = parser.parse_args()
    campaign = Campaign(options.state, options.seed)
    until = time.monotonic() + options.seconds if options.seconds is not None else float("inf")
    chosen = _chosen(options.rows)
    for row, numbers in [] if options.list else chosen:
        if missing := row.missing():
            print(f"{row.name}: not tried, {missing}", flush=True)  # noqa: T201
        elif time.monotonic() < until:
            tried = campaign.run(row, most=options.most, until=until, only=numbers)
            counts = f"{len(tried.numbers) * tried.each} of {tried.of * tried.each} tried"
            print(f"{row.name}: {counts}, {len(tried.failed)} failed", flush=True)  # noqa: T201
    print(table([row for row, _ in chosen], campaign.state))  # noqa: T201
    return 1 if any(tried.failed for tried in campaign.state.rows.values()) else 0


def _chosen(names: list[str]) -> list[tuple[Row, list[int] | None]]:
    """Return the rows to try, each with the numbers that are named."""
    if not names:
        return [(row, None) for row in ROWS]
    by_name = {row.name: row for row in ROWS}
    chosen: list[tuple[Row, list[int] | None]] = []
    for text in names:
        name, _, number = text.partition(":")
        found = [row for key, row in by_name.items() if key == name or key.startswith(f"{name}-")]
        if not found:
            raise SystemExit(f"there is no row {name!r}; rows: {', '.join(by_name)}")
        chosen += [(row, [int(number)] if number else None) for row in found]
    return chosen


if __name__ == "__main__":
    sys.exit(main())
