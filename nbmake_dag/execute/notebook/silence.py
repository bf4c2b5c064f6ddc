"""Notice a kernel that is stuck for ever, and end it; one that waits for something legitimate is left alone.

A notebook without a `timeout` may take as long as it likes, and no output for a day proves nothing. A kernel is
stuck when for `SILENCE_LIMIT` both are true at each look: neither its heartbeat nor its control channel answers,
for which it has threads beside the one that runs cells; and no process of it used the processor, read or wrote.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from nbmake_dag.execute.notebook.kernel import Kernel
from nbmake_dag.execute.processes.process_tree import tree_activity

LOOK_PERIOD = 60.0
"""Seconds between two looks."""
ANSWER_TIMEOUT = 30.0
"""Seconds in which a kernel must answer to be counted as alive."""
SILENCE_LIMIT = 600.0
"""Seconds without a sign of life after which a kernel is stuck."""


async def end_if_stuck(kernel: Kernel, report: Callable[[str], None]) -> None:
    """Look until the kernel is stuck, and kill it.

    Kernels of many languages answer control messages only between cells. Such a one is not killed; that it may be
    stuck is reported, once.
    """
    activity, still_since = -1, 0.0
    while True:
        await asyncio.sleep(LOOK_PERIOD)
        if await _answers(kernel):
            activity = -1
            continue
        now, before, activity = time.monotonic(), activity, tree_activity(kernel.pid)
        if activity != before:
            still_since = now
        elif now - still_since >= SILENCE_LIMIT:
            break
    found = f"it answered nothing for {SILENCE_LIMIT / 60:g} min, used no processor, and read and wrote nothing"
    if kernel.has_control_thread:
        await kernel.kill(because=f"the kernel was stuck, and was killed: {found}")
    else:
        report(f"[nbdag: the kernel may be stuck: {found}; `timeout` would limit its time]\n")


async def _answers(kernel: Kernel) -> bool:
    """Ask by heartbeat and by the control channel; one answer is enough."""
    asked = [asyncio.ensure_future(kernel.beat()), asyncio.ensure_future(kernel.ask_control())]
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        return any(one.done() for one in asked)
    finally:
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
