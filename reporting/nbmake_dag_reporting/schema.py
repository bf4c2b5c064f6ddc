"""Every attribute of a run record: its name, its place, its meaning, and who may see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

Privacy: TypeAlias = Literal["public", "private", "paths"]
"""``private`` values describe the machine or its user; ``paths`` are texts that may hold absolute paths."""


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the span contract. A name that ends with ``<name>`` covers all keys with that beginning."""

    name: str
    type: str
    where: str
    meaning: str
    privacy: Privacy = "public"


_table: list[Attribute] = []


def _declare(name: str, type_: str, where: str, meaning: str, privacy: Privacy = "public") -> str:
    _table.append(Attribute(name=name, type=type_, where=where, meaning=meaning, privacy=privacy))
    return name.removesuffix("<name>")


SERVICE_NAME: Final = _declare("service.name", "string", "resource", "`nbdag`, or the `OTEL_SERVICE_NAME`")
SERVICE_VERSION: Final = _declare("service.version", "string", "resource", "the version of nbdag")
SCHEMA_VERSION: Final = _declare("nbdag.schema", "int", "resource", "the version of this contract: 1")
PIPELINE_NAME: Final = _declare("cicd.pipeline.name", "string", "resource", "`[pipeline] name`")
RUN_ID: Final = _declare("cicd.pipeline.run.id", "string", "resource", "the run's identifier, sortable by time")
RUN_KIND: Final = _declare(
    "nbdag.run.kind", "string", "resource", "`replay`, `bisect` or `blame`; absent for a build"
)
RUN_URL: Final = _declare("cicd.pipeline.run.url.full", "string", "resource", "the page of the CI job, when in CI")
HOST_NAME: Final = _declare("host.name", "string", "resource, attempt", "where it ran", "private")
HOST_ARCH: Final = _declare("host.arch", "string", "resource", "`amd64`, `arm64`, or the kernel's name for it")
HOST_CPU: Final = _declare("host.cpu.model.name", "string", "resource", "the processor", "private")
OS_TYPE: Final = _declare("os.type", "string", "resource", "`linux`, `darwin`")
OS_VERSION: Final = _declare("os.version", "string", "resource", "the release of the operating system", "private")
PROCESS_PID: Final = _declare("process.pid", "int", "resource, attempt", "the process", "private")
PROCESS_OWNER: Final = _declare("process.owner", "string", "resource", "the user's name", "private")
PROCESS_ARGUMENTS: Final = _declare("process.command_args", "string[]", "resource", "the command line", "private")
PROCESS_DIRECTORY: Final = _declare(
    "process.working_directory", "string", "resource", "the folder of `pipeline.toml`", "private"
)
RUNTIME_NAME: Final = _declare("process.runtime.name", "string", "resource", "`cpython`")
RUNTIME_VERSION: Final = _declare("process.runtime.version", "string", "resource", "the version of Python")
EXIT_CODE: Final = _declare("process.exit.code", "int", "run, attempt", "how the process ended")

