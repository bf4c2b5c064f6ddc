"""Calls that execute a notebook: papermill's, nbconvert's and ``jupyter execute``'s command lines."""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from nbmake_dag.scaffold.imports.shell_lines import Line, lines_of
from nbmake_dag.scaffold.imports.steps import SourceFile, Step

_WITH_TWO = {"-p": "text", "--parameters": "text", "-r": "raw", "--parameters_raw": "raw"}
_WITH_ONE = frozenset(
    {
        *("-y", "--parameters_yaml", "-f", "--parameters_file", "-b", "--parameters_base64", "-k", "--kernel"),
        *("--language", "--cwd", "--engine", "--stdout-file", "--stderr-file", "--log-level"),
        *("--start-timeout", "--start_timeout", "--execution-timeout", "--execution_timeout"),
        *("--autosave-cell-every", "--request-save-on-cell-execute"),
    }
)
_SAID_NOWHERE = {
    "--engine": "its engine",
    "--language": "its language",
    "--prepare-only": "that it is only prepared",
    "--report-mode": "that the copy hides its code",
    "--stderr-file": "the file for its error output",
    "--stdout-file": "the file for its output",
}
_STARTERS = frozenset(
    {"env", "nice", "nohup", "time", "poetry", "pipenv", "uv", "pixi", "pdm", "hatch", "run", "exec", "@"}
)
_NO_WORK = frozenset({"echo", "printf", "mkdir", "touch", "set", "export", "source", ".", "true", ":", "cd"})


