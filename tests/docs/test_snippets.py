"""What a reader copies from the documentation works: commands and options exist, files are read."""

from __future__ import annotations

import hashlib
import importlib
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import boto3
import click
import jsonschema
import jupytext
import pytest
import yaml

from nbmake_dag.commands.cli import COMMANDS, OPTIONAL_VALUES
from nbmake_dag.commands.help import TOPICS
from nbmake_dag.config.pipeline_file import json_schema
from nbmake_dag.execute.environments import uv
from tests.docs.reference import DOCS, ROOT
from tests.remote_inputs.conftest import server
from tests.remote_inputs.servers import Server
from tests.support.buckets import bucket_called
from tests.support.project import Project

__all__ = ["server"]

PAGES = {page.stem: page.read_text() for page in sorted(DOCS.glob("*.md"))}
PAGES["README"] = (ROOT / "README.md").read_text()
GENERATED = {"commands", "keys"}
_BLOCK = re.compile(r"^( *)```(\w*) ?(\S*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_PLACEHOLDER = {"COMMAND", "TOPIC", "X"}


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield language, file name and text of each block of code."""
    for indent, language, name, code in _BLOCK.findall(text):
        yield language, name, re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every `nbdag` command of a page, in its text and in its blocks for shells."""
    shell = [code for language, _, code in blocks(text) if language == "sh"]
    lines = [line for code in shell for line in code.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"(?<!`)`(nbdag [^`]+)`(?!`)", _BLOCK.sub("", text))
    for line in [*lines, *(" ".join(each.split()) for each in inline)]:
        for part in re.split(r"\|\||&&|[|;]|\$\(|\)", line.partition("  #")[0]):
            words = shlex.split(part.replace("'", "").replace('"', "").replace("`", ""), comments=False)
            if words[:1] == ["nbdag"]:
                yield words[1:]


def unknown(words: list[str]) -> str:
    """Return what is wrong with the command, or an empty text."""
    name = next((word for word in words if not word.startswith("-")), "")
    if name in _PLACEHOLDER or not words or words[0] in {"--help", "--version"}:
        return ""
    if words[0] in {"-C", "-f"}:
        words = words[2:]
        name = words[0]
    if name not in COMMANDS:
        return f"there is no command {name!r}"
    command: click.Command = importlib.import_module(f"nbmake_dag.commands.{name}").command
    rest = words[words.index(name) + 1 :]
    if name == "help" and rest[:1] and rest[0] not in {*TOPICS, *COMMANDS, *_PLACEHOLDER, "--open"}:
        return f"there is no topic {rest[0]!r}"
    if isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command = command.commands[rest[0]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", *OPTIONAL_VALUES}
    asked = [re.split(r"[=\[]", word)[0] for word in rest if re.match(r"--?[a-zA-Z]", word)]
    return ", ".join(option for option in asked if option not in known and option[:2] not in known)


@pytest.mark.parametrize("page", sorted(PAGES.keys() - GENERATED))
def test_every_command_in_a_page_exists_with_its_options(page: str) -> None:
    """A page that names an option which was renamed sends its reader into an error."""
    faults = {" ".join(words): fault for words in commands(PAGES[page]) if (fault := unknown(words))}
    assert faults == {}


def test_every_topic_that_a_message_names_exists() -> None:
    """An error leads to a page that is there, and more than one does."""
    sources = "".join(path.read_text() for path in (ROOT / "nbmake_dag").rglob("*.py"))
    named = set(re.findall(r"`nbdag help ([a-z][a-z-]*)`", sources))
    assert named - {*TOPICS, *COMMANDS} == set()
    assert len(named) > 3


@pytest.mark.parametrize("page", sorted(PAGES.keys() - GENERATED))
def test_every_toml_block_fits_the_schema_of_a_pipeline(page: str) -> None:
    """Each is a part of a `pipeline.toml`, with keys that exist and values that they take."""
    schema = {"$ref": "#/$defs/Document", "$defs": json_schema()["$defs"]}
    for language, name, code in blocks(PAGES[page]):
        if language == "toml" and name in {"", "pipeline.toml"}:
            jsonschema.validate(tomllib.loads(code), schema)


@pytest.mark.parametrize("page", sorted(PAGES.keys() - GENERATED))
def test_every_block_for_a_shell_is_one_that_shells_read(page: str) -> None:
    """`bash -n` parses it; words in capitals are for the reader to replace."""
    for language, _, code in blocks(PAGES[page]):
        if language == "sh":
            done = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), code


def played(project: Project, page: str, name: str, env: dict[str, str] | None = None) -> list[str]:
    """Run the commands of a page's block of this name, which must all succeed; return what each wrote.

    Words that begin with a ``$`` are variables of ``env``.
    """
    (text,) = [text for language, found, text in blocks(PAGES[page]) if (language, found) == ("sh", name)]
    wrote: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.partition("  #")[0])
        assert words[0] == "nbdag", line
        done = project.nbdag(*((env or {})[word[1:]] if word[0] == "$" else word for word in words[1:]), env=env)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        wrote.append(done.stdout + done.stderr)
    return wrote


