"""Makes the pictures of the READMEs that show the MNIST example.

`python -m tests.reporting.browser.pictures [SITE]`; without a site, that of fourteen real runs is
made first, which takes minutes.
"""

from __future__ import annotations

import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import sync_playwright

from nbmake_dag_reporting.secrets_scan import Secrets
from nbmake_dag_reporting.site_chunks import SiteFiles
from tests.reporting.browser.conftest import ARGUMENTS, CHROMIUM, Opened
from tests.reporting.browser.mnist import build_runs
from tests.support.project import Project

ROOT = Path(__file__).parents[3]
RARE = Image.Quantize.MAXCOVERAGE
"""A palette that has the colours of small things, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A page of the site, or one element of it; ``{0}`` in its address is the first run."""

    file: str
    address: str
    width: int = 1280
    height: int = 640
    theme: Literal["light", "dark"] = "light"
    element: str = ""


TRAIN = quote("train[nr_train_images=60]", safe="")
PICTURES = (
    Picture(file="nbmake_dag/docs/images/runs.png", address="", height=560),
    Picture(file="reporting/images/tasks.png", address="#/tasks", height=760),
    Picture(file="reporting/images/explore.png", address="#/explore", height=1240, theme="dark"),
    Picture(file="reporting/images/artefacts.png", address=f"#/artefacts?task={TRAIN}&count=10", height=680),
    Picture(file="reporting/images/task.png", address="#/run/{4}/task/summary"),
    Picture(file="reporting/images/compare.png", address="#/compare?runs={0},{3},{4}", theme="dark"),
    Picture(
        file="reporting/images/graphs.png",
        address="#/compare?runs={0},{2}&view=tasks",
        width=1400,
        element="figure.graph",
    ),
    Picture(
        file="reporting/images/pictures.png", address=f"#/compare?runs={{3}},{{4}}&view=pictures&task={TRAIN}"
    ),
    Picture(file="reporting/images/history.png", address="#/history"),
)


def draw(site: Path) -> None:
    """Write every picture, with a palette."""
    rows = SiteFiles(str(site), Secrets({})).read_chunk("index")["rows"]
    runs = sorted(rows["id"])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for picture in PICTURES:
            page = browser.new_page(
                viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.theme
            )
            Opened(page, f"file://{site}/").go(picture.address.format(*runs))
            page.wait_for_load_state("networkidle")
            drawn = page.locator(picture.element).screenshot() if picture.element else page.screenshot()
            Image.open(io.BytesIO(drawn)).convert("RGB").quantize(256, RARE).save(
                ROOT / picture.file, optimize=True
            )
            page.close()
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        if len(sys.argv) > 1:
            draw(Path(sys.argv[1]).resolve())
        else:
            project = Project(Path(temporary) / "mnist-digits")
            build_runs(project)
            project.nbdag("report")
            draw(project.root / ".nbdag" / "site")
