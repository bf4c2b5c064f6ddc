"""Write the static site: new records of runs are added to the existing site."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.resources import files as package_files
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.alerts import alerts_of_site
from nbmake_dag_reporting.assemble import Resolve
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Declared
from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.numbers import spelled
from nbmake_dag_reporting.otlp import TRACE
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.runs import RunNotFoundError, open_regular, read_run
from nbmake_dag_reporting.scrub import keep, public, scrub_value, scrubber
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets
from nbmake_dag_reporting.site_budget import shrink, sizes_in
from nbmake_dag_reporting.site_chunks import DamagedChunkError, SiteFiles
from nbmake_dag_reporting.site_graph import drawn_graph, folded_graph
from nbmake_dag_reporting.site_index import SiteIndex
from nbmake_dag_reporting.site_judgements import Judgement, count_judgements, write_judgements
from nbmake_dag_reporting.site_page import frame, page
from nbmake_dag_reporting.site_task import Executed, TaskPublisher

FORMAT = 7
_APP = ("app.js", "app.css", "texts.js", "maths.js", "maths.css", "NOTICES.txt")
_STATE = "site.json"
_COUNTS = ("total", "ran", "restored", "up_to_date", "failed", "skipped", "cancelled")


_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    msgspec.MsgspecError,
)
"""What content raises that is not what its name promises: it may come from anybody."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A run that could be shown; its ``stamp`` changes when there is more of it, and is empty for none."""

    name: str
    stamp: str
    read: Callable[[], Recorded]


class SiteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is published, and how much; ``secrets`` are searched for before."""

    executed: Executed
    publish_host: bool = False
    previews: bool = False
    """Whether declared outputs are looked into, too."""
    committed: Callable[[Run, Collection[str]], Mapping[str, bytes]] | None = None
    """Gives files as the commit of a run has them, by paths relative to its pipeline file."""
    max_size: int = 900_000_000
    metrics: Mapping[str, Declared] = {}
    views: Mapping[str, str] = {}
    """Addresses of pages as somebody set them, by name."""
    secrets: Secrets = msgspec.field(default_factory=lambda: Secrets({}))


class SiteResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of writing a site: runs added or updated, all runs of the site, and those without details."""

    added: tuple[str, ...]
    runs: int
    dropped: tuple[str, ...]
    refused: tuple[str, ...]
    """Damaged or forged runs, damaged parts of the site, and verdicts and blames with a secret: each with why."""
    withheld: tuple[str, ...]
    """Runs that hold a secret, each with its place and its name."""
    size: int
    page: str
    version: str
    """Changes with what the site shows."""
    alerts: tuple[str, ...] = ()
    """What is wrong with the metrics of the newest run."""


def found_in(runs: str, record: Resolve, blob: Callable[[str], bytes | None]) -> list[Found]:
    """List the runs of a folder, oldest first, whose records and blobs are reached as given."""

    def found(name: str) -> Found:
        directory = os.path.join(runs, name)
        return Found(
            name=name,
            stamp=_stamp(directory),
            read=lambda: Recorded(run=read_run(directory, record), blob=blob, record=record),
        )

    return [found(name) for name in sorted(os.listdir(runs))] if os.path.isdir(runs) else []


def is_site(folder: str) -> bool:
    """Whether a folder holds a site, of any format, also one whose first writing was cut off."""
    with suppress(OSError, ValueError, RecursionError), open_regular(os.path.join(folder, _STATE)) as file:
        state = msgspec.json.decode(file.read())
        return isinstance(state, dict) and {"format", "publish_host", "runs", "size"} <= state.keys()
    return False


def write_site(
    out: str, found: Sequence[Found], options: SiteOptions, judgements: Iterable[Judgement] = ()
) -> SiteResult:
    """Bring a site up to date with its runs and what was judged of them, without what holds a secret.

    Waits for any other process that is writing this site. A site that cannot be read is written again.
    """
    os.makedirs(out, exist_ok=True)
    judgements = tuple(judgements)
    with _alone(out):
        try:
            return _write_site(out, found, options, judgements)
        except DamagedChunkError as error:
            kept = _set_aside(out, options)
            result = _write_site(out, found, options, judgements)
            had = f"what it had: {kept}" if kept else "nothing else of it was left"
            what = f"{error} was damaged: the site has the runs that have records again; {had}"
            return replace(result, refused=(what, *result.refused))


