"""All rows of the fault campaign."""

from __future__ import annotations

from tests.faults import damage, edits, kills, machine, meetings

ROWS = (*kills.ROWS, *machine.ROWS, *damage.ROWS, *meetings.ROWS, *edits.ROWS)
