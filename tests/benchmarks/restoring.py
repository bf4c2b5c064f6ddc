"""How long it takes to put outputs back from the cache, against a copy of them that is hashed once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.environments import Environment
from tests.benchmarks.measure import Sample, measured
from tests.benchmarks.proofs import prove

BAR, AIM = 1.5, 1.1
_TASKS = 10
_PIPELINE = """
[tasks.files]
matrix = {{ task = {tasks} }}
command = "mkdir -p out/{{task}}; for n in $(seq {files}); do {write} > out/{{task}}/$n.bin; done"
outputs = ["out/{{task}}/"]
"""
_COPY = "cp -r kept copied && find copied -type f -exec sha256sum {} + > sums.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Samples of builds that restore everything, and of copies of the same files."""

    files: int
    size: int
    nbdag: list[Sample]
    copy: list[Sample]

    @property
    def ratio(self) -> float:
        """Of wall times."""
        return median(sample.wall_s for sample in self.nbdag) / median(sample.wall_s for sample in self.copy)

    def lines(self) -> list[str]:
        samples = {"nbdag": self.nbdag, "cp -r, and sha256sum": self.copy}
        return [
            f"restore: {self.files:,} files of {self.size:,} bytes",
            *(
                f"  {what:32} wall {median(sample.wall_s for sample in found):.2f},"
                f" processors {median(sample.cpu_s for sample in found):.2f}"
                for what, found in samples.items()
            ),
            f"  ratio {self.ratio:.2f}, bar {BAR}, aim {AIM}",
        ]


def restored(environment: Environment, place: Path, rounds: int, files: int, size: int) -> Restored:
    """Build once; then remove all outputs and build again, and copy them, in turns."""
    place.mkdir(parents=True)
    text = _PIPELINE.format(tasks=list(range(_TASKS)), files=files // _TASKS, write=f"head -c {size} /dev/urandom")
    (place / "pipeline.toml").write_text(text)
    build, variables = [environment.program("nbdag"), "build", "--output=none"], environment.variables()
    measured(build, place, variables)
    shutil.copytree(place / "out", place / "kept")
    ours: list[Sample] = []
    copies: list[Sample] = []
    for _ in range(rounds):
        shutil.rmtree(place / "out")
        ours.append(measured(build, place, variables))
        prove(place, restored=_TASKS)
        copies.append(measured(["sh", "-c", _COPY], place, variables))
        shutil.rmtree(place / "copied")
    return Restored(files=files, size=size, nbdag=ours, copy=copies)