def _write_site(
    out: str, found: Sequence[Found], options: SiteOptions, judgements: Iterable[Judgement]
) -> SiteResult:
    files = SiteFiles(out, options.secrets)
    state = _state(out, options)
    if not state.runs and not is_site(out):
        files.write(_STATE, msgspec.json.encode(_BEGUN))
    seen = state.runs
    index = SiteIndex(files, must=bool(state.runs))
    added: list[str] = []
    refused: list[str] = []
    withheld: list[str] = []
    lost: dict[str, str] = {}
    for item in found:
        if item.stamp and seen.get(item.name) != item.stamp:
            try:
                recorded = item.read()
                if recorded.run.id == item.name or recorded.run.id not in seen:
                    _add(recorded, index, files, options)
            except RunNotFoundError:
                refused.append(f"{item.name}: none of its spans can be read")
                continue
            except SecretFoundError as error:
                withheld.append(f"{item.name}: {error}")
                continue
            except _DAMAGE as error:
                refused.append(f"{item.name}: {type(error).__name__}: {error}")
                continue
            (lost if recorded.run.lost else seen)[item.name] = item.stamp
            added.append(recorded.run.id)
    refused += _without_tasks([*lost])
    scrub = keep if options.publish_host else scrubber(None)
    refused += write_judgements(files, judgements, scrub, must=index.judgements > 0)
    version = _write_pages(files, index, options)
    dropped: list[str] = []
    size = state.size + files.grown
    if size > options.max_size:
        dropped, size = shrink(files, index.newest_first(), options.max_size)
    if dropped:
        index.drop_details(dropped)
        version = _write_pages(files, index, options)
    files.write(_STATE, msgspec.json.encode(_new_state(options, seen, size)))
    alerts = tuple(alerts_of_site(index, options.metrics))
    refused += [f"values of earlier runs: data/{key}.js was damaged" for key in dict.fromkeys(files.damaged)]
    return SiteResult(
        added=tuple(added),
        runs=len(index),
        dropped=tuple(dropped),
        refused=tuple(refused),
        withheld=tuple(withheld),
        size=size,
        page=os.path.join(out, "index.html"),
        version=version,
        alerts=alerts,
    )


@contextmanager
def _alone(folder: str) -> Generator[None]:
    """Hold a lock on a folder, which goes with the process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a site: its runs as they were when written, and its size."""

    format: int
    publish_host: bool
    runs: dict[str, str]
    size: int
    previews: bool = False


_BEGUN = _State(format=0, publish_host=False, runs={}, size=0)
"""Marks the folder as a site before anything else is in it; nothing that it shows is believed."""


def _state(out: str, options: SiteOptions) -> _State:
    """Read what a site shows. One of another kind is started afresh; raises `DamagedChunkError`."""
    try:
        with open_regular(os.path.join(out, _STATE)) as file:
            state = msgspec.json.decode(file.read(), type=_State)
    except FileNotFoundError as error:
        if os.path.lexists(os.path.join(out, "data")):
            raise DamagedChunkError(_STATE) from error
        return _new_state(options, {}, 0)
    except (ValueError, RecursionError) as error:
        raise DamagedChunkError(_STATE) from error
    if (state.format, state.publish_host, state.previews) == _published(options):
        return state
    for folder in ("data", "blobs"):
        shutil.rmtree(os.path.join(out, folder), ignore_errors=True)
    return _new_state(options, {}, 0)


def _set_aside(out: str, options: SiteOptions) -> str:
    """Let a site have no runs; return where its data is kept, for runs whose records are gone.

    That is beside the site, which may be published. Earlier ones stay: they may have runs that this one has not.
    """
    data, kept = os.path.join(out, "data"), ""
    if os.path.lexists(data):
        beside = f"{os.path.abspath(out)}.damaged"
        names = (beside, *(f"{beside}-{number}" for number in range(2, 1_000)))
        kept = next(name for name in names if not os.path.lexists(name))
        shutil.move(data, kept)
    size = sum(size for _, size in sizes_in(out))
    SiteFiles(out, options.secrets).write(_STATE, msgspec.json.encode(_new_state(options, {}, size)))
    return kept


def _published(options: SiteOptions) -> tuple[int, bool, bool]:
    return FORMAT, options.publish_host, options.previews


