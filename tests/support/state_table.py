"""Every kind of file that outlives a process below ``.nbdag``, as data for documents and tests."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class StateKind:
    """One kind of file. ``pattern`` is relative to ``.nbdag``; its ``*`` matches slashes as well."""

    pattern: str
    owners: tuple[str, ...]
    """The modules that read and write it."""
    format: str
    holds: str
    loss: str
    """What is lost with it."""
    removable: Literal["yes", "idle", "empty", "no"] = "no"
    """Whether it may be removed and only time is lost; ``idle``: while no build and no watch runs."""

    def matches(self, path: str) -> bool:
        return fnmatchcase(path, self.pattern)


STATE_KINDS = (
    StateKind(
        pattern=".gitignore",
        owners=("observe/project.py",),
        format="`*`",
        holds="a rule that ignores the folder",
        loss="git shows `.nbdag/` as untracked, until the next build",
        removable="yes",
    ),
    StateKind(
        pattern="cache/records/*",
        owners=("nbmake_dag_cache/records.py",),
        format="JSON with a checksum",
        holds="what a task's result was",
        loss="the task runs again",
    ),
    StateKind(
        pattern="cache/blobs/*",
        owners=("nbmake_dag_cache/blobs.py",),
        format="bytes, named by SHA-256",
        holds="files of results, and files of the user that were rescued",
        loss="tasks run again when their outputs are missing; **rescued files of the user are gone**",
    ),
    StateKind(
        pattern="cache/last_used/*",
        owners=("nbmake_dag_cache/last_used.py",),
        format="keys and a checksum",
        holds="when records were used last",
        loss="a worse choice of what is removed first",
    ),
    StateKind(
        pattern="cache/remote/*",
        owners=("observe/remote_copies.py", "remote_inputs/web.py"),
        format="state files; beside them what was downloaded of files so far",
        holds="which content a remote input last had, and when its server said so",
        loss="servers are asked again",
        removable="idle",
    ),
    StateKind(
        pattern="state/remote/*",
        owners=("remote_inputs/fetching.py",),
        format="copies of remote inputs, read-only",
        holds="copies of remote inputs",
        loss="they are copied again from their blobs, or downloaded",
        removable="idle",
    ),
    StateKind(
        pattern="state/lock",
        owners=("engine/state/lock.py",),
        format="who holds it, for people; `flock` is the lock",
        holds="who builds here",
        loss="nothing, but a build that is running ends with an error; it never needs to be removed",
        removable="idle",
    ),
    StateKind(
        pattern="state/files/*",
        owners=("nbmake_dag_cache/memo.py",),
        format="diskcache, texts only",
        holds="digests of files by their stamps",
        loss="files are hashed again",
        removable="idle",
    ),
    StateKind(
        pattern="state/identities/*",
        owners=("nbmake_dag_cache/memo.py",),
        format="diskcache, texts only",
        holds="identities of sources by their digests",
        loss="notebooks and modules are parsed again",
        removable="idle",
    ),
    StateKind(
        pattern="state/clock",
        owners=("nbmake_dag_cache/stamps.py",),
        format="empty; its time is the file system's clock",
        holds="nothing",
        loss="nothing",
        removable="idle",
    ),
    StateKind(
        pattern="state/unchanged/*",
        owners=("engine/noop.py",),
        format="state files (msgpack), one for each kind of request",
        holds="the files that an up-to-date pipeline depends on",
        loss="the next build looks at everything",
        removable="idle",
    ),
    StateKind(
        pattern="state/last.json",
        owners=("engine/state/previous_results.py",),
        format="state file",
        holds="what each task last made here, and how it last failed",
        loss="reasons (read from recorded runs where possible), failures in `status`, expected durations; outputs"
        " that no blob holds count as the user's",
    ),
    StateKind(
        pattern="state/drafts.json",
        owners=("engine/state/drafts.py",),
        format="state file",
        holds="results that came from snapshots",
        loss="their comparison with a run from the start",
    ),
    StateKind(
        pattern="state/aside/*",
        owners=("execute/output_backup.py",),
        format="journals (state files), and files",
        holds="old outputs of running tasks, with a journal for each attempt",
        loss="**old outputs of attempts that were interrupted**; else it is empty",
        removable="empty",
    ),
    StateKind(
        pattern="state/attempts/*",
        owners=("engine/dispatch/pool.py",),
        format="folders",
        holds="what running attempts log and may read of tasks above, and what snapshots keep",
        loss="running attempts fail, and snapshots are gone",
        removable="idle",
    ),
    StateKind(
        pattern="state/sandboxes/*",
        owners=("execute/sandbox.py",),
        format="folders",
        holds="private copies of the repository for running attempts",
        loss="running attempts fail",
        removable="idle",
    ),
    StateKind(
        pattern="state/trials/*",
        owners=("referee/trial.py",),
        format="private copies; `cache/` and `runs/` as those of builds",
        holds="what `replay`, `bisect` and `blame` executed",
        loss="they execute it again, and their runs are not shown",
        removable="idle",
    ),
    StateKind(
        pattern="verdicts/*",
        owners=("referee/verdicts.py",),
        format="JSON (`nbdag schema verdict`), signed where there is a key",
        holds="what replays found",
        loss="those verdicts are not shown",
    ),
    StateKind(
        pattern="blames/*",
        owners=("referee/verdicts.py",),
        format="JSON (`nbdag schema blame`)",
        holds="which changes were found to make a metric differ",
        loss="those blames are not shown",
    ),
    StateKind(
        pattern="state/seen-by-nodes",
        owners=("execute/ray/roster.py",),
        format="a random number",
        holds="what a node of a cluster knows the file system by",
        loss="nothing",
        removable="idle",
    ),
    StateKind(
        pattern="state/swept",
        owners=("engine/state/daily.py",),
        format="empty; its time is that of the last look",
        holds="when it was last looked at what is kept",
        loss="one look more",
        removable="idle",
    ),
    StateKind(
        pattern="state/secrets.json",
        owners=("engine/state/remembered_secrets.py",),
        format="state file, mode 0600",
        holds="salted digests of the secrets of past builds",
        loss="later exports are not searched for secrets that are not set then",
    ),
    StateKind(
        pattern="state/served.json",
        owners=("commands/serving.py",),
        format="state file, mode 0600",
        holds="the tokens of the ports that `--serve=PORT` named",
        loss="addresses of `--serve=PORT` change",
    ),
    StateKind(
        pattern="state/unsent.json",
        owners=("engine/shared_cache/uploads.py",),
        format="state file",
        holds="keys of records that are still to be sent to the shared cache",
        loss="those are not sent",
    ),
    StateKind(
        pattern="runs/rescued.jsonl",
        owners=("engine/state/rescued_files.py",),
        format="JSON lines, each with its checksum",
        holds="which blobs are the user's files",
        loss="the list of the user's rescued files, and with `nbdag cache gc` the files",
    ),
    StateKind(
        pattern="runs/.hits/*",
        owners=("record/hits.py",),
        format="gzipped rows ([reporting](../reporting/README.md)), named by their SHA-256",
        holds="the spans of tasks that were up to date, which runs share",
        loss="tasks that were up to date are missing in runs that name it, with a warning; the next build looks at"
        " everything",
    ),
    StateKind(
        pattern="runs/*/*",
        owners=("record/writer.py",),
        format="spans and events, JSON lines ([reporting](../reporting/README.md))",
        holds="the record of one run",
        loss="that run is not shown",
    ),
    StateKind(
        pattern="failed/*",
        owners=("engine/dispatch/dispatcher.py",),
        format="executed notebooks, and files",
        holds="notebooks and partial outputs of failed tasks",
        loss="nothing that a build needs",
    ),
    StateKind(
        pattern="history/*",
        owners=("runs/fetched.py", "runs/exchange.py"),
        format="bundles of runs",
        holds="runs of other machines",
        loss="they are fetched again",
        removable="yes",
    ),
    StateKind(
        pattern="site/*",
        owners=("commands/report.py", "commands/serving.py"),
        format="the static site",
        holds="the report that `nbdag report` and `--serve` write",
        loss="it is written again",
        removable="yes",
    ),
    StateKind(
        pattern="open/*",
        owners=("editor/copy.py",),
        format="notebooks",
        holds="copies of notebooks in an editor",
        loss="edits that were not yet saved back",
    ),
    StateKind(
        pattern="debug/*",
        owners=("editor/debug.py",),
        format="a notebook, and files",
        holds="the notebook under the debugger",
        loss="nothing after the debugger",
        removable="idle",
    ),
)
