"""Every page can be used by everybody: axe finds nothing serious, in either theme."""

from pathlib import Path
from typing import Any, Literal

import pytest

from tests.reporting.browser.conftest import Opened

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

AXE = Path(__file__).parents[3] / "reporting" / "site" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = [
    "",
    "#/tasks",
    "#/artefacts",
    "#/artefacts?view=difference",
    "#/explore?colour=branch",
    "#/matrix",
    "#/run/run-00004",
    "#/run/run-00004?view=graph",
    "#/run/run-00004?view=timeline",
    "#/run/run-00004?view=environment",
    "#/run/run-00003/task/train",
    "#/run/run-00003/task/train?view=results",
    "#/run/run-00004/task/summary",
    "#/run/run-00003/task/train?view=key",
    "#/run/run-00003/task/train?view=history",
    "#/compare?runs=run-00003,run-00005,run-00006",
    "#/compare?runs=run-00003,run-00005&view=tasks",
    "#/compare?runs=run-00003,run-00005&view=notebooks&task=train",
    "#/compare?runs=run-00003,run-00005&view=pictures&task=train",
    "#/compare?runs=run-00003,run-00005&view=charts",
    "#/compare",
    "#/history",
    "#/nowhere",
]


@pytest.mark.axe
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_axe_finds_nothing_serious(opened: Opened, address: str, theme: Literal["light", "dark"]) -> None:
    """No serious or critical violation of WCAG 2.2 AA."""
    opened.page.emulate_media(color_scheme=theme)
    opened.go(address)
    assert opened.said == []
    assert serious(opened) == []


def serious(opened: Opened) -> list[Any]:
    """Give what axe finds serious or critical on the page that is open."""
    page = opened.page
    page.evaluate(AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    result = page.evaluate("tags => axe.run({ runOnly: tags, preload: false })", tags)
    found = [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in result["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    opened.said.clear()  # axe makes styles that the policy refuses
    return found
