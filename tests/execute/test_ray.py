"""The Ray executor: attempts in parallel, none silently repeated, and nobody without the token gets in."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import msgspec
import psutil
import pytest

from nbmake_dag.execute.executor import python_argv
from nbmake_dag.execute.processes.runtime_dir import MARKER, RuntimeDir, end_marked
from nbmake_dag.execute.protocol import (
    Ended,
    ExecutorLost,
    ExecutorReady,
    Printed,
    Started,
)
from nbmake_dag.execute.ray.kind import Cluster
from tests.execute.drivers import WITHIN_S, Driver
from tests.support.project import await_true

pytestmark = [pytest.mark.ray, pytest.mark.timing]


def ray_driver(root: Path, *arguments: str) -> Driver:
    """Start a Ray of its own, with two processors."""

    def argv(runtime: str) -> list[str]:
        return python_argv("nbmake_dag.execute.ray.host", "--cpus", "2", *arguments)

    return Driver(root, "ray", argv)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = ray_driver(tmp_path_factory.mktemp("ray"))
    ready = driver.events.get(timeout=WITHIN_S * 2)
    assert isinstance(ready, ExecutorReady)
    assert ready.resources["CPU"] == 2.0
    yield driver
    driver.close()


@pytest.fixture
def driver(shared: Driver, tmp_path: Path) -> Driver:
    shared.root = tmp_path
    return shared


def test_events_of_an_attempt_arrive_in_order_while_it_runs(driver: Driver) -> None:
    """The output so far is seen before the attempt ends; its result has the outputs."""
    driver.submit(
        "a", "echo hello; while [ ! -e go ]; do sleep 0.05; done; echo x > out", declared_outputs=("out",)
    )
    started, printed = driver.until(Printed)
    assert isinstance(started, Started)
    assert isinstance(printed, Printed)
    assert printed.text == "hello\n"
    (driver.root / "go").touch()
    ended = driver.ended()
    assert (ended.task, ended.result.outcome) == ("a", "succeeded")
    assert [output.path for output in ended.result.outputs] == ["out"]


def test_two_attempts_run_at_once(driver: Driver) -> None:
    """Each waits for the other's file."""
    for own, other in (("a", "b"), ("b", "a")):
        driver.submit(own, f"touch {own}; while [ ! -e {other} ]; do sleep 0.05; done")
    ends = [event for event in driver.until(Ended, 2) if isinstance(event, Ended)]
    assert {end.result.outcome for end in ends} == {"succeeded"}


def test_the_work_sees_nothing_of_ray(driver: Driver) -> None:
    """Neither variables, nor the token, nor a blocked SIGINT."""
    script = "env | grep -i ray || true; kill -INT $$; echo still here"
    driver.submit("a", script)
    events = driver.until(Ended)
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.result.exit_code == -2
    assert not [event for event in events if isinstance(event, Printed)]


def test_a_running_attempt_is_cancelled_and_says_how_it_ended(driver: Driver) -> None:
    """It is interrupted, not killed: it can tidy up."""
    driver.submit("a", "trap 'touch tidied; exit 1' INT; touch started; while true; do sleep 0.1; done")
    driver.until(Started)
    driver.wait_for("started")
    driver.executor.cancel("a", 10.0)
    ended = driver.ended()
    assert ended.result.outcome == "cancelled"
    assert ended.result.pid is not None
    assert (driver.root / "tidied").exists()


def test_an_attempt_that_waits_for_a_cpu_is_cancelled_without_running(driver: Driver) -> None:
    """It does not wait for its turn to learn that."""
    driver.submit("big", "touch started; while [ ! -e go ]; do sleep 0.05; done", cpus=2.0)
    driver.wait_for("started")
    driver.submit("waiting", "touch never")
    driver.executor.cancel("waiting", 5.0)
    ended = driver.ended()
    assert (ended.task, ended.result.outcome) == ("waiting", "cancelled")
    (driver.root / "go").touch()
    assert driver.ended().result.outcome == "succeeded"
    assert not (driver.root / "never").exists()


@pytest.mark.fault
def test_a_killed_ray_worker_loses_its_attempt_once(driver: Driver) -> None:
    """It is reported in seconds, its processes are gone by then, and Ray does not run it again."""
    driver.submit("a", "echo run >> runs; touch started; sleep 1000")
    driver.wait_for("started")
    (started,) = [event for event in driver.until(Started) if isinstance(event, Started)]
    assert started.pid is not None
    worker = psutil.Process(started.pid)
    work = worker.children(recursive=True)
    assert work
    worker.kill()
    ended = driver.ended()
    assert ended.result.outcome == "lost"
    assert ended.result.failure is not None
    assert not psutil.wait_procs(work, timeout=5)[1]
    driver.submit("b", "true", cpus=2.0)
    assert driver.ended().result.outcome == "succeeded"
    assert (driver.root / "runs").read_text() == "run\n"


def test_what_does_not_fit_a_socket_path_is_not_a_problem(driver: Driver) -> None:
    """Ray's sockets lie in the runtime folder, whose name leaves room for them."""
    session = Path(driver.runtime.path, "r", "session_latest").resolve()
    paths = [str(path) for path in (session / "sockets").iterdir()]
    assert paths
    assert max(map(len, paths)) <= 103


RPCS = (
    "NodeInfoGcsService/GetAllNodeInfo",
    "NodeManagerService/GetNodeStats",
    "CoreWorkerService/GetCoreWorkerStats",
    "ObjectManagerService/Pull",
)
"""One call of each service of Ray that listens."""


