"""What is published or saved by CI is searched for secrets, also for those that are not set any more."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from nbmake_dag.commands.settings import settings_of
from nbmake_dag.observe.project import find_project
from nbmake_dag.observe.secrets import secrets_in_urls
from tests.support.project import Project

VALUE = "correct-horse+9"
ENV = {"API_PW": VALUE * 2}
PIPELINE = """
[pipeline]
name = "say"

[tasks.say]
command = 'echo "it is $API_PW$API_TOKEN$DB_PASSWORD"; cp in.txt out.txt'
inputs = ["in.txt"]
outputs = ["out.txt"]
"""
DECLARED = PIPELINE + 'secrets = ["API_PW"]\n'
GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_REF": "refs/pull/7/merge",
    "GITHUB_BASE_REF": "main",
}


@pytest.fixture
def say(project: Project) -> Project:
    return project.pipeline(PIPELINE).write("in.txt", "x")


def _holding(folder: Path, value: str) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    texts = {path: path.read_bytes() for path in files}
    plain = {path: gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data for path, data in texts.items()}
    return [path.name for path, data in plain.items() if value.encode() in data]


def test_a_secret_of_a_past_build_is_found_though_it_is_not_set(say: Project) -> None:
    """By salted digests, which the user alone can read and which are carried nowhere."""
    say.build(env=ENV).ran("say")
    say.pipeline(DECLARED).write("in.txt", "y").build(env=ENV).ran("say")
    memory = say / ".nbdag/state/secrets.json"
    assert memory.stat().st_mode & 0o777 == 0o600
    assert VALUE not in memory.read_text()
    first, second = sorted(path.name for path in (say / ".nbdag/runs").glob("2*"))
    for env in ({}, {"API_PW": "another-value-of-today"}):
        done = say.nbdag("export", first, "--bundle", "run.json", env=env)
        assert (done.returncode, (say / "run.json").exists()) == (3, False), done.stderr
        assert "holds the value of API_PW" in done.stderr
        assert "nothing is searched" not in done.stderr
    done = say.nbdag("report", "-o", "site")
    assert done.returncode == 3
    assert f"the site was written without run {first}: " in done.stderr
    assert _holding(say / "site", VALUE) == []
    assert second in (say / "site/data/index.js").read_text()
    before = memory.read_bytes()
    say.write("in.txt", "z").build(env=ENV).ran("say")
    assert memory.read_bytes() == before


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "nothing is searched for API_PW: it is declared as a secret, and is not set here"),
        ({"API_PW": "9137"}, "nothing is searched for API_PW: its value has under 8 characters"),
    ],
)
def test_what_is_not_searched_is_said(say: Project, env: dict[str, str], said: str) -> None:
    """The export is not refused for it."""
    say.pipeline(DECLARED).build().ran("say")
    done = say.nbdag("export", "--bundle", "run.json", env=env)
    assert (done.returncode, f"warning: {said}" in done.stderr) == (0, True)


def test_what_is_only_named_like_a_secret_is_taken_out_and_said(say: Project) -> None:
    """Nothing fails; the command line and `[report] allow` publish it."""
    env = {"API_TOKEN": VALUE}
    say.build(env=env).ran("say")
    done = say.nbdag("export", "--bundle", "run.json", "-o", "tree", env=env)
    assert done.returncode == 0, done.stderr
    assert VALUE not in (say / "run.json").read_text()
    assert _holding(say / "tree", VALUE) == []
    assert "API_TOKEN" in done.stderr
    assert "hint: declare it in `secrets`" in done.stderr
    assert say.nbdag("report", env=env).returncode == 0
    assert _holding(say / ".nbdag/site", VALUE) == []
    allowed = say.nbdag("export", "-o", "all", "--allow=API_TOKEN", env=env)
    assert (allowed.returncode, allowed.stderr) == (0, "")
    assert _holding(say / "all", VALUE) == ["attempt-1.log"]
    say.pipeline(f'{PIPELINE}[report]\nallow = ["API_TOKEN"]\n')
    assert say.nbdag("export", "-o", "again", env=env).stderr == ""


def test_a_plain_word_is_published_and_said(say: Project) -> None:
    """A database of a test has the password ``postgres``."""
    env = {"DB_PASSWORD": "postgres"}
    say.build(env=env).ran("say")
    done = say.nbdag("export", "-o", "tree", env=env)
    assert done.returncode == 0
    assert "holds the value of DB_PASSWORD, which no task declares as a secret" in done.stderr
    assert _holding(say / "tree", "it is postgres") == ["attempt-1.log"]


def test_a_pull_request_allows_nothing_that_its_base_does_not(say: Project) -> None:
    """Where the base cannot be read, nothing is allowed, and that is said."""
    env = {"API_TOKEN": VALUE, **GITHUB}
    say.git("init", "-q")
    say.commit()
    say.git("update-ref", "refs/remotes/origin/main", "HEAD")
    say.pipeline(f'{PIPELINE}[report]\nallow = ["API_TOKEN"]\n').build(env=env).ran("say")
    done = say.nbdag("export", "-o", "tree", env=env)
    assert "[report] allow = ['API_TOKEN'] is not believed until it is on the protected branch" in done.stderr
    assert _holding(say / "tree", VALUE) == []
    say.commit()
    say.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert say.nbdag("export", "-o", "believed", env=env).stderr == ""
    assert _holding(say / "believed", VALUE) == ["attempt-1.log"]
    say.git("update-ref", "-d", "refs/remotes/origin/main")
    unread = say.nbdag("export", "-o", "unread", env=env)
    assert "the file of the protected branch cannot be read" in unread.stderr
    assert _holding(say / "unread", VALUE) == []


def test_a_declared_secret_cannot_be_allowed(say: Project) -> None:
    """It is one or the other."""
    say.pipeline(f'{DECLARED}[report]\nallow = ["API_PW"]\n')
    done = say.nbdag("status")
    assert done.returncode == 2
    assert "`API_PW` is in `secrets` of a task, so `[report] allow` cannot name it" in done.stderr


@pytest.mark.parametrize(
    ("instances", "declares"),
    [
        ("{ rows = 'rows.csv' }", "tasks.echo"),
        ("{ files = 'data/{a}.txt' }", "defaults"),
        ("{ set = 'all' }", "tasks.echo"),
        ("{ rows = 'made.csv' }", "tasks.echo"),
    ],
)
def test_what_a_task_with_instances_from_data_declares_is_a_secret(
    say: Project, instances: str, declares: str
) -> None:
    """Which instances there are decides nothing."""
    say.write("rows.csv", "a\nb\n").write("data/b.txt", "b").pipeline(
        f"""
        [defaults]
        [sets]
        all = {{ rows = "rows.csv" }}
        [tasks.make]
        command = "printf 'a\\nb\\n' > made.csv"
        outputs = ["made.csv"]
        [tasks.echo]
        command = "echo {{a}} $GREETING"
        instances = {instances}
        """
    )
    env = {"GREETING": VALUE}
    say.build("echo", env=env)
    say.edit("pipeline.toml", f"[{declares}]", f'[{declares}]\nsecrets = ["GREETING"]')
    assert "holds the value of GREETING" in say.nbdag("report", "-o", "site", env=env).stderr
    assert _holding(say / "site", VALUE) == []
    exported = say.nbdag("export", "latest", "--bundle", "run.json", env=env)
    assert (exported.returncode, (say / "run.json").exists()) == (3, False)
    assert say.nbdag("cache", "gc", "--drop-secrets", env=env).returncode == 0
    assert _holding(say / ".nbdag/cache", VALUE) == _holding(say / ".nbdag/runs", VALUE) == []


def test_what_a_url_of_a_task_with_instances_from_data_holds_is_a_secret(say: Project) -> None:
    """The parts of the URL that are the same for all its instances, with the values of parameters."""
    say.write("rows.csv", "a\nb\n").pipeline(
        f"""
        [parameters]
        key = "{VALUE}{VALUE}"
        [tasks.fetch]
        command = "true {{a}} {{key}}"
        instances = {{ rows = "rows.csv" }}
        inputs = ["https://example.com/{{a}}?token=of-all-its-instances&{{a}}=x&key={{key}}"]
        """
    )
    project = find_project(str(say.root))
    found = secrets_in_urls(settings_of(project))
    assert found == {"?token": "of-all-its-instances", "?key": VALUE * 2}


def test_the_cache_that_ci_saves_holds_no_secret(say: Project) -> None:
    """Runs, results and their content go; what holds none stays, and the next build restores it."""
    env = {**ENV, "API_TOKEN": VALUE}
    leak = '[tasks.leak]\ncommand = "echo $API_TOKEN > leak.txt"\noutputs = ["leak.txt"]\n'
    say.pipeline(PIPELINE + leak).build(env=env).ran("leak", "say")
    assert _holding(say / ".nbdag", VALUE)
    done = say.nbdag("cache", "gc", "--drop-secrets", env=env)
    assert done.returncode == 0, done.stderr
    assert "warning: removed a result of leak: it holds the value of API_TOKEN" in done.stderr
    counted = re.match(r"removed 1 records, (\d+) blobs and 1 runs, .*; 1 records and \d+ blobs stay", done.stdout)
    assert counted, done.stdout
    assert int(counted[1]) > 0
    assert _holding(say / ".nbdag/cache", VALUE) == _holding(say / ".nbdag/runs", VALUE) == []
    say.remove("leak.txt", "out.txt").build(env=env).ran("leak").restored("say")
