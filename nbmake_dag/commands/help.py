"""`nbdag help`: the documentation that is installed with nbdag, in the terminal or as pages in a browser."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from html import escape
from importlib.metadata import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

GUIDE = {
    "Begin": {
        "tutorial": "From a folder of notebooks to a pipeline, in half an hour.",
        "notebooks": "Parameters, inputs and outputs in a notebook; logging values.",
        "environments": "Installing nbdag; the kernels that notebooks run in.",
        "troubleshooting": "What goes wrong, and what to do.",
    },
    "How to": {
        "folders": "Running notebooks in their own folder.",
        "instances": "One task for many values, rows or files.",
        "pools": "Tasks that share a database or a licence; which begins first.",
        "profiles": "One pipeline for a laptop, for CI and for the real thing.",
        "parts": "One pipeline in several files, each in its folder.",
        "lock-files": "A Python environment for each task, made from its lock file.",
        "languages": "R, Julia and other languages; logging from any program.",
        "debugging": "Opening a notebook as its task sees it, and after a failure.",
        "watch": "Building while you edit; the live view.",
        "comparing": "Comparing runs, in the terminal and in a browser.",
        "what-changed": "Finding the commit, or the change, that made a result differ.",
        "publishing": "Publishing the site of runs.",
        "testing": "Notebooks as tests, and tests of notebooks.",
        "secrets": "Tokens and passwords in tasks, and where they must not appear.",
        "large-data": "Inputs and outputs of many gigabytes.",
        "ci": "GitHub Actions and GitLab.",
        "other-ci": "Any other CI system.",
        "sharing": "A cache for several machines.",
        "replaying": "Make results again, and see whether they are the same.",
        "remote-inputs": "Inputs from the web and from buckets.",
        "archiving": "A run as an RO-Crate, for archives of research data.",
        "attestations": "Signed statements of what made a file, and checking them elsewhere.",
        "restoring": "Outputs as a run left them, where nothing can make them.",
        "cluster": "Ray on several machines.",
        "slurm": "Nodes of a SLURM cluster, for one build.",
        "kubernetes": "A Ray cluster on Kubernetes.",
        "books": "Pages of Quarto, MyST and Jupyter Book with results.",
        "editors": "Completions for shells; checks of pipeline.toml in editors.",
        "moving": "Coming from Ploomber, Snakemake, DVC, papermill or pynb_dag_runner.",
        "side-by-side": "One pipeline in the files of seven other tools.",
    },
    "Reference": {
        "keys": "Every key of pipeline.toml.",
        "commands": "Every command and option.",
        "functions": "What Python code can call: logging, values of other tasks, builds.",
        "variables": "Environment variables and exit codes.",
        "files": "What nbdag keeps in .nbdag/.",
        "spans": "The attributes of OpenTelemetry spans.",
        "json": "What commands write for programs: JSON, its schemas and codes.",
        "mlflow": "MLflow's calls in a notebook, and where they go.",
        "papermill": "nbdag as an engine of papermill.",
    },
    "Explanation": {
        "staleness": "What makes a task run again.",
        "undeclared-files": "Files that tasks use and do not declare; sandboxes.",
        "records": "Records of runs, records of results, and blobs.",
        "drafts": "Results that came from a snapshot, and what confirms them.",
        "skips": "Why a skipped task can be trusted, and how that is tested.",
        "trust": "Who may read and write what.",
        "limits": "What nbdag does not see or do.",
        "comparison": "Other tools, point by point; when to use them.",
    },
}
"""The pages of ``nbmake_dag/docs`` by what they are for, in the order in which a newcomer needs them."""

TOPICS = {topic: text for group in GUIDE.values() for topic, text in group.items()}

_ELSEWHERE = re.compile(r"(?<=\]\()(?:\.\./)+(?P<path>[^)#\s]+)")
_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d0d7de, #3d444d); --plate: light-dark(#f6f8fa, #151b23) }
body { margin: 0; font: 1rem/1.6 system-ui, sans-serif; background: light-dark(#fff, #0d1117);
  color: light-dark(#1f2328, #f0f6fc); display: flex; flex-wrap: wrap }
a { color: light-dark(#0550ae, #79b8ff) }
nav { flex: 1 0 12rem; padding: 1rem; background: var(--plate); border-right: 1px solid var(--line) }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0 }
main { flex: 100 1 32rem; min-width: 0; max-width: 56rem; padding: 1rem 2rem 4rem }
code, pre { font: .875em/1.5 ui-monospace, monospace; background: var(--plate) }
pre { padding: .75rem; overflow-x: auto }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { border: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top }
img { max-width: 100% }
"""


