"""`nbdag watch`: build, wait for a change or a key, look, build what that concerns."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from nbmake_dag.build.listener import Listener
from nbmake_dag.build.outcome import RunOutcome
from nbmake_dag.ending_signals import handling
from nbmake_dag.errors import NbdagError
from nbmake_dag.progress.display import Display
from nbmake_dag.progress.summary import summary_line
from nbmake_dag.watch.bell import Bell
from nbmake_dag.watch.keys import HELP, Key, Keys
from nbmake_dag.watch.poll import Poller
from nbmake_dag.watch.rebuilds import Rebuilds, Wanted
from nbmake_dag.watch.watcher import Watcher

RESCAN_S = 10.0
"""Between looks that nothing asks for: they find what events missed."""
RESCAN_INVALID_S = 2.0
"""The same while it is not known which files matter."""
_PATIENCE = 5
"""Builds that may follow each other at once, because of changes during the one before."""
_LONGEST_PAUSE_S = 10.0
QUIET_S = 15.0
"""Without a change or a build, after which drafts are confirmed by runs from the start."""


class _Stop(BaseException):
    """A signal to end."""


class Watch:
    """Waits and builds until it is told to stop.

    ``show`` makes the display of each build, ``listeners`` are told of all. ``complain`` is told what keeps
    anything from being built, and is told nothing when that is over.
    """

    def __init__(
        self,
        rebuilds: Rebuilds,
        keys: Keys,
        *,
        poll: bool,
        show: Callable[[], Display],
        listeners: Sequence[Listener] = (),
        say: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._rebuilds = rebuilds
        self._keys = keys
        self._show = show
        self._listeners = listeners
        self._say = say
        self._complain = complain
        self._bell = Bell()
        self._watcher: Watcher | Poller = (
            Poller(self._bell.ring) if poll else Watcher(self._bell.ring, rebuilds.is_ours)
        )
        self._complaint = ""
        self._is_well = True
        self._last: RunOutcome | None = None
        self._changed_within = False
        self._in_a_row = 0
        """Builds since a look that found nothing to do, or a moment without a change."""
        self._not_before = 0.0
        self._quiet_since = 0.0
        self._signalled: int | None = None

    def run(self) -> int:
        """Return the exit code."""
        with closing(self._bell), handling(self._end):
            try:
                self._build()
                self._rebuilds.warm_up()
                self._say(f"waiting for changes; {HELP}" if self._keys.descriptors else "waiting for changes")
                while True:
                    match self._wait():
                        case Key.QUIT:
                            return 0
                        case Key.EXPLAIN:
                            self._explain()
                        case Key.REBUILD:
                            self._rebuilds.forget()
                            self._build(asked=True)
                        case Key.REBUILD_ALL:
                            self._build(everything=True)
                        case None:
                            self._build(confirm=self._is_quiet())
            except _Stop as stop:
                return 128 + int(stop.args[0])
            finally:
                self._watcher.close()

    def _build(self, *, everything: bool = False, confirm: bool = False, asked: bool = False) -> None:
        """Look, and build what there is to build; where that is nothing, say so if a person ``asked``."""
        began = time.monotonic()
        try:
            wanted = self._rebuilds.look(everything=everything, confirm=confirm)
            self._watch()
            outcome = self._build_wanted(wanted) if wanted else None
        except (NbdagError, OSError) as error:
            # a file that cannot be read, or not for long enough, is looked at again
            self._note_complaint(f"error: {error}")
            self._watch()
            outcome, self._is_well = None, False
        else:
            self._note_complaint("")
            self._note_state(outcome, began, asked=asked)
        if outcome is not None:
            self._last = outcome
            self._quiet_since = time.monotonic()
            if outcome.signal is not None:
                raise _Stop(outcome.signal)
        if self._changed_within:
            self._changed_within = False
            self._bell.ring()
        self._pause(built=outcome is not None)

    def _note_state(self, outcome: RunOutcome | None, began: float, *, asked: bool) -> None:
        """Say that all is well where no build says it: once after what was not, and whenever a person asks."""
        before, count = self._is_well, self._rebuilds.up_to_date
        self._is_well = count is not None and (outcome is None or outcome.result == "success")
        if outcome is None and count is not None and (asked or not before):
            self._say(summary_line(RunOutcome(run_id="", unchanged=count, duration_s=time.monotonic() - began)))

    def _note_complaint(self, complaint: str) -> None:
        """Say once what keeps anything from being built; nothing, when that is over."""
        if complaint == self._complaint:
            return
        self._complaint = complaint
        self._complain(complaint)
        if complaint:
            self._say(complaint)

    def _build_wanted(self, wanted: Wanted) -> RunOutcome | None:
        display = self._show()
        try:
            return self._rebuilds.build(
                wanted, listeners=(display, *self._listeners), waiting=self._say, changed=self._changed
            )
        finally:
            display.close()

    def _changed(self) -> bool:
        """Say in a build whether there was a change; another look at it follows the build."""
        over = self._bell.is_over()
        self._changed_within |= over
        return over

    def _pause(self, *, built: bool) -> None:
        """Let a task that changes its own inputs not run without end."""
        self._in_a_row = self._in_a_row + 1 if built and self._bell.due() is not None else 0
        self._not_before = time.monotonic()
        if self._in_a_row > _PATIENCE:
            pause = min(_LONGEST_PAUSE_S, 2.0 ** (self._in_a_row - _PATIENCE))
            self._not_before += pause
            self._say(f"files change during each build; the next look is in {pause:.0f} s")

    def _watch(self) -> None:
        """Watch what the latest look found to matter."""
        folders = self._rebuilds.folders()
        if isinstance(self._watcher, Watcher):
            try:
                if self._watcher.watch(folders):
                    # what happened before it was watched was seen by nobody
                    self._bell.ring()
                return
            except FileNotFoundError:
                # one went just now
                self._bell.ring()
                return
            except OSError as error:
                self._say(
                    f"warning: {error.strerror}: files are looked at once a second instead\n\n"
                    "hint: sysctl fs.inotify.max_user_watches and fs.inotify.max_user_instances set the limits"
                )
                self._watcher.close()
                self._watcher = Poller(self._bell.ring)
        self._watcher.watch((*folders, *self._rebuilds.files()))

    def _wait(self) -> Key | None:
        """Wait for a key, or for a reason to look."""
        rescan = time.monotonic() + (RESCAN_INVALID_S if self._complaint else RESCAN_S)
        while True:
            if self._signalled is not None:
                # what was raised was lost in a callback of C code
                raise _Stop(self._signalled)
            due = max(self._not_before, min(rescan, self._bell.due() or rescan))
            left = due - time.monotonic()
            if left <= 0:
                if self._bell.is_over():
                    self._quiet_since = time.monotonic()
                return None
            ready, _, _ = select.select((self._bell.fileno(), *self._keys.descriptors), (), (), max(0.0, left))
            if set(ready).intersection(self._keys.descriptors):
                pressed = self._keys.pressed()
                if pressed:
                    return pressed[-1]

    def _is_quiet(self) -> bool:
        """Say whether nothing has happened for a while, and there is a draft to confirm."""
        return self._rebuilds.has_drafts and time.monotonic() - self._quiet_since >= QUIET_S

    def _explain(self) -> None:
        """Say why each task of the last build ran."""
        if self._last is None:
            self._say("nothing was built yet")
            return
        for name, task in self._last.tasks.items():
            if task.reasons:
                self._say("\n  ".join((name, *task.reasons)))

    def _end(self, number: int) -> None:
        """End in order when the terminal or the system says so, also while nothing is built; once will do."""
        if self._signalled is None:
            self._signalled = number
            raise _Stop(number)