VCS_REPOSITORY_URL: Final = _declare(
    "vcs.repository.url.full", "string", "resource", "without `.git` or a password"
)
VCS_REPOSITORY_NAME: Final = _declare("vcs.repository.name", "string", "resource", "the repository")
VCS_OWNER: Final = _declare("vcs.owner.name", "string", "resource", "the user or group that owns the repository")
VCS_PROVIDER: Final = _declare(
    "vcs.provider.name", "string", "resource", "`github`, `gitlab`, `gitea`, `bitbucket`"
)
VCS_HEAD_NAME: Final = _declare("vcs.ref.head.name", "string", "resource", "the branch or tag")
VCS_HEAD_REVISION: Final = _declare("vcs.ref.head.revision", "string", "resource", "the commit")
VCS_HEAD_TYPE: Final = _declare("vcs.ref.head.type", "string", "resource", "`branch` or `tag`")
VCS_BASE_NAME: Final = _declare(
    "vcs.ref.base.name", "string", "resource", "the branch that a pull request aims at"
)
VCS_BASE_REVISION: Final = _declare("vcs.ref.base.revision", "string", "resource", "its commit, where CI gives it")
VCS_CHANGE_ID: Final = _declare("vcs.change.id", "string", "resource", "the number of the pull or merge request")
VCS_CHANGE_TITLE: Final = _declare("vcs.change.title", "string", "resource", "its title, where CI gives it")
VCS_MERGE_REVISION: Final = _declare(
    "nbdag.vcs.merge.revision", "string", "resource", "the trial merge that CI checked out for a pull request"
)
VCS_DIRTY: Final = _declare(
    "nbdag.vcs.dirty",
    "boolean",
    "resource",
    "git saw uncommitted changes; absent where nothing was executed",
)
CI_PROVIDER: Final = _declare("nbdag.ci.provider", "string", "resource", "`github` or `gitlab`")
CI_RUN_ID: Final = _declare("nbdag.ci.run.id", "string", "resource", "the run's identifier in that system")
CI_RUN_ATTEMPT: Final = _declare("nbdag.ci.run.attempt", "string", "resource", "how often the job was started")
CI_WORKFLOW: Final = _declare("nbdag.ci.workflow", "string", "resource", "the workflow or pipeline")
CI_JOB: Final = _declare("nbdag.ci.job", "string", "resource", "the job")
CI_EVENT: Final = _declare("nbdag.ci.event", "string", "resource", "what started it: `push`, `schedule`, ...")
CI_ACTOR: Final = _declare("nbdag.ci.actor", "string", "resource", "the account that started it")

ACTION: Final = _declare("cicd.pipeline.action.name", "string", "run", "`RUN`")
RESULT: Final = _declare("cicd.pipeline.result", "string", "run", "`success`, `failure`, `error`, `cancellation`")
RUN_TARGETS: Final = _declare("nbdag.run.targets", "string[]", "run", "what was asked for; absent for everything")
RUN_PROFILES: Final = _declare(
    "nbdag.run.profiles", "string[]", "run", "those that lay over the pipeline file, the last one on top"
)
COUNT: Final = _declare(
    "nbdag.count.<name>", "int", "run", "tasks by status: `ran`, `up_to_date`, ...; `total` is their sum"
)
RUN_SAVED: Final = _declare(
    "nbdag.run.saved_s", "double", "run", "seconds that the hits took when they were executed"
)

TASK_NAME: Final = _declare(
    "cicd.pipeline.task.name", "string", "task, attempt, cell", "the instance: `train[nr_train_images=600]`"
)
TASK_RUN_ID: Final = _declare("cicd.pipeline.task.run.id", "string", "task", "the same name: unique within a run")
TASK_RESULT: Final = _declare(
    "cicd.pipeline.task.run.result",
    "string",
    "task",
    "`success` (hits too), `failure`, `timeout`, `error` (infrastructure), `skip`, `cancellation`",
)
TASK_URL: Final = _declare(
    "cicd.pipeline.task.run.url.full",
    "string",
    "task",
    "the CI job's page or the run's folder, `#`, the task",
    "private",
)
TASK_TYPE: Final = _declare("cicd.pipeline.task.type", "string", "task", "`notebook`, `function` or `command`")
TASK_FAMILY: Final = _declare("nbdag.task.family", "string", "task", "the name in `pipeline.toml`: `train`")
TASK_STATUS: Final = _declare(
    "nbdag.task.status", "string", "task", "`up_to_date`, `restored`, `ran`, `failed`, `skipped`, `cancelled`"
)
TASK_REASONS: Final = _declare(
    "nbdag.task.reasons", "string[]", "task", "why it has this status, most important first"
)
TASK_CODES: Final = _declare(
    "nbdag.task.reason_codes", "string[]", "task", "a code for each reason, as in `nbdag help json`"
)
TASK_DRAFT: Final = _declare("nbdag.draft", "boolean", "task", "true: resumed from a snapshot, never a hit")
TASK_FORMAT: Final = _declare(
    "nbdag.task.notebook_format", "string", "task", "the notebook's Jupytext format, where the pipeline gives one"
)
TASK_SOURCE: Final = _declare(
    "nbdag.task.source", "string", "task", "digest of the notebook as it was in this run"
)
CODE_PATH: Final = _declare("code.file.path", "string", "task", "the notebook, relative to `pipeline.toml`")
CODE_FUNCTION: Final = _declare("code.function.name", "string", "task", "the function: `module.callable`")
CACHE_STATUS: Final = _declare("nbdag.cache.status", "string", "task", "`hit` or `miss`; absent when not executed")
CACHE_KEY: Final = _declare("nbdag.cache.key", "string", "task", "the key of the record")
CACHE_OWN_KEY: Final = _declare("nbdag.record.own_key", "string", "task", "the folder of the record in the cache")
CACHE_SOURCE_RUN: Final = _declare("nbdag.cache.source.run_id", "string", "task", "the run that produced a hit")
CACHE_SAVED: Final = _declare("nbdag.cache.saved_s", "double", "task", "seconds that its execution took")
CACHE_ACCEPTED: Final = _declare("nbdag.cache.accepted", "boolean", "task", "true: declared up to date by hand")
PARAM: Final = _declare("nbdag.param.<name>", "any", "run, task", "a parameter, declared or logged, with its type")
METRIC: Final = _declare("nbdag.metric.<name>", "double", "task", "a metric's last value")
TAG: Final = _declare("nbdag.tag.<name>", "string", "task", "a tag that the work set")
SERIES: Final = _declare("nbdag.series", "string", "task", "blob: every point of every metric")
CELLS: Final = _declare("nbdag.cells", "string", "task", "blob: the outputs of the cells that count")
UNDECLARED_READS: Final = _declare(
    "nbdag.undeclared.reads", "string[]", "task", "files below the repository that were read, and are not declared"
)
UNDECLARED_WRITES: Final = _declare("nbdag.undeclared.writes", "string[]", "task", "likewise those written")