def _new_state(options: SiteOptions, runs: dict[str, str], size: int) -> _State:
    number, publish_host, previews = _published(options)
    return _State(format=number, publish_host=publish_host, previews=previews, runs=runs, size=size)


def _stamp(directory: str) -> str:
    """Return what changes when a run goes on: the sizes of its files."""
    sizes: list[str] = []
    for name in (TRACE, f"{TRACE}.gz", EVENTS):
        try:
            sizes.append(str(os.stat(os.path.join(directory, name)).st_size))
        except OSError:
            sizes.append("")
    return ",".join(sizes) if any(sizes) else ""


def _without_tasks(runs: Sequence[str]) -> list[str]:
    """Report runs that are read again next time: the table that they lack may be made again."""
    what = f"tasks of {len(runs)} runs, such as {runs[-1]}" if len(runs) > 1 else f"tasks of {''.join(runs)}"
    return [f"{what}: a table of their spans is gone or damaged"] if runs else []


def _node_names(run: Run, *, publish_host: bool) -> dict[str, str]:
    """Name the nodes of a run's cluster: numbered where no host may be published."""
    attempts = [attempt for task in run.tasks.values() for attempt in task.attempts]
    nodes = sorted({attempt.node for attempt in attempts if attempt.node})
    return {node: node if publish_host else f"node {number}" for number, node in enumerate(nodes, 1)}


def _add(recorded: Recorded, index: SiteIndex, files: SiteFiles, options: SiteOptions) -> None:
    run = recorded.run
    root = run.resource.attributes.get(schema.PROCESS_DIRECTORY)
    scrub = keep if options.publish_host else scrubber(str(root) if root else None)
    files.refs.clear()
    publisher = TaskPublisher(
        files=files,
        recorded=recorded,
        executed=options.executed,
        scrub=scrub,
        publish_host=options.publish_host,
        previews=options.previews,
        committed=partial(options.committed, run) if options.committed else None,
        nodes=_node_names(run, publish_host=options.publish_host),
    )
    numbers = {name: number for number, name in enumerate(run.tasks)}
    tasks = [publisher.publish(task, numbers, run.id) for task in run.tasks.values()]
    resource = run.resource.attributes if options.publish_host else public(run.resource)
    above = {task.name: task.upstreams for task in run.tasks.values()}
    graph = files.put(drawn_graph(above), f"run {run.id}")
    folded = folded_graph(above, {task.name: task.family for task in run.tasks.values()})
    chunk = {
        "id": run.id,
        "tasks": tasks,
        "graph": graph,
        **({"folded": files.put(folded, f"run {run.id}")} if folded else {}),
        "targets": list(run.targets),
        "parameters": spelled(scrub_value(dict(run.parameters), scrub)),
        "resource": dict(resource),
        "refs": sorted(files.refs),
    }
    files.write_chunk(f"run/{run.id}", chunk, f"run {run.id}")
    index.add(run, _row(run), publisher.extremes)


def _row(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "pipeline": run.pipeline,
        "started": run.started // 1_000_000,
        "seconds": None if run.ended is None else round((run.ended - run.started) / 1e9, 3),
        "result": run.result,
        "branch": run.vcs.head_name,
        "commit": run.vcs.head_revision,
        "dirty": run.vcs.dirty,
        "repository": run.vcs.repository_url,
        "change": run.vcs.change_id,
        "title": run.vcs.change_title,
        "trigger": run.ci.event if run.ci else None,
        "profile": ",".join(run.profiles) or None,
        "url": run.ci.url if run.ci else None,
        **{name: run.counts.get(name, 0) for name in _COUNTS},
        "saved": round(run.saved_s, 3),
        "detail": 1,
    }


def _write_pages(files: SiteFiles, index: SiteIndex, options: SiteOptions) -> str:
    """Write what all pages share; return what changes with it."""
    metrics = {name: asdict(metric) for name, metric in options.metrics.items()}
    settings = {"metrics": metrics, "views": options.views, "judgements": count_judgements(files)}
    version = index.write(settings)
    digest = hashlib.sha256()
    for name in _APP:
        data = package_files("nbmake_dag_reporting").joinpath("app", name).read_bytes()
        digest.update(data)
        files.write(name, data)
    files.write("frame.html", frame().encode())
    files.write("index.html", page(index.recent(), version, digest.hexdigest()[:8]).encode())
    return version
