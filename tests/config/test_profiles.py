"""Profiles: other parameters, defaults and keys of tasks, and what they may not set."""

import pytest

from nbmake_dag.config.pipeline_file import effective, expand, parse
from nbmake_dag.core.model import Pipeline, Task, TaskName
from nbmake_dag.errors import ConfigError

PIPELINE = """\
[parameters]
rows = 1000
kind = "full"

[defaults]
timeout = 60
env = { TZ = "UTC", LANG = "C" }

[tasks.train]
command = "train {rows} {kind} {depth}"
matrix = { depth = [3, 6] }
outputs = ["models/{depth}"]
env = { LANG = "de" }

[tasks.show]
notebook = "show.ipynb"
kernel = "ir"
retries = 2

[profiles.ci]
parameters = { rows = 10 }
defaults = { timeout = 5, env = { TZ = "CET" } }
tasks.train = { instances = { rows = [{ depth = 1 }] }, env = { CI = "1" } }

[profiles.quick]
parameters.rows = 1
tasks.train.outputs = ["quick/{depth}"]
tasks.show.command = "true"
"""


def read(*profiles: str, text: str = PIPELINE) -> Pipeline:
    return expand(parse(text.encode(), profiles=profiles), {}, {})


def train(depth: int, *profiles: str) -> Task:
    return read(*profiles).tasks[TaskName(f"train[depth={depth}]")]


def complaint(text: str, *profiles: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(*profiles, text=text)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_a_profile_the_file_is_as_if_it_had_none():
    """A profile that nobody asks for changes nothing."""
    assert read().tasks == read(text=PIPELINE.partition("[profiles.ci]")[0]).tasks


def test_a_profile_lies_over_parameters_defaults_and_tasks():
    """Tables are merged by key, other keys replaced; what a task says itself counts more than any defaults."""
    task = train(1, "ci")
    assert (task.parameters, task.policy.timeout) == ({"rows": 10, "kind": "full", "depth": 1}, 5)
    assert task.env == {"TZ": "CET", "LANG": "de", "CI": "1"}
    assert list(read("ci").tasks) == ["train[depth=1]", "show"]


def test_the_later_profile_lies_over_the_earlier_one():
    """What only one of them sets, it sets."""
    task = train(1, "ci", "quick")
    assert (task.parameters["rows"], task.outputs[0].path) == (1, "quick/1")
    assert train(1, "quick", "ci").parameters["rows"] == 10


def test_other_work_drops_what_belonged_to_the_work_before():
    """A command has no kernel; what is of any work stays."""
    task = read("quick").tasks[TaskName("show")]
    assert (task.type, task.policy.retries) == ("command", 2)


def test_an_override_counts_more_than_a_profile():
    """`-p` is asked for last."""
    parsed = parse(PIPELINE.encode(), profiles=("ci",))
    assert expand(parsed, {}, {"rows": 7}).tasks[TaskName("train[depth=1]")].parameters["rows"] == 7


def test_the_effective_file_is_one_without_profiles():
    """Written as a file, what counts with a profile means the same."""
    contents, lines = effective(PIPELINE.encode(), file="p.toml", profiles=("ci", "quick"))
    assert "profiles" not in contents[""]
    assert [lines.of(place) for place in (("parameters", "rows"), ("parameters", "kind"))] == [26, 3]
    assert [lines.of(("tasks", "train", "env", name)) for name in ("LANG", "CI")] == [13, 23]


TASK = '[tasks.a]\ncommand = "x {n}"\nparameters = { n = 1 }\n'
WHAT = "\n  hint: a profile sets `parameters`, `defaults`, and keys of `tasks` but `secrets`"


@pytest.mark.parametrize(
    ("text", "profiles", "expected"),
    [
        (
            "[profiles.ci.cache]\nremote = 3\n",
            (),
            "pipeline.toml:4: profile `ci` sets `cache`, which no profile may" + WHAT,
        ),
        (
            "[profiles.ci]\nray.address = 'x'\n",
            (),
            "pipeline.toml:5: profile `ci` sets `ray`, which no profile may" + WHAT,
        ),
        ("[profiles.ci.report]\n", (), "pipeline.toml:4: profile `ci` sets `report`, which no profile may" + WHAT),
        (
            "[profiles.ci]\ntasks.a.secrets = ['TOKEN']\n",
            (),
            "pipeline.toml:5: profile `ci` sets `secrets`, which no profile may" + WHAT,
        ),
        (
            "[profiles.ci.defaults]\nretries = 1\nsecrets = []\n",
            (),
            "pipeline.toml:6: profile `ci` sets `secrets`, which no profile may" + WHAT,
        ),
        (
            "[profiles.ci]\nparameter = {}\n",
            (),
            "pipeline.toml:5: unknown key `parameter` in `profiles.ci`\n  hint: did you mean `parameters`?",
        ),
        (
            "[profiles.ci.tasks.aa]\nretries = 1\n",
            (),
            "pipeline.toml:4: profile `ci` sets keys of `aa`, which is not a task\n  hint: did you mean `a`?",
        ),
        (
            "[profiles.ci.tasks.other]\nretries = 1\n",
            (),
            (
                "pipeline.toml:4: profile `ci` sets keys of `other`, which is not a task\n"
                "  hint: a profile adds no tasks"
            ),
        ),
        (
            "[profiles.ci.tasks.a]\nretries = 'x'\n",
            (),
            'pipeline.toml:5: `retries` must be a whole number from 0 to 1000000, not `"x"`',
        ),
        (
            "[profiles.'a,b']\n",
            (),
            (
                "pipeline.toml:4: `a,b` cannot be the name of a profile\n"
                "  hint: use letters, digits, `-`, `_` and `.`"
            ),
        ),
        ("[profiles.ci]\n", ("cii",), "there is no profile `cii`\n  hint: did you mean `ci`?"),
        (
            "[profiles.ci]\n[profiles.quick]\n",
            ("ci,quick",),
            "there is no profile `ci,quick`\n  hint: give each by itself: `--profile ci --profile quick`",
        ),
        ("[profiles.ci]\n", ("nightly",), "there is no profile `nightly`\n  hint: there are `ci`"),
        ("", ("ci",), "there is no profile `ci`\n  hint: write it as a table `[profiles.ci]`"),
        (
            "[profiles.ci]\nparameters.zzz = 1\n",
            ("ci",),
            "pipeline.toml:5: no task has a parameter `zzz`",
        ),
        (
            "[profiles.ci.tasks.a]\ninputs = ['/x']\n",
            ("ci",),
            "pipeline.toml:5: input `/x` is absolute\n  hint: write it relative to pipeline.toml",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_line(text: str, profiles: tuple[str, ...], expected: str):
    """Of a profile that is chosen all, of another what its own lines tell."""
    assert complaint(TASK + text, *profiles) == expected