CUT: Final = _declare(
    "nbdag.cut.<name>",
    "string",
    "any",
    "blob: all of `<name>`, a text or an attribute in OTLP/JSON; it was too long",
)
LEFT_OUT: Final = _declare(
    "nbdag.left_out", "string", "any", "blob: attributes in OTLP/JSON for which there was no room"
)

ATTEMPT_NUMBER: Final = _declare("nbdag.attempt.number", "int", "attempt, cell", "1 for the first")
ATTEMPT_OUTCOME: Final = _declare(
    "nbdag.attempt.outcome",
    "string",
    "attempt",
    "`succeeded`, `failed`, `timeout`, `lost` (infrastructure), `cancelled`",
)
ATTEMPT_WAIT: Final = _declare(
    "nbdag.attempt.start_s", "double", "attempt", "seconds until the work was ready to run"
)
ATTEMPT_POOL: Final = _declare(
    "nbdag.attempt.pool", "string", "attempt", "the pool of `[pools]` that it had to wait for"
)
ATTEMPT_POOL_WAIT: Final = _declare(
    "nbdag.attempt.pool_wait_s", "double", "attempt", "seconds from the begin of that wait to the attempt's own"
)
ATTEMPT_CPU: Final = _declare("nbdag.attempt.cpu_s", "double", "attempt", "processor seconds of the process group")
ATTEMPT_MEMORY: Final = _declare(
    "nbdag.attempt.peak_rss", "int", "attempt", "bytes, the largest seen of the group"
)
ATTEMPT_NODE: Final = _declare("nbdag.attempt.node", "string", "attempt", "the node of a cluster", "private")
ATTEMPT_PLACEMENT: Final = _declare(
    "nbdag.attempt.placement_s", "double", "attempt", "on a cluster: seconds until a node began it"
)
TRANSFER_SECONDS: Final = _declare(
    "nbdag.transfer.duration_s", "double", "attempt", "on a cluster: seconds in which blobs travelled"
)
TRANSFER_FETCHED: Final = _declare(
    "nbdag.transfer.fetched", "int", "attempt", "on a cluster: bytes that travelled to the node"
)
TRANSFER_SHARED: Final = _declare(
    "nbdag.transfer.shared", "int", "attempt", "on a cluster: those of them that came from the shared cache"
)
TRANSFER_SENT: Final = _declare("nbdag.transfer.sent", "int", "attempt", "on a cluster: bytes that travelled back")
ATTEMPT_LOG: Final = _declare("nbdag.attempt.log", "string", "attempt", "blob: what a function or command printed")
ATTEMPT_NOTEBOOK: Final = _declare("nbdag.attempt.notebook", "string", "attempt", "blob: the executed notebook")
FAILURE_CELL: Final = _declare(
    "nbdag.failure.cell", "int", "attempt", "the failing cell's index in the source, from 0"
)
FAILURE_LINE: Final = _declare("nbdag.failure.line", "int", "attempt", "the failing line, from 1")
FAILURE_SOURCE: Final = _declare("nbdag.failure.source", "string", "attempt", "the failing cell's code")