@pytest.mark.slow
def test_results_go_to_another_machine_as_the_page_says(tmp_path: Path) -> None:
    """One machine builds and pushes; another, which cannot build, has the outputs."""
    text = '[tasks.copy]\ncommand = "%s in.txt out.txt"\ninputs = ["in.txt"]\noutputs = ["out.txt"]\n'
    one, other = (Project(tmp_path / name).write("in.txt", "x") for name in ("one", "other"))
    played(one.pipeline(text % "cp"), "restoring", "made")
    *_, status = played(other.pipeline(text % "false"), "restoring", "restored")
    assert other.read("out.txt") == "x"
    assert "the outputs of 1 task are as of run" in status


@pytest.mark.slow
def test_who_made_a_file_is_verified_as_the_page_says(project: Project, tmp_path: Path) -> None:
    """With the keys that the first command prints; elsewhere nothing but the file and the statement is there."""
    project.pipeline('[tasks.train]\ncommand = "echo 1 > model.onnx"\noutputs = ["model.onnx"]\n')
    (keys,) = played(project, "attestations", "keys")
    public, private = keys.splitlines()[:2]
    name, _, value = private.partition("=")
    played(project, "attestations", "attested", {name: value})
    other = Project(tmp_path / "elsewhere")
    for file in ("model.onnx", "run.intoto.jsonl"):
        (project / file).rename(other / file)
    (said,) = played(other, "attestations", "verified", {"PUBLIC_KEY": tomllib.loads(public)["public_keys"][0]})
    assert said.startswith("model.onnx is model.onnx, made by task train of pipeline\n")