class NotebookRun(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a notebook, as a command line or a call says it; paths as they are written."""

    notebook: str
    output: str = ""
    parameters: Mapping[str, Any] = {}
    kernel: str = ""
    cwd: str = ""
    timeout: str = ""
    unsaid: tuple[str, ...] = ()


def run_of(words: Sequence[str], source: SourceFile, folder: str) -> NotebookRun | None:
    """Return what a command executes, ``None`` if that is no notebook."""
    left = list(words)
    while left and (left[0] in _STARTERS or re.fullmatch(r"\w+=.*", left[0], re.DOTALL) or left[0] == "-n"):
        left.pop(0)
    if left[:2] == ["conda", "run"]:
        left = left[4:] if left[2:3] and left[2] in {"-n", "-p", "--name", "--prefix"} else left[2:]
    if len(left) > 2 and re.fullmatch(r"(?:.*/)?python[\d.]*", left[0]) and left[1] == "-m":
        left = left[2:]
    if not left:
        return None
    match posixpath.basename(left[0]), left[1:2]:
        case "papermill", _:
            return _papermill(left[1:], source, folder)
        case "jupyter", ["nbconvert"]:
            return _nbconvert(left[2:])
        case "jupyter-nbconvert" | "nbconvert", _:
            return _nbconvert(left[1:])
        case "jupyter", ["execute"]:
            return _execute(left[2:])
        case "jupyter-execute", _:
            return _execute(left[1:])
        case _:
            return None


def step_of_run(source: SourceFile, name: str, run: NotebookRun, folder: str) -> Step:
    """Make a step of one execution that begins in a folder of the project."""
    unsaid = list(run.unsaid)
    notebook = source.at(run.notebook, folder)
    output = source.at(run.output, folder) if run.output else ""
    if _is_unknown(output):
        unsaid.append(f"its copy `{run.output}`, whose name only running tells")
        output = ""
    if output and not output.endswith((".ipynb", ".html")):
        unsaid.append(f"its copy `{run.output}`, which is neither `.ipynb` nor `.html`")
        output = ""
    if output == notebook:
        unsaid.append("that the notebook is overwritten by its executed copy")
        output = ""
    workdir = source.at(run.cwd, folder) if run.cwd else folder
    is_there = source.has(notebook)
    if not is_there:
        unsaid.append(f"`{notebook}` is not there")
    return Step(
        name=name,
        notebook=notebook,
        notebook_output=output,
        parameters=run.parameters,
        kernel=run.kernel,
        workdir="" if workdir == "." else workdir,
        timeout=run.timeout,
        reads_code=True,
        unsaid=tuple(unsaid),
        is_comment=not is_there or "://" in run.notebook,
    )


def says_all(line: Line, run: NotebookRun) -> bool:
    """Return whether all is known that a line says of a notebook, but for the name of its copy."""
    return not any(_is_unknown(word) for word in line.words if word != run.output)


def _is_unknown(word: str) -> bool:
    return "$" in word or "`" in word


def step_of_commands(source: SourceFile, name: str, commands: Sequence[str], folder: str) -> Step:
    """Make a step of the commands of one rule: of a notebook if they only execute one, else of a command."""
    lines = [line for command in commands for line in lines_of(command, {})]
    work = [line for line in lines if line.words and line.words[0] not in _NO_WORK]
    if len(work) == 1 and not work[0].is_conditional and (run := run_of(work[0].words, source, folder)):
        return step_of_run(source, name, run, _moved(lines, folder))
    return Step(name=name, command="\n".join(commands), workdir=folder)


def _moved(lines: Sequence[Line], folder: str) -> str:
    for line in lines:
        if line.words[:1] == ("cd",) and len(line.words) == 2:
            folder = posixpath.normpath(posixpath.join(folder, line.words[1]))
    return "" if folder == "." else folder


def _papermill(words: list[str], source: SourceFile, folder: str) -> NotebookRun | None:
    paths: list[str] = []
    parameters: dict[str, Any] = {}
    unsaid: list[str] = []
    options: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if option in _WITH_TWO and len(left) >= 2:
            name, text = left.pop(0), left.pop(0)
            parameters[name] = _typed(text) if _WITH_TWO[option] == "text" else text
        elif option in _WITH_ONE and (equals or left):
            text = value if equals else left.pop(0)
            if option in {"-y", "--parameters_yaml", "-b", "--parameters_base64", "-f", "--parameters_file"}:
                parameters |= _table(option, text, source, folder, unsaid)
            options[option] = text
        elif word.startswith("-") and word != "-":
            options[option] = ""
        else:
            paths.append(word)
    if not paths or paths[0] == "-":
        return None
    unsaid += [what for option, what in _SAID_NOWHERE.items() if option in options]
    if len(paths) > 1 and "://" in paths[1]:
        unsaid.append(f"its copy `{paths[1]}`, which is not a file of the project")
    seconds = options.get("--execution-timeout") or options.get("--execution_timeout")
    if seconds:
        unsaid.append(f"that one cell may take {seconds} s: `timeout` is that of the whole notebook")
    return NotebookRun(
        notebook=paths[0],
        output=paths[1] if len(paths) > 1 and "://" not in paths[1] and paths[1] != "-" else "",
        parameters=parameters,
        kernel=options.get("-k") or options.get("--kernel") or "",
        cwd=options.get("--cwd", ""),
        unsaid=tuple(unsaid),
    )


def _typed(text: str) -> Any:
    """Read a value as papermill's command line does."""
    if text in {"True", "False", "None"}:
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _table(option: str, text: str, source: SourceFile, folder: str, unsaid: list[str]) -> dict[str, Any]:
    """Read parameters that stand in YAML: in the argument, in base64, or in a file."""
    content: str | None = text
    if option in {"-f", "--parameters_file"}:
        file = source.sibling(source.at(text, folder))
        content = file.text if file else None
    elif option in {"-b", "--parameters_base64"}:
        try:
            content = base64.b64decode(text).decode()
        except ValueError:
            content = None
    try:
        found = yaml.safe_load(content) if content is not None and content.count("*") < 100 else None
    except (yaml.YAMLError, RecursionError, ValueError):
        found = None
    if isinstance(found, dict):
        return {str(name): value for name, value in found.items()}
    unsaid.append(f"the parameters of `{option} {text}`, which cannot be read")
    return {}


def _nbconvert(words: list[str]) -> NotebookRun | None:
    """Read ``jupyter nbconvert --execute``, ``None`` if it only converts."""
    if "--execute" not in words:
        return None
    paths: list[str] = []
    options: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if equals:
            options[option] = value
        elif option in {"--to", "--output", "--output-dir", "--template"} and left:
            options[option] = left.pop(0)
        elif word.startswith("-"):
            options[option] = ""
        else:
            paths.append(word)
    if len(paths) != 1:
        return None
    to = options.get("--to", "html")
    stem, _ = posixpath.splitext(paths[0])
    suffix = {"notebook": ".ipynb", "html": ".html"}.get(to, f".{to}")
    folder = options.get("--output-dir") or posixpath.dirname(paths[0])
    name = options.get("--output") or posixpath.basename(stem) + (".nbconvert" if to == "notebook" else "")
    name = name if name.endswith(suffix) else name + suffix
    unsaid = ["that its errors are allowed"] if "--allow-errors" in options else []
    if any("timeout" in option and value not in {"-1", "None"} for option, value in options.items()):
        unsaid.append("its timeout, which is that of one cell")
    kernel = next((value for option, value in options.items() if option.endswith("kernel_name")), "")
    output = "" if "--inplace" in options else posixpath.join(folder, name)
    if "--inplace" in options:
        unsaid.append("that the notebook is overwritten by its executed copy")
    cwd = posixpath.dirname(paths[0])
    return NotebookRun(notebook=paths[0], output=output, kernel=kernel, cwd=cwd, unsaid=tuple(unsaid))


def _execute(words: list[str]) -> NotebookRun | None:
    paths = [word for word in words if not word.startswith("-")]
    if len(paths) != 1:
        return None
    output = next((word.partition("=")[2] for word in words if word.startswith("--output=")), "")
    kernel = next((word.partition("=")[2] for word in words if word.startswith("--kernel_name=")), "")
    unsaid = ("that its errors are allowed",) if "--allow-errors" in words else ()
    cwd = posixpath.dirname(paths[0])
    output = output.replace("{notebook_name}", posixpath.splitext(posixpath.basename(paths[0]))[0])
    return NotebookRun(
        notebook=paths[0],
        output=posixpath.join(cwd, output) if output else "",
        kernel=kernel,
        cwd=cwd,
        unsaid=unsaid,
    )
