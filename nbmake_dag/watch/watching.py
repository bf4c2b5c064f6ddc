"""`nbdag watch`: build, wait for a change or a key, check, build the affected tasks."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from nbmake_dag.core.model import TaskName
from nbmake_dag.ending_signals import handling
from nbmake_dag.errors import NbdagError, shown
from nbmake_dag.present.summary import is_pointless, summary_line
from nbmake_dag.progress.display import Display
from nbmake_dag.record.outcome import RunOutcome
from nbmake_dag.record.run_events import Listener
from nbmake_dag.watch.bell import Bell, Quiet
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
_SECOND_LOOK_S = 0.3
"""Until it is looked again at what could not be read: an editor may be in the middle of a save."""
QUIET_S = 15.0
"""Without a change or a build, after which drafts are confirmed by runs from the start."""


class _Stop(BaseException):
    """A signal to end."""


class Watch:
    """Wait and build until a request to stop.

    ``show`` makes the display of each build, ``listeners`` are notified of every event. ``complain`` gets the
    reason that nothing can be built, and an empty text when it is resolved.
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
        self._quiet = Quiet(rebuilds.quiet_s)
        self._bell = Bell(self._quiet)
        self._watcher: Watcher | Poller = (
            Poller(self._bell.ring) if poll else Watcher(self._bell.ring, rebuilds.is_ours)
        )
        self._complaint = ""
        self._suspected = True
        """Whether it is believed at once that something cannot be read."""
        self._waiting: frozenset[TaskName] = frozenset()
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
        """Check, and build what is stale; where nothing is, print that if a person ``asked``."""
        began, rung = time.monotonic(), self._bell.last
        try:
            wanted = self._rebuilds.look(
                everything=everything, confirm=confirm, patient=not asked, certain=self._suspected
            )
            self._quiet.least = self._rebuilds.quiet_s
            self._watch()
            self._note_waiting()
            outcome = self._build_wanted(wanted) if wanted else None
        except (NbdagError, OSError) as error:
            # a file that cannot be read, or not for long enough, is looked at again
            if self._suspected:
                self._note_complaint(f"error: {shown(error)}")
            self._suspected = True
            self._watch()
            outcome, self._is_well = None, False
        else:
            self._suspected = False
            self._note_complaint("")
            self._note_state(outcome, began, asked=asked)
        if outcome is not None:
            self._last = outcome
            self._quiet_since = time.monotonic()
            if outcome.signal is not None:
                raise _Stop(outcome.signal)
            if is_pointless(outcome):
                self._quiet.interrupted(self._bell.last - rung)
            elif self._bell.last <= rung:
                self._quiet.undisturbed()
        if self._changed_within:
            self._changed_within = False
            self._bell.remind()
        self._pause(built=outcome is not None and not is_pointless(outcome))

    def _note_state(self, outcome: RunOutcome | None, began: float, *, asked: bool) -> None:
        """Print that all is up to date where no build prints it: once after a problem, and when a person asks."""
        before, count = self._is_well, self._rebuilds.up_to_date
        self._is_well = count is not None and (outcome is None or outcome.result == "success")
        if outcome is None and count is not None and (asked or not before):
            self._say(summary_line(RunOutcome(run_id="", unchanged=count, duration_s=time.monotonic() - began)))

    def _note_waiting(self) -> None:
        """Print once of each task that it is left alone, until somebody completes a cell or ends its unrest."""
        waiting = self._rebuilds.waiting
        for name in sorted(waiting.keys() - self._waiting):
            self._say(f"{name} waits, it cannot run yet: {waiting[name]}")
        restless = self._rebuilds.restless
        for name in sorted(restless.keys() - self._waiting):
            self._say(restless[name])
        self._waiting = frozenset(waiting | restless)

    def _note_complaint(self, complaint: str) -> None:
        """Print once the reason that nothing can be built; nothing, when it is resolved."""
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
        """Return during a build whether there was a change; another check follows the build."""
        over = self._bell.is_over()
        self._changed_within |= over
        return over

    def _pause(self, *, built: bool) -> None:
        """Pause, so that a task that changes its own inputs does not run without end."""
        self._in_a_row = self._in_a_row + 1 if built and self._bell.due() is not None else 0
        self._not_before = time.monotonic()
        if self._in_a_row > _PATIENCE:
            pause = min(_LONGEST_PAUSE_S, 2.0 ** (self._in_a_row - _PATIENCE))
            self._not_before += pause
            self._say(f"files change during each build; the next check is in {pause:.0f} s")

    def _watch(self) -> None:
        """Watch the files that the latest check found relevant."""
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
                    f"warning: {error.strerror}: files are checked once a second instead\n\n"
                    "hint: sysctl fs.inotify.max_user_watches and fs.inotify.max_user_instances set the limits"
                )
                self._watcher.close()
                self._watcher = Poller(self._bell.ring)
        self._watcher.watch((*folders, *self._rebuilds.files()))

    def _wait(self) -> Key | None:
        """Wait for a key, or for a reason to check."""
        doubtful = self._suspected and not self._complaint
        rescan = time.monotonic() + (
            _SECOND_LOOK_S if doubtful else RESCAN_INVALID_S if self._complaint else RESCAN_S
        )
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
        """Return whether nothing has happened for a while, and there is a draft to confirm."""
        return self._rebuilds.has_drafts and time.monotonic() - self._quiet_since >= QUIET_S

    def _explain(self) -> None:
        """Print why each task of the last build ran."""
        if self._last is None:
            self._say("nothing has been built yet")
            return
        for name, task in self._last.tasks.items():
            if task.reasons:
                self._say("\n  ".join((name, *task.reasons)))

    def _end(self, number: int) -> None:
        """End cleanly on a signal of the terminal or the system, also between builds; one signal is enough."""
        if self._signalled is None:
            self._signalled = number
            raise _Stop(number)