def http2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def grpc_status(address: str, port: int, rpc: str) -> str | None:
    """Call without a token and return the status of the answer; ``None`` where nobody speaks gRPC."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/ray.rpc.{rpc}",
        ":authority": "x",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    packed = b"".join(
        b"\0%c%b%c%b" % (len(name), name.encode(), len(value), value.encode()) for name, value in headers.items()
    )
    request = http2_frame(4, 0, 0, b"") + http2_frame(1, 4, 1, packed) + http2_frame(0, 1, 1, bytes(5))
    answer = exchange(address, port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + request)
    found = re.search(rb"grpc-status.(\d+)", answer, re.DOTALL)
    return found and found[1].decode()


def http_status(address: str, port: int, path: str) -> str:
    answer = exchange(address, port, f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    return answer.split()[1].decode()


def exchange(address: str, port: int, request: bytes) -> bytes:
    """Send bytes and return the answer up to a status, or all of it."""
    answer = b""
    with socket.create_connection((address, port), timeout=10) as connection:
        connection.sendall(request)
        while not re.search(rb"grpc-status.\d+|^HTTP/1.1 .*\r\n\r\n", answer, re.DOTALL):
            data = connection.recv(65536)
            if not data:
                break
            answer += data
    return answer


@contextmanager
def gone(process: psutil.Process) -> Iterator[None]:
    """Pass over a worker that Ray ends just now."""
    try:
        yield
    except (psutil.NoSuchProcess, ConnectionError):
        psutil.wait_procs([process], timeout=WITHIN_S)
        if process.is_running():
            raise


def test_ray_listens_on_loopback_alone(driver: Driver) -> None:
    """Every port of GCS, raylet, agents and workers: other machines do not even reach what refuses them."""
    listening: dict[str, str] = {}
    for process in driver.below():
        with gone(process):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    listening[f"{process.name()}:{connection.laddr.port}"] = connection.laddr.ip.removeprefix(
                        "::ffff:"
                    )
    assert {name for name, address in listening.items() if not ip_address(address).is_loopback} == set()
    assert len(listening) >= 6


def test_every_listener_wants_the_token(driver: Driver) -> None:
    """Those on loopback too, because other users of the machine reach them: each refuses calls of its service."""
    answers: dict[str, set[str | None]] = {}
    for process in driver.below():
        with gone(process):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    address = "127.0.0.1" if connection.laddr.ip == "::" else connection.laddr.ip
                    port = connection.laddr.port
                    statuses: set[str | None] = {grpc_status(address, port, rpc) for rpc in RPCS}
                    if statuses == {None}:
                        statuses = {http_status(address, port, "/get_or_create_runtime_env")}
                    answers[f"{process.name()}:{port}"] = statuses
    unimplemented, unauthenticated = "12", "16"
    assert len(answers) >= 6
    assert {name for name, statuses in answers.items() if statuses != {unimplemented, unauthenticated}} == {
        name for name, statuses in answers.items() if statuses == {"401"}
    }


IMPATIENT = """
import psutil
from nbmake_dag.execute.ray.local import set_local_environment

set_local_environment()
import ray._private.node
from nbmake_dag.execute.ray.session import start_local

start = ray._private.node.Node.start_ray_processes

def give_up_once(node):
    start(node)
    ray._private.node.Node.start_ray_processes = start
    raise Exception("The current node timed out during startup")

ray._private.node.Node.start_ray_processes = give_up_once
start_local({folder!r}, 2, print)
names = [process.name() for process in psutil.Process().children() if process.status() != psutil.STATUS_ZOMBIE]
print(ray.cluster_resources()["CPU"], names.count("gcs_server"), names.count("raylet"))
"""


@pytest.mark.slow
def test_ray_has_a_second_chance_to_start() -> None:
    """On a busy machine it loses patience with itself; of the first nothing is left."""
    runtime = RuntimeDir.create()
    arguments = [sys.executable, "-c", IMPATIENT.format(folder=runtime.path)]
    env = {**os.environ, MARKER: runtime.path}
    try:
        done = subprocess.run(arguments, env=env, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        end_marked(runtime.path)
        shutil.rmtree(runtime.path)
        runtime.release()
    assert done.stdout == "2.0 1 1\n"


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_the_death_of_ray_itself_is_noticed(name: str, tmp_path: Path) -> None:
    """What ran is lost, the executor too, in seconds; the folder is gone after the build."""
    driver = ray_driver(tmp_path)
    driver.submit("a", "touch started; sleep 1000")
    driver.until(Started)
    driver.wait_for("started")
    (victim,) = [process for process in driver.below() if process.name() == name]
    victim.kill()
    *events, lost = driver.until(ExecutorLost)
    assert isinstance(lost, ExecutorLost)
    assert [(event.task, event.result.outcome) for event in events if isinstance(event, Ended)] == [("a", "lost")]
    driver.close()
    await_true(lambda: not os.path.exists(driver.runtime.path), 15, "its folder is still there")


def test_a_cluster_without_a_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to it; the message says where a token may come from."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    cluster = Cluster(address="127.0.0.1:1", runtime_env={}, root=str(tmp_path), blobs="cache", max_size=1)
    driver = ray_driver(tmp_path, "--cluster", msgspec.json.encode(cluster).decode())
    lost = driver.events.get(timeout=WITHIN_S)
    assert lost == ExecutorLost(
        executor="ray",
        reason="no token for the Ray cluster at 127.0.0.1:1: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, "
        "or put it into ~/.ray/auth_token",
    )
    driver.close()
