"""A pipeline on three hosts that share no files: their Ray is started as the README says, the build on the head.

Each test starts its own hosts, which takes a minute or more: `pytest -m netns -n0 tests/e2e`, with
NBDAG_CLUSTER_MOMENTS=20 for twenty random moments at which a host is lost.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.families_everywhere import MADE, NAMES, make_families
from tests.e2e.on_hosts import DIGITS, MNIST, OnHost, at_head, on_all
from tests.support.hosts import PORT, RAY, Host, Hosts
from tests.support.project import Project, await_true, kill
from tests.support.wheels import Wheels

pytestmark = [pytest.mark.slow, pytest.mark.manual, pytest.mark.netns, pytest.mark.timeout(3600)]

MOMENTS = int(os.environ.get("NBDAG_CLUSTER_MOMENTS", "1"))
"""At how many random moments a host is lost, in each of two ways."""
TASKS = 8


def test_the_digits_on_three_hosts_are_those_of_one(hosts: Hosts, tmp_path: Path) -> None:
    """Outputs are equal where each time gives the same; a second build runs nothing; one host restores all."""
    project = at_head(hosts, MNIST)
    assert len(project.build("--ray-address=auto", "-k").having("ran")) == 10
    assert len(set(project.nodes().values())) > 1
    project.holds_the_digits_of(tmp_path / "alone")
    project.build("--ray-address=auto").ran()
    before = project.contents(DIGITS)
    everything = project.remove(*DIGITS).build().having("restored")
    assert len(everything) == 10
    assert project.contents(DIGITS) == before


def sleepers(project: OnHost) -> OnHost:
    """Write tasks that each take some seconds, and one that needs all of them."""
    project.write("in.txt", "some input\n")
    names = [f"t{number}" for number in range(TASKS)]
    text = "".join(
        f'[tasks.{name}]\ncommand = "sleep 4; cat in.txt > out/{name}.txt; echo {name} >> out/{name}.txt"\n'
        f'inputs = ["in.txt"]\noutputs = ["out/{name}.txt"]\n\n'
        for name in names
    )
    inputs = ", ".join(f'"out/{name}.txt"' for name in names)
    text += f'[tasks.all]\ncommand = "cat out/t*.txt > all.txt"\ninputs = [{inputs}]\noutputs = ["all.txt"]\n'
    project.pipeline(text)
    return project


@pytest.mark.parametrize("how", ["kill", "cut_off"])
def test_a_lost_host_costs_only_what_ran_on_it(hosts: Hosts, how: str) -> None:
    """The build ends well, on other hosts; no finished task runs twice; a lost attempt is recorded as such."""
    project = sleepers(at_head(hosts))
    for moment in range(MOMENTS):
        chance = random.Random(f"{how} {moment}")
        lost = chance.choice(["left", "right"])
        lose_during_a_build(project, hosts.hosts[lost], how, chance.uniform(0, 4))
        hosts.replace(lost)
        project.remove(".nbdag", "out", "all.txt").write(".nbdag/.keep", "")


def lose_during_a_build(project: OnHost, host: Host, how: str, after_s: float) -> None:
    """Lose a host some time after the first task has ended."""
    build = project.start("build", "--ray-address=auto")
    await_true(lambda: build.poll() or list((project / "out").glob("*.txt")), 240, "no task ended")
    time.sleep(after_s)
    host.kill() if how == "kill" else project.hosts.cut_off(host)
    assert build.wait(300) == 0, project.log.read_text()
    assert project.read("all.txt").count("some input") == TASKS
    for task in project.run().tasks.values():
        outcomes = [attempt.outcome for attempt in task.attempts]
        assert outcomes[-1] == "succeeded"
        assert set(outcomes[:-1]) <= {"lost"}
    project.build("--ray-address=auto").ran()


def test_a_drained_host_costs_only_what_ran_on_it(hosts: Hosts) -> None:
    """It gets nothing new, and is taken away at its deadline, as a provider does that wants a machine back."""
    project = sleepers(at_head(hosts))
    left = hosts.hosts["left"]
    build = project.start("build", "--ray-address=auto")
    await_true(lambda: list((project / "out").glob("*.txt")), 240, "no task ended")
    reason = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=a test", "--deadline-remaining-seconds=2"]
    where = f"--address={hosts.hosts['head'].address}:{PORT}"
    drained = left.run(*RAY, "drain-node", where, *reason, env=hosts.environment(left))
    assert drained.returncode == 0, drained.stderr
    time.sleep(2)
    left.kill()
    assert build.wait(300) == 0
    assert project.read("all.txt").count("some input") == TASKS
    outcomes = [attempt.outcome for task in project.run().tasks.values() for attempt in task.attempts]
    assert outcomes.count("lost") <= 1
    assert set(outcomes) <= {"succeeded", "lost"}
    project.build("--ray-address=auto").ran()


def test_hosts_that_join_later_are_asked_first(hosts: Hosts) -> None:
    """One without the repository gets the files; one with other software gets no task, and that is said."""
    project = on_all(hosts)
    project.write("in.txt", "some input\n").pipeline(
        f"""
        [software]
        packages = ["odd"]

        [tasks.t]
        command = "until [ $(hostname) = blind ] || [ -e go ]; do sleep 0.2; done; cat in.txt > out/{{n}}.txt"
        matrix = {{ n = {list(range(2 * TASKS))} }}
        inputs = ["in.txt"]
        outputs = ["out/{{n}}.txt"]
        """
    )
    build = project.start("build", "--ray-address=auto")
    await_true((project / ".nbdag/state/seen-by-nodes").exists, 240, "nothing begins")
    blind = hosts.boot("blind")
    blind.run("mount", "-t", "tmpfs", "none", str(hosts.base / "shared"), env={})
    hosts.join(blind)
    await_true(lambda: len(list((project / "out").glob("*.txt"))) >= TASKS, 240, "it gets no tasks")
    odd = hosts.boot("odd")
    give_odd_package(hosts, odd)
    hosts.join(odd)
    said = f"warning: a node joined, and gets no tasks: {odd.address} has odd 1.5"
    await_true(lambda: said in project.log.read_text(), 120, "nothing is said")
    project.write("go", "")
    assert build.wait(300) == 0, project.log.read_text()
    assert {project.read(f"out/{n}.txt") for n in range(2 * TASKS)} == {"some input\n"}
    assert odd.address not in project.nodes().values()


def give_odd_package(hosts: Hosts, host: Host) -> None:
    """Install what no other host has."""
    site = Path(hosts.environment(host)["PYTHONPATH"]) / "odd-1.5.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.5\n")


def test_a_killed_driver_leaves_nothing_running(hosts: Hosts) -> None:
    """Neither on its own host nor on others, within the documented deadline; the next build goes on."""
    project = at_head(hosts)
    project.pipeline("".join(f'[tasks.t{n}]\ncommand = "sleep 4321"\n\n' for n in range(3)))
    build = project.start("build", "--ray-address=auto")
    await_true(lambda: all(sleeping(host) for host in hosts.hosts.values()), 240, "not every host works")
    subprocess.run(hosts.hosts["head"].command(["pkill", "-KILL", "-f", "nbmake_dag build"]), check=False)
    kill(build)
    await_true(lambda: not any(sleeping(host) for host in hosts.hosts.values()), 60, "something still runs")
    project.pipeline('[tasks.a]\ncommand = "true"\n').build("--ray-address=auto").ran("a")


def test_a_dead_head_ends_the_build_with_3(hosts: Hosts) -> None:
    """With a message; what was finished is not run again."""
    project = sleepers(at_head(hosts))
    build = project.start("build", "--ray-address=auto")
    await_true(lambda: build.poll() or list((project / "out").glob("*.txt")), 240, "no task ended")
    subprocess.run(project.host.command(["pkill", "-KILL", "gcs_server"]), check=True)
    assert build.wait(120) == 3
    assert "Ray" in project.log.read_text()
    done = {path.stem for path in (project / "out").glob("*.txt")}
    again = project.build()
    assert again.code == 0
    assert not done & set(again.having("ran"))


def sleeping(host: Host) -> bool:
    found = subprocess.run(host.command(["pgrep", "-f", "sleep 4321"]), capture_output=True, check=False)
    return found.returncode == 0


def test_the_runtime_environment_reaches_the_tasks(hosts: Hosts) -> None:
    """Its variables, on a host that sees the repository and on one that does not."""
    project = at_head(hosts)
    text = '[ray.runtime_env]\nenv_vars = { FLAVOUR = "vanilla" }\n\n'
    for name in hosts.hosts:
        text += f'[tasks.{name}]\ncommand = "echo $FLAVOUR > {name}.txt"\noutputs = ["{name}.txt"]\n'
        text += f'resources = {{ node = {{ host = "{name}" }} }}\n\n'
    project.pipeline(text).build("--ray-address=auto").ran(*hosts.hosts)
    assert len(set(project.nodes().values())) == len(hosts.hosts)
    assert {project.read(f"{name}.txt") for name in hosts.hosts} == {"vanilla\n"}


def test_families_are_the_same_on_hosts_that_share_no_files(hosts: Hosts, tmp_path: Path) -> None:
    """What is gathered, the folder of a part and lists that tasks make travel; a list with a fault says so."""
    project = make_families(at_head(hosts))
    alone = Project.copied(project.root, tmp_path / "alone")
    for names, options in ((NAMES, ()), ("moss\noslo\n", ("--profile", "ci")), ('oslo\n"rome\n', ("-k",))):
        alone.write("names.txt", names)
        project.write("names.txt", names)
        without, found = alone.build("--executor=inline", *options), project.build("--ray-address=auto", *options)
        statuses = {task["status"] for task in without.summary["tasks"]}
        found.ended(without.code, **{status: without.having(status) for status in statuses})
        assert project.contents(MADE) == alone.contents(MADE)
        if names == NAMES:
            assert len(set(project.nodes().values())) > 1
    assert found.having("failed") == ["fit[...]"]
    project.write("names.txt", NAMES).build("--ray-address=auto").ran()


def test_a_host_may_be_lost_while_families_become_known(hosts: Hosts) -> None:
    """What ran on it runs on another, and all else once."""
    project = make_families(at_head(hosts))
    project.edit("pipeline.toml", '"cat clean/', '"sleep 2; cat clean/')
    build = project.start("build", "--ray-address=auto")
    await_true(lambda: list((project / "clean").glob("*.txt")), 240, "no instance ended")
    hosts.hosts["right"].kill()
    assert build.wait(300) == 0, project.log.read_text()
    for task in project.run().tasks.values():
        outcomes = [attempt.outcome for attempt in task.attempts]
        assert outcomes[-1:] == ["succeeded"]
        assert set(outcomes[:-1]) <= {"lost"}
    project.build("--ray-address=auto").ran()


@pytest.mark.uv
def test_each_node_makes_an_environment_once_and_gets_remote_inputs_from_the_driver(hosts: Hosts) -> None:
    """Two tasks on each host run in it, and only the driver connects to the server of the input."""
    head = hosts.hosts["head"]
    served = head.tree / "served"
    served.mkdir()
    (served / "sales.csv").write_text("content")
    wheels = Wheels(served, f"http://{head.address}:8123")
    project = at_head(hosts)
    project.write("requirements.txt", wheels.requirements(wheels.add("tool", "1.0")))
    project.write(
        "work.py",
        """
        import tool
        def run(inputs, outputs):
            with open(inputs[0]) as source, open(outputs[0], "w") as target:
                target.write(tool.VERSION + source.read())
        """,
    )
    text = '[environments.e]\nlock = "requirements.txt"\n\n[defaults]\nenvironment = "e"\n\n'
    names = [f"{host}{number}" for host in hosts.hosts for number in (1, 2)]
    for name in names:
        text += f'[tasks.{name}]\nfunction = "work:run"\ninputs = ["{wheels.url}/sales.csv"]\n'
        text += f'outputs = ["{name}.txt"]\nresources = {{ node = {{ host = "{name[:-1]}" }} }}\n\n'
    serve = head.command([sys.executable, "-m", "http.server", "8123"], cwd=served)
    log = head.tree / "served.log"
    with log.open("wb") as said:
        # it ends with its host
        subprocess.Popen(serve, env=hosts.environment(head), stdout=said, stderr=said)
    build = project.pipeline(text).build("--ray-address=auto")
    build.ran(*names)
    assert {project.read(f"{name}.txt") for name in names} == {"1.0content"}
    assert build.err.count("making the environment `e`") == len(hosts.hosts)
    (trace,) = project.root.glob(".nbdag/runs/*/trace.otlp.jsonl")
    assert trace.read_text().count('"name":"environment e"') == len(hosts.hosts)
    assert log.read_text().count("GET /sales.csv") == 1


def test_another_version_on_a_node_is_refused(hosts: Hosts) -> None:
    """Before the first task, with both versions."""
    give_odd_package(hosts, hosts.hosts["left"])
    project = at_head(hosts)
    project.pipeline('[software]\npackages = ["odd"]\n\n[tasks.a]\ncommand = "touch a"\noutputs = ["a"]\n')
    refused = project.build("--ray-address=auto")
    assert refused.code != 0
    refused.said("the cluster cannot run this pipeline")
    refused.said("10.77.0.2 has odd 1.5, and this machine (not installed)")
    assert not (project / "a").exists()


def test_nodes_that_lack_what_the_pipeline_declares_are_named(hosts: Hosts) -> None:
    """Before the first task; and so is a task that fits none of them."""
    project = at_head(hosts)
    project.pipeline('[software]\npackages = ["no-such-package"]\n\n[tasks.a]\ncommand = "true"\n')
    project.build("--ray-address=auto").ran("a")
    project.pipeline('[tasks.a]\ncommand = "true"\nresources = { cpus = 2 }\n')
    refused = project.build("--ray-address=auto")
    assert refused.code == 2
    refused.said("task `a` fits no node of the cluster").said("10.77.0.2 has CPU 1")
