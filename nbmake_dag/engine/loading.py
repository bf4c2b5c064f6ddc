"""Read `pipeline.toml`, and all that its expansion needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import msgspec

from nbmake_dag.config.expansion import expand
from nbmake_dag.config.paths import read_path
from nbmake_dag.config.pipeline_file import Found, PipelineFile
from nbmake_dag.config.secrets import check_instances, check_secrets
from nbmake_dag.core.model import Function, Pipeline, ProjectPath, Signature, Value
from nbmake_dag.core.trial import Trial, as_tried
from nbmake_dag.engine.dispatch.task_environment import driver_environment
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.made_files import MadeFiles
from nbmake_dag.engine.state.previous_results import CarriedResults
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import Complaint, ConfigError, UsageError
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.instance_data import Data, found_for, parse_with_parts
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernels import Kernels
from nbmake_dag.observe.places import Places
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.remote_copies import RemoteCopies
from nbmake_dag.observe.secrets import declared_secrets
from nbmake_dag.observe.sources import Sources
from nbmake_dag.observe.variables import Variables


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline file that was read, with what reads more of it; ``found`` is what its instances come from."""

    file: PipelineFile
    signatures: Mapping[str, Signature]
    overrides: Mapping[str, Value]
    found: Found
    sources: Sources
    interpreters: Interpreters
    kernels: Kernels
    made: MadeFiles
    carried: CarriedResults
    copies: RemoteCopies
    is_new: bool
    """Nothing was built in this checkout before."""
    places: Places = msgspec.field(default_factory=Places)
    """All that was looked for, in whichever survey: a build with nothing to do looks there too."""
    trial: Trial | None = None
    listed: dict[str, tuple[ProjectPath, ...]] = {}
    """By glob, the files on disk that instances of families come from which are not known at first."""

    def pipeline(self, known: Found) -> Pipeline:
        """Expand the file; raises `ConfigError` with every complaint. ``known`` is what tasks have made."""
        found = Found(
            rows={**self.found.rows, **known.rows},
            files={**self.found.files, **known.files},
            awaited=self.found.awaited - known.rows.keys() - known.files.keys(),
        )
        pipeline = expand(self.file, self.signatures, self.overrides, found)
        if pipeline.secrets:
            check_instances(pipeline.tasks.values(), declared_secrets(pipeline, driver_environment()))
        return as_tried(pipeline, self.trial) if self.trial is not None else pipeline


def load_file(project: Project, request: Request, stores: Stores) -> tuple[Loaded, Pipeline]:
    """Read a pipeline, and expand it as far as that is known; raises `ConfigError` with every complaint."""
    try:
        # with the stamp of a file at rest, if it is that
        stores.files.digest(project.config)
        data, _ = stores.files.read(project.config)
    except PermissionError as error:
        raise UsageError(f"{project.config} cannot be read: {error.strerror}") from error
    interpreters = Interpreters(stores.identities, Variables(driver_environment()))
    installed = tuple(project.here(path) for path in sys.path if path)
    sources = Sources(project, stores.files, stores.identities, installed)
    sources.unread = {} if request.keep_going else None
    file = parse_with_parts(project, data, sources.data)
    loaded = Loaded(
        file=file,
        signatures=_signatures(file, sources),
        overrides=request.overrides,
        found=found_for(file, sources.data, request.overrides),
        sources=sources,
        interpreters=interpreters,
        kernels=Kernels(interpreters.variables, stores.identities, interpreters),
        made=MadeFiles(stores),
        carried=CarriedResults(project, stores.records),
        copies=RemoteCopies(project=project, warn=stores.warnings.append),
        is_new=stores.previous.is_empty,
        trial=request.trial,
    )
    pipeline = loaded.pipeline(Found())
    if pipeline.secrets:
        variables = driver_environment()
        texts = {path: stores.files.read(project.absolute(path))[0].decode() for path in file.files}
        check_secrets(file, texts, variables, request.overrides)
        redactor = Redactor(declared_secrets(pipeline, variables))
        stores.files.hides = lambda path: redactor.name_in_text(project.relative(path)) is not None
    return loaded, pipeline


def read_pipeline(
    project: Project,
    data: bytes,
    sources: Sources,
    overrides: Mapping[str, Value],
    at: Data | None = None,
    known: Found | None = None,
) -> Pipeline:
    """Read a pipeline; raises `ConfigError` with every complaint.

    Its instances come from what there is ``at``, and from what is ``known`` of what tasks make.
    """
    parsed = parse_with_parts(project, data, at or sources.data)
    found = found_for(parsed, at or sources.data, overrides, known)
    return expand(parsed, _signatures(parsed, sources), overrides, found)


def _signatures(parsed: PipelineFile, sources: Sources) -> dict[str, Signature]:
    """Read every notebook and function that a pipeline names; raises `ConfigError` with all that cannot be."""
    signatures: dict[str, Signature] = {}
    complaints: list[Complaint] = []
    for source, (kind, place, form) in parsed.sources().items():
        try:
            if kind == "notebook":
                signatures[source] = sources.signature(read_path(source), place, form=form)
            else:
                module, _, qualname = source.partition(":")
                signatures[source] = sources.function(Function(module=module, qualname=qualname), place).signature
        except ConfigError as error:
            complaints += error.complaints
    if complaints:
        raise ConfigError(tuple(complaints))
    return signatures
