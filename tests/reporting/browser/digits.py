"""Eight runs of a pipeline of digits: two branches, a changed parameter, a failure, hits, a regression."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from tests.reporting.fabricate import Fabric, Made, code, markdown, notebook, shown


def png(red: int, green: int, blue: int, width: int = 40, height: int = 24) -> bytes:
    """Make a picture of one colour."""
    rows = b"".join(b"\0" + bytes((red, green, blue)) * width for _ in range(height))

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def _train(lr: float, auc: float, **more) -> Made:
    address = f"0x7f{int(auc * 1e6):010x}"
    book = notebook(
        markdown("# Train\n\nWith *care*."),
        code("import time\nfrom sklearn import linear_model"),
        code(
            f"model = fit(lr={lr})\nprint(model)",
            {
                "output_type": "stream",
                "name": "stdout",
                "text": f"<Model at {address}> auc={auc}\n",
            },
        ),
        code(
            "frame.head()",
            shown(text_html="<table><tr><th>x</th></tr><tr><td>41</td></tr></table>", text_plain="x 41"),
        ),
    )
    fields: dict[str, Any] = {
        "params": {"lr": lr, "kind": "linear"},
        "metrics": {"auc": auc, "loss": 1 - auc},
        "tags": {"stage": "dev"},
        "notebook": book,
        "artifacts": {
            "curve.png": (png(int(auc * 250), 80, 90), "image/png"),
            "scores.csv": (f"digit,score\n0,{auc}\n1,{auc - 0.1}\n".encode(), "text/csv"),
        },
        "series": {"loss": [[step, 1 / (step + 1) + lr, None] for step in range(20)]},
        "ingredients": (("cell", "1", "aaaa"), ("parameter", "lr", str(lr)), ("package", "numpy", "2.0")),
        "reasons": (f"parameter: lr was 0, is {lr}",),
        "above": ("ingest",),
        "key": f"key-{lr}-{auc}",
    }
    return Made(name="train", **(fields | more))


def digits(fabric: Fabric) -> Fabric:
    ingest = Made(name="ingest", metrics={"rows": 1797}, seconds=2.0)
    old = Made(name="ingest", metrics={"rows": 1797}, status="up_to_date", seconds=None, source="run-00000")
    summary = Made(name="summary", above=("train",), seconds=0.5)
    rolled = [
        Made(name="summary", above=("train",), key="dice", outputs={"table.csv": word}) for word in ("one", "two")
    ]
    fabric.run(0, ingest, _train(0.1, 0.9), summary)
    hits = [
        Made(name="ingest", metrics={"rows": 1797}, status="up_to_date", seconds=None, source="run-00000"),
        _train(0.1, 0.9, status="restored", seconds=None, source="run-00000"),
        Made(name="summary", above=("train",), status="up_to_date", seconds=None, source="run-00000"),
    ]
    fabric.run(1, *hits)
    fabric.run(2, old, _train(0.2, 0.92), rolled[0], branch="faster")
    fabric.run(3, old, _train(0.3, 0.91), rolled[1])
    broken = Made(
        name="summary",
        status="failed",
        above=("train",),
        error=("ValueError", "nothing to compare", "\x1b[31mValueError\x1b[39m: nothing to compare"),
        notebook=notebook(code("raise ValueError('nothing to compare')")),
    )
    fabric.run(4, old, _train(0.3, 0.915), broken, result="failure")
    fabric.run(5, old, _train(0.4, 0.55), summary)
    extra = Made(name="benchmark[size=600]", family="benchmark", above=("train",), metrics={"auc": 0.8})
    fabric.run(6, old, _train(0.5, 0.93), summary, extra, branch="faster")
    fabric.run(7, old, _train(0.5, 0.94), Made(name="summary", status="cancelled", seconds=None, above=("train",)))
    return fabric
