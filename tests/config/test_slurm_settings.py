"""``[ray.slurm]``: what reaches `sbatch`, and what is refused with its line."""

from __future__ import annotations

import pytest

from nbmake_dag.config.expansion import expand
from nbmake_dag.config.pipeline_file import parse
from nbmake_dag.core.model import SlurmSettings
from nbmake_dag.errors import ConfigError
from nbmake_dag.execute.ray.kind import allocation_of

REST = '[tasks.a]\ncommand = "true"\n'


def test_every_key_becomes_an_option() -> None:
    """Options of the user come first, so that none replaces a key."""
    text = """[ray]
address = "slurm"
[ray.slurm]
nodes = 4
partition = "short"
account = "lab"
time = "1h30s"
gres = "gpu:2"
constraint = "a&b"
options = ["--exclusive", "--cpus-per-task=16"]
"""
    ray = expand(parse((text + REST).encode()), {}, {}).ray
    assert (ray.address, ray.address_place) == ("slurm", "pipeline.toml:2")
    wanted = allocation_of(ray.slurm, ())
    assert wanted.nodes == 4
    assert wanted.options == (
        "--exclusive",
        "--cpus-per-task=16",
        "--partition=short",
        "--account=lab",
        "--gres=gpu:2",
        "--constraint=a&b",
        "--time=60:30",
    )


def test_without_keys_one_node_of_the_default_partition_is_asked_for() -> None:
    """What is asked for is the same each time: a watch keeps the nodes that it has."""
    first, second = (allocation_of(SlurmSettings(), ()) for _ in range(2))
    assert (first.nodes, first.options) == (1, ())
    assert first == second


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nodes = 0", "2: `nodes` must be a whole number from 1 to 1000000"),
        ('time = "0s"', "2: `time` must be more than zero"),
        ('time = "2 hours"', "2: `time`"),
        (
            'partition = ""',
            "2: `partition` must be a line of text\n  hint: leave it out for the cluster's default",
        ),
        (r'account = "a\nb"', "2: `account` must be a line of text"),
        ('gres = " "', "2: `gres` must be a line of text"),
        (r'constraint = "\u0000"', "2: `constraint` must be a line of text"),
        ("partition = 1", "2: `partition` must be a string"),
        ('options = "--exclusive"', "2: `options` must be a list of strings"),
        ('options = ["-N 4"]', '2: `-N 4` is not an option of sbatch\n  hint: write each as `"--name=value"`'),
        ('options = ["--nodes=4"]', "2: `options` cannot have `--nodes`\n  hint: write `nodes`"),
        (
            'options = ["--clusters=a"]',
            "2: `options` cannot have `--clusters`\n  hint: build where the jobs of that",
        ),
        ('options = ["--no-requeue"]', "2: `options` cannot have `--no-requeue`"),
        ('options = ["--test-only"]', "2: `options` cannot have `--test-only`"),
        ('options = ["--wait"]', "2: `options` cannot have `--wait`\n  hint: nbdag waits by itself"),
        ('partitions = "a"', "2: "),
    ],
)
def test_a_bad_value_is_refused_with_its_line(line: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        expand(parse(f"[ray.slurm]\n{line}\n{REST}".encode()), {}, {})
    assert f"pipeline.toml:{said}" in str(error.value)
