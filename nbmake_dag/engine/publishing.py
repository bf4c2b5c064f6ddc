"""What must not be published: secrets of the pipeline and of past builds, and suspicions that nobody allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec.structs import replace

from nbmake_dag.config.pipeline_file import settings_of
from nbmake_dag.core.model import Settings
from nbmake_dag.engine.state.remembered_secrets import read_remembered
from nbmake_dag.errors import ConfigError
from nbmake_dag.observe.changes import content_at
from nbmake_dag.observe.ci import CiJob, ci_job, in_ci
from nbmake_dag.observe.instance_data import Commit, parse_with_parts
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.secrets import declared_secrets, secrets_in_urls
from nbmake_dag_reporting.secrets_scan import SHORTEST_SEARCHED, Secrets, suspects


def secrets_to_find(
    project: Project | None, settings: Settings, environ: Mapping[str, str], allow: Iterable[str] = ()
) -> Secrets:
    """Return what content is searched for; a bundle has no project.

    ``allow`` names variables of the command line that are no secrets, besides those of ``[report]``.
    """
    notes: list[str] = []
    declared = declared_secrets(settings, environ)
    allowed = {*allow, *(_allowed(project, settings, environ, notes) if project else ())}
    suspected = {
        name: value for name, value in suspects(environ).items() if name not in declared and name not in allowed
    }
    remembered = read_remembered(project, notes.append) if project else ()
    known = {item.name for item in remembered}
    for name in settings.secrets:
        if name in declared and len(declared[name]) < SHORTEST_SEARCHED:
            notes.append(f"nothing is searched for {name}: its value has under {SHORTEST_SEARCHED} characters")
        if name not in declared and name not in known:
            notes.append(f"nothing is searched for {name}: it is declared as a secret, and is not set here")
    return Secrets(
        secrets_in_urls(settings) | declared, suspected=suspected, remembered=remembered, unsearched=notes
    )


def _allowed(
    project: Project, settings: Settings, environ: Mapping[str, str], notes: list[str]
) -> Collection[str]:
    """Return what `[report] allow` names, as far as it is believed: a change under review cannot add to it."""
    job = ci_job(environ)
    if job is None and not in_ci(environ):
        return settings.report.allow
    if job and not job.change and job.ref_type == "branch" and job.ref_name == job.default_branch:
        return settings.report.allow
    believed = _allowed_by_base(project, job) if job else None
    if settings.report.allow and believed is None:
        notes.append("[report] allow is not believed here: the file of the protected branch cannot be read")
    elif unbelieved := sorted(set(settings.report.allow).difference(believed or ())):
        notes.append(f"[report] allow = {unbelieved} is not believed until it is on the protected branch")
    return believed or ()


def _allowed_by_base(project: Project, job: CiJob) -> Collection[str] | None:
    """Read the pipeline of the branch that a request aims at, else of the default branch."""
    branch = job.base_branch or job.default_branch
    revisions = [job.base_revision] if job.base_revision else []
    revisions += [f"origin/{branch}"] if branch else []
    for revision in revisions:
        data = content_at(project.repository, revision, project.config)
        if data is not None:
            try:
                file = parse_with_parts(replace(project, profiles=()), data, Commit(project, revision))
                return settings_of(file).report.allow
            except ConfigError:
                return None
    return None