@pytest.mark.slow
def test_remote_inputs_are_fetched_as_the_page_says(
    project: Project, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pipeline, with a server and a bucket of this machine in the place of those that it names."""
    (toml,) = [text for language, _, text in blocks(PAGES["remote-inputs"]) if language == "toml"]
    project.pipeline(toml.replace("https://example.org", server.url("")))
    regions = re.search("sha256=([0-9a-f]{64})", toml)
    assert regions is not None
    assert regions[1] == hashlib.sha256(b"4").hexdigest()
    server.answer = lambda request: request.says(200, b"4", headers={"ETag": '"v1"'})
    code = "# %%\ntext = ''.join(open(path).read() for path in inputs.values())\n"
    code += "open(outputs[0], 'w').write(text)\n"
    project.write("data/.gitkeep", "").write("notebooks/.gitkeep", "")
    tagged = f'# %% tags=["parameters"]\ninputs, outputs = {{}}, []\n{code}'
    jupytext.write(jupytext.reads(tagged, "py:percent"), project / "notebooks/clean.ipynb")
    with bucket_called("our-bucket") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=variables["AWS_ENDPOINT_URL"])
        client.put_object(Bucket="our-bucket", Key="scans/2024.parquet", Body=b"5")
        fetched, built = played(project, "remote-inputs", "ahead")
    assert ("downloaded 4 remote inputs, 4 bytes" in fetched, "1 ran" in built) == (True, True)
    assert (project.read("data/clean.csv"), len(server.asked())) == ("4544", 3)
    # the table of commands; `rates` is asked for in each build
    project.build().ran()
    assert server.asked() == ['/rates.csv If-None-Match: "v1"']
    server.answer = lambda request: request.says(500)
    project.build("--recheck").ran().said("the last copy is used")
    assert project.build("--recheck", "--strict-remote").code == 2
    assert not any("regions" in asked for asked in server.asked())


@pytest.mark.slow
def test_a_run_is_archived_as_the_page_says(project: Project) -> None:
    """Its table says what is in the crate."""
    project.write("in.txt", "x").write("LICENSE", "free")
    project.pipeline('[tasks.copy]\ncommand = "cp in.txt out.txt"\ninputs = ["in.txt"]\noutputs = ["out.txt"]\n')
    played(project, "archiving", "archived")
    found = {str(path.relative_to(project / "crate")) for path in (project / "crate").rglob("*") if path.is_file()}
    assert found == {"LICENSE", "files/in.txt", "files/out.txt", "pipeline.toml", "ro-crate-metadata.json"}


@pytest.mark.slow
def test_what_made_a_result_change_is_found_as_the_page_says(tmp_path: Path) -> None:
    """Each command prints what its comment says."""
    project = Project(tmp_path / "project").pipeline(
        """
        [tasks.train]
        notebook = "train.py"
        parameters = { depth = 3 }
        outputs = ["model.txt"]

        [report.metrics.accuracy]
        direction = "higher"
        """
    )
    logged = "nbdag.log_metric('accuracy', 0.957 if C == 1.0 else 0.912)"
    project.notebook(
        "train.py",
        "# parameters\ndepth = 1",
        "import nbmake_dag as nbdag\nC = 1.0",
        "rounds = 10",
        f"{logged}\nopen('model.txt', 'w').write(str(C))",
    )
    project.write(".gitignore", "/.nbdag/\n/model.txt\n").commit().build("--executor=inline").ran("train")
    for rounds in (11, 12, 13):
        project.edit("train.py", f"rounds = {rounds - 1}", f"rounds = {rounds}")
        if rounds == 12:
            project.edit("train.py", "C = 1.0", "C = 0.01").edit("pipeline.toml", "depth = 3", "depth = 4")
        project.commit().build("--executor=inline").ran("train")
    for name in ("bisect", "blame"):
        wanted = re.search(rf"^```sh {name}\n(.*?)^```", PAGES["what-changed"], re.MULTILINE | re.DOTALL)
        assert wanted is not None
        for line, wrote in zip(wanted[1].splitlines(), played(project, "what-changed", name), strict=True):
            assert line.partition("  #")[2].strip() in wrote


SIDES = {name: code for _, name, code in blocks(PAGES["side-by-side"]) if name}
NOTEBOOKS = {
    "clean": "# %%\nrows = open('data/raw.csv').read()\nopen('data/clean.csv', 'w').write(rows)\n",
    "train": '# %% tags=["parameters"]\ndepth = 3\n# %%\nopen("data/clean.csv").read()\n'
    "open(f'models/{depth}.txt', 'w').write('a')\n",
}


@pytest.fixture
def two_notebooks(project: Project) -> Project:
    """Lay out the notebooks of the page, as text and as `.ipynb`."""
    project.write("data/raw.csv", "a\n")
    for name, code in NOTEBOOKS.items():
        project.write(f"notebooks/{name}.py", code)
        jupytext.write(jupytext.reads(code, "py:percent"), project / f"notebooks/{name}.ipynb")
    return project


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SIDES.keys() - {"pipeline.toml", "calkit.yaml"}))
def test_init_reads_the_file_of_the_other_tool(name: str, two_notebooks: Project) -> None:
    """What it writes has both notebooks, and is planned without a complaint."""
    two_notebooks.write(name, SIDES[name])
    for arguments in (["init", "--from", name], ["build", "-n"]):
        done = two_notebooks.nbdag(*arguments)
        assert done.returncode == 0, done.stderr
    tasks = tomllib.loads(two_notebooks.read("pipeline.toml"))["tasks"].values()
    assert {Path(task["notebook"]).stem for task in tasks} == {"clean", "train"}


@pytest.mark.slow
def test_the_pipeline_beside_them_builds(two_notebooks: Project) -> None:
    """Three tasks run, then none."""
    two_notebooks.write("pipeline.toml", SIDES["pipeline.toml"])
    two_notebooks.build().ran("clean", "train[depth=3]", "train[depth=6]")
    two_notebooks.build().ran()


@pytest.mark.slow
def test_the_pipeline_of_the_readme_builds_as_it_says(project: Project) -> None:
    """Three tasks run; a comment runs none, and an edit whose output is the same runs nothing below."""
    tagged, pipeline = (code for language, _, code in blocks(PAGES["README"]) if language in {"python", "toml"})
    clean = '# %%\nopen("data/sales.csv", "w").write(open("data/raw/a.csv").read())\n'
    project.write("data/raw/a.csv", "1\n").write("notebooks/clean.py", clean).pipeline(pipeline)
    jupytext.write(jupytext.reads(clean, "py:percent"), project / "notebooks/clean.ipynb")
    train = 'text = open(inputs["sales"]).read()\nopen(outputs["model"], "w").write(text * depth)\n'
    project.write("notebooks/train.py", f"{tagged}\n# %%\n{train}")
    project.build().ran("clean", "train[depth=3]", "train[depth=6]")
    assert project.read("models/6.pkl") == "1\n" * 6
    project.edit("notebooks/train.py", "text =", "# a comment\ntext =").build().ran()
    same = jupytext.reads(clean.replace("read()", 'read() + ""'), "py:percent")
    jupytext.write(same, project / "notebooks/clean.ipynb")
    project.build().ran("clean")


@pytest.mark.uv
@pytest.mark.slow
def test_the_page_about_lock_files_builds_in_its_environment(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files and its commands are all that is needed; then nothing is to do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    page = list(blocks(PAGES["lock-files"]))
    for _, name, code in page:
        if name:
            project.write(name, code)
    shell = next(code for language, _, code in page if language == "sh")
    lock, build = shell.split("\n")[:2]
    assert build == "nbdag build"
    subprocess.run([uv.find(), *lock.split()[1:]], cwd=project.root, check=True, capture_output=True)
    project.build().ran("report")
    assert "north  3" in project.read("report.txt")
    project.build().ran()


@pytest.mark.slow
def test_results_are_made_again_as_the_page_says(tmp_path: Path) -> None:
    """With the tolerances that it declares, of a result that is another one each time."""
    project = Project(tmp_path / "project").write("data.csv", "1\n2\n")
    (toml,) = [text for _, _, text in blocks(PAGES["replaying"]) if "compare =" in text]
    project.pipeline(toml).notebook(
        "report.py",
        "import time\nopen('scores.csv', 'w').write(f'score,seconds\\n0.5,{time.time():.6f}\\n')",
    )
    _, first, again, plan = played(project, "replaying", "replayed")
    assert "≈ report  equal within tolerance" in first
    assert "the same 2 of 2 times" in again
    assert "1 execution of 1 task" in plan


def test_the_cluster_on_kubernetes_has_the_fields_of_kuberay() -> None:
    """One image in all pods, a token, and every mounted volume is declared."""
    (text,) = [text for _, name, text in blocks(PAGES["kubernetes"]) if name == "cluster.yaml"]
    cluster = yaml.safe_load(text)
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec = cluster["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec.keys() == {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert all(isinstance(value, str) for group in groups for value in group["rayStartParams"].values())
    pods = [group["template"]["spec"] for group in groups]
    containers = [container for pod in pods for container in pod["containers"]]
    assert len({container["image"] for container in containers}) == 1
    for pod in pods:
        mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", ())}
        assert mounted == {volume["name"] for volume in pod.get("volumes", ())}