@click.command
@click.argument("topic", required=False)
@click.option("--open", "opens", is_flag=True, help="Open the topic, or all of them, in a browser.")
@click.pass_context
def command(context: click.Context, topic: str | None, *, opens: bool) -> None:
    """Show the documentation of a TOPIC or a command, or list the topics."""
    from nbmake_dag.commands.cli import COMMANDS, cli  # noqa: PLC0415 - it imports this module by name
    from nbmake_dag.errors import UsageError  # noqa: PLC0415 - not for --help

    if topic is not None and topic not in TOPICS and topic not in COMMANDS:
        from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

        close = get_close_matches(topic, [*TOPICS, *COMMANDS], n=1)
        hint = f"did you mean `nbdag help {close[0]}`?" if close else "`nbdag help` lists the topics"
        raise UsageError(f"no topic and no command is called {topic!r}", (), hint)
    if opens:
        _open("everything" if topic is None else topic if topic in TOPICS else "commands")
    elif topic is None:
        _list_topics()
    elif topic in TOPICS:
        _show(_text(topic))
    else:
        below = cli.get_command(context, topic)
        if below is not None:
            with click.Context(below, info_name=f"nbdag {topic}") as asked:
                click.echo(below.get_help(asked))


def lead_to_repository(text: str) -> str:
    """Let the links of a page that leave the folder of the documentation lead to the repository's address."""
    project = metadata("nbmake-dag").get_all("Project-URL") or ()
    addresses = dict(each.split(", ", 1) for each in project)
    return _ELSEWHERE.sub(rf"{addresses['Repository']}/blob/main/\g<path>", text)


def write_pages(folder: str) -> None:
    """Write every topic as a page, and `everything.html` to search in; they load nothing from outside."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - for pages alone

    markdown = MarkdownIt("js-default")

    def rendered(topic: str, *, alone: bool) -> str:
        tokens = markdown.parse(lead_to_repository(_text(topic)))
        for index, token in enumerate(tokens):
            if token.type == "heading_open" and alone:
                token.attrSet("id", _slug(tokens[index + 1].content))
            for child in token.children or ():
                target = child.attrGet("href")
                if child.type == "link_open" and isinstance(target, str) and "://" not in target:
                    child.attrSet("href", target.replace(".md", ".html", 1))
        return str(markdown.renderer.render(tokens, markdown.options, {}))

    os.makedirs(os.path.join(folder, "images"), exist_ok=True)
    for image in _pages().joinpath("images").iterdir():
        _write(folder, f"images/{image.name}", image.read_bytes())
    for topic in TOPICS:
        _write(folder, f"{topic}.html", _page(topic, [rendered(topic, alone=True)]))
    _write(folder, "everything.html", _page("everything", (rendered(topic, alone=False) for topic in TOPICS)))


def _slug(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")


def _page(name: str, articles: Iterable[str]) -> bytes:
    def entry(topic: str, title: str) -> str:
        current = ' aria-current="page"' if topic == name else ""
        return f'<li><a href="{topic}.html"{current}>{escape(title)}</a></li>'

    groups = "".join(
        f"<p>{escape(title)}</p><ul>{''.join(entry(topic, topic) for topic in group)}</ul>"
        for title, group in GUIDE.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nbdag: {escape(name)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f'<nav aria-label="Topics"><ul>{entry("everything", "All on one page, to search in")}</ul>{groups}</nav>'
        f"<main>{''.join(articles)}</main></body></html>\n"
    ).encode()


def _write(folder: str, name: str, data: bytes) -> None:
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def _open(page: str) -> None:
    import webbrowser  # noqa: PLC0415 - for pages alone

    from nbmake_dag import __version__  # noqa: PLC0415 - likewise
    from nbmake_dag.errors import naming  # noqa: PLC0415 - likewise
    from nbmake_dag.execute.user_cache import user_cache  # noqa: PLC0415 - likewise

    folder = user_cache(f"help-{__version__}")
    with naming(folder):
        write_pages(folder)
    path = os.path.join(folder, f"{page}.html")
    click.echo(path)
    webbrowser.open(Path(path).as_uri())


def _pages() -> Traversable:
    return files("nbmake_dag").joinpath("docs")


def _text(topic: str) -> str:
    return _pages().joinpath(f"{topic}.md").read_text(encoding="utf-8")


def _list_topics() -> None:
    formatter = click.HelpFormatter()
    for title, group in GUIDE.items():
        with formatter.section(title):
            formatter.write_dl(list(group.items()))
    formatter.write_paragraph()
    formatter.write_text(
        "`nbdag help TOPIC` shows one, `nbdag help --open` all of them in a browser, `nbdag COMMAND --help` the"
        " options of a command."
    )
    click.echo(formatter.getvalue(), nl=False)


def _show(text: str) -> None:
    """Show a page: rendered and by pages in a terminal, else as it is written."""
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console  # noqa: PLC0415 - only in a terminal
    from rich.markdown import Markdown  # noqa: PLC0415 - likewise

    console = Console()
    os.environ.setdefault("LESS", "-R")  # or it shows colours as codes
    # links between files mean nothing in a terminal
    with console.pager(styles=True):
        console.print(Markdown(re.sub(r"!?\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", text)))
