"""What retention takes in large caches, in time and memory: `python -m tests.benchmarks.retention [BLOBS...]`.

A generated cache has a record for each five blobs of a few bytes. Half of it does not fit and goes; then the same
with a process that is killed in the middle of that, and with one that goes on after it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.layout import CacheLayout
from nbmake_dag_cache.record import Logged, Origin, Output, OutputFile, Record, encode_record

_EACH = 5
_TASKS = 1000
_COLLECT = """
import sys, time
from nbmake_dag_cache.retention import collect
print(collect(sys.argv[1], now=time.time() + 7200, max_size=int(sys.argv[2])))
"""


def generate(root: str, blobs: int) -> int:
    """Fill a cache folder; return its size in bytes."""
    layout = CacheLayout(root)
    for number in range(256):
        os.makedirs(f"{layout.blobs}/{number:02x}")
    size = 0
    for number in range(blobs // _EACH):
        files: list[OutputFile] = []
        for index in range(_EACH):
            data = b"%d" % (number * _EACH + index)
            name = sha256(data).hexdigest()
            _write(layout.blob(name), data)
            files.append(OutputFile(path=f"out/{index}", xxh3=Digest("0" * 32), sha256=name, size=len(data)))
            size += len(data)
        own_key, key = (Key(sha256(b"%s %d" % (kind, number)).hexdigest()[:32]) for kind in (b"own", b"key"))
        record = Record(
            key=key,
            static_key=own_key,
            own_key=own_key,
            task=f"task[{number % _TASKS}]",
            ingredients=(),
            outputs=tuple(Output(path=file.path, digest="0" * 32, files=(file,)) for file in files),
            logged=Logged(),
            origin=Origin(run_id="1", trace_id="1", span_id="1", started=number, duration_s=1.0),
        )
        encoded = encode_record(record)
        os.makedirs(layout.record_folder(own_key))
        _write(layout.record(own_key, key), encoded)
        size += len(encoded)
    return size


def main() -> None:
    """Print a line for each size that was asked for."""
    for blobs in [int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            size = generate(f"{folder}/cache", blobs)
            _say(f"{blobs:,} blobs, {blobs // _EACH:,} records: made in {time.perf_counter() - begun:.0f} s")
            whole = _collected(f"{folder}/cache", size // 2)
            left = _left(f"{folder}/cache")
            shutil.rmtree(f"{folder}/cache")
            generate(f"{folder}/cache", blobs)
            _collected(f"{folder}/cache", size // 2, kill_after_s=0.6 * whole)
            between = _left(f"{folder}/cache")
            _collected(f"{folder}/cache", size // 2)
            if _left(f"{folder}/cache") != left:
                raise RuntimeError("what goes on after a kill leaves something else")
            _say(f"  {between - left:,} files were left to the one after the kill")


def _collected(root: str, max_size: int, *, kill_after_s: float | None = None) -> float:
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", _COLLECT, root, str(max_size)], stdout=subprocess.DEVNULL)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, -signal.SIGKILL}:
        raise RuntimeError("retention failed")
    wall_s, cpu_s = time.perf_counter() - begun, usage.ru_utime + usage.ru_stime
    _say(f"  wall {wall_s:.1f} s, processor {cpu_s:.1f} s, {usage.ru_maxrss / 1000:.0f} MB")
    return wall_s


def _left(root: str) -> int:
    return sum(1 for path in Path(root).rglob("*") if path.is_file())


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