ENVIRONMENT_NAME: Final = _declare(
    "nbdag.environment.name", "string", "environment", "its name in `[environments]`"
)
ENVIRONMENT_PACKAGES: Final = _declare(
    "nbdag.environment.packages", "int", "environment", "how many packages were installed"
)
CELL_INDEX: Final = _declare("nbdag.cell.index", "int", "cell", "its index in the source file, from 0")
CELL_LINE: Final = _declare("nbdag.cell.first_line", "string", "cell", "its first line")
CELL_ALLOWED: Final = _declare(
    "nbdag.cell.allowed_error", "string", "cell", "the class of an exception that it was allowed to raise"
)

ERROR_TYPE: Final = _declare(
    "error.type",
    "string",
    "run, task, attempt, cell, environment",
    "the exception's class, `timeout`, `exit` or `_OTHER`",
)
EXCEPTION_TYPE: Final = _declare("exception.type", "string", "event `exception`", "the exception's class")
EXCEPTION_MESSAGE: Final = _declare("exception.message", "string", "event `exception`", "its message", "paths")
EXCEPTION_TRACE: Final = _declare(
    "exception.stacktrace", "string", "event `exception`", "the traceback; may hold ANSI colours", "paths"
)
ARTIFACT_NAME: Final = _declare(
    "artifact.filename", "string", "event `nbdag.artifact`", "the name it was logged under"
)
ARTIFACT_HASH: Final = _declare(
    "artifact.hash", "string", "event `nbdag.artifact`", "`sha256:` and the blob's digest"
)
ARTIFACT_MEDIA: Final = _declare("nbdag.artifact.media_type", "string", "event `nbdag.artifact`", "what it is")
FIGURE_SCRIPT: Final = "text/javascript; nbdag=figures"
"""The media type of a library's script that draws interactive figures: no artifact that a notebook logged."""
FILE_SIZE: Final = _declare("file.size", "int", "events `nbdag.artifact`, `nbdag.output`", "bytes")
OUTPUT_PATH: Final = _declare("nbdag.output.path", "string", "event `nbdag.output`", "a declared output")
OUTPUT_DIGEST: Final = _declare(
    "nbdag.output.digest", "string", "event `nbdag.output`", "the digest of its content"
)
LINK_TYPE: Final = _declare(
    "nbdag.link.type",
    "string",
    "link",
    "`depends_on` (the task above), `cache_source` (the task span that a hit comes from), `outer` (`TRACEPARENT`)",
)

TABLE: Final[tuple[Attribute, ...]] = tuple(_table)

EVENT_EXCEPTION: Final = "exception"
EVENT_ARTIFACT: Final = "nbdag.artifact"
EVENT_OUTPUT: Final = "nbdag.output"


_BY_NAME = {row.name: row for row in TABLE}
_FAMILIES = tuple(row for row in TABLE if row.name.endswith("<name>"))


def find(name: str) -> Attribute | None:
    """Return the row that describes an attribute, or ``None`` for an attribute of others."""
    return _BY_NAME.get(name) or next((row for row in _FAMILIES if name.startswith(row.name[:-6])), None)


def conforming(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the attributes of ours that do not have the type that the table gives them."""
    return {name: value for name, value in attributes.items() if not (row := find(name)) or _IS_A[row.type](value)}


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_IS_A: dict[str, Callable[[Any], bool]] = {
    "any": lambda _value: True,
    "boolean": lambda value: isinstance(value, bool),
    "double": lambda value: _is_int(value) or isinstance(value, float),
    "int": _is_int,
    "string": lambda value: isinstance(value, str),
    "string[]": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
}


def markdown() -> str:
    """Write the table as the README shows it."""
    rows = [
        f"| `{row.name}` | {row.type} | {row.where} | {row.privacy} | {row.meaning} |"
        for row in sorted(TABLE, key=lambda row: row.name)
    ]
    return "\n".join(["| attribute | type | where | privacy | meaning |", "|---|---|---|---|---|", *rows])
