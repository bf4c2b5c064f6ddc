"""Makes a site of 3,000 runs of 200 tasks with 300 columns, and measures it.

`python -m tests.benchmarks.site [DIR]` keeps the site in DIR, where a second call only reads it.

Prints the sizes of the index and the script, the time that one more run takes, and, in headless Chromium, the time
until the first page can be used, and of sorts, filters and Explore: until they are painted, and of the processor.
Then the site grows to ten years of 50 runs a day, by copies of its first shard, and is measured again.
"""

from __future__ import annotations

import gzip
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec

from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.run import AttemptRun, Run, RunHead, TaskRun, Vcs
from nbmake_dag_reporting.secrets_scan import Secrets
from nbmake_dag_reporting.site import Found, SiteOptions, write_site
from nbmake_dag_reporting.site_chunks import SiteFiles
from nbmake_dag_reporting.vocabulary import TaskStatus

YEARS = 182_500
RUNS, FEW, TASKS, COLUMNS = 3_000, 200, 200, 300
REPEATS = 9
STATUSES: tuple[TaskStatus, ...] = ("up_to_date",) * 8 + ("ran", "restored")
BRANCHES = ("main", "main", "main", "faster", "more-data")
SECOND = 1_000_000_000


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def make(number: int) -> Run:
    """Make a run in which a tenth of the tasks ran; their values wander."""
    dice = random.Random(number)
    started = 1_700_000_000 * SECOND + number * 1800 * SECOND
    tasks = [_task(place, number, started, dice) for place in range(TASKS)]
    counts = {"total": TASKS}
    for task in tasks:
        counts[task.status] = counts.get(task.status, 0) + 1
    run_id = f"20260101-{number:06d}-{dice.getrandbits(24):06x}"
    vcs = Vcs(
        head_name=dice.choice(BRANCHES),
        head_revision=f"{dice.getrandbits(160):040x}",
        repository_url="https://github.com/ada/digits",
    )
    head = RunHead(
        id=run_id,
        directory="",
        trace_id=f"{number:032x}",
        pipeline="digits",
        started=started,
        ended=started + dice.randrange(60 * SECOND),
        result="success",
        exit_code=0,
        vcs=vcs,
        counts=counts,
        saved_s=dice.random() * 100,
    )
    fields = {name: getattr(head, name) for name in head.__struct_fields__}
    return Run(**fields, tasks={task.name: task for task in tasks})


def _task(place: int, number: int, started: int, dice: random.Random) -> TaskRun:
    status = dice.choice(STATUSES)
    values = {f"m{column}": round(dice.random(), 6) for column in range(place, COLUMNS // 2, TASKS)}
    ran = status == "ran"
    at = started + place * SECOND // 10
    took = dice.randrange(SECOND)
    attempt = AttemptRun(number=1, outcome="succeeded", started=at, ended=at + took)
    return TaskRun(
        name=f"task-{place:03d}",
        family=f"task-{place:03d}",
        status=status,
        started=at,
        ended=at + took,
        upstreams=tuple(f"task-{above:03d}" for above in {place // 2, place // 3} if above < place),
        params={f"p{column}": number // 50 for column in range(place, COLUMNS // 2, TASKS)},
        metrics=values,
        attempts=(attempt,) if ran else (),
    )


def found(number: int) -> Found:
    return Found(
        name=f"run-{number}",
        stamp="1",
        read=lambda: Recorded(run=make(number), blob=lambda _: None, record=lambda _own, _key: None),
    )


def measure_writing(out: Path) -> None:
    """Write the site as CI does, with few runs, then with many, then with one run more."""
    options = SiteOptions(executed=lambda _recorded, _task: {})
    runs = [found(number) for number in range(RUNS)]
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as few:
        write_site(few, runs[:FEW], options)
    say(f"{FEW} runs of {TASKS} tasks: {time.perf_counter() - begun:.1f} s (bar: 10 s)")
    begun = time.perf_counter()
    result = write_site(str(out), runs, options)
    say(f"{RUNS} runs of {TASKS} tasks: {time.perf_counter() - begun:.1f} s, {result.size / 1e6:.0f} MB")
    begun = time.perf_counter()
    write_site(str(out), [*runs, found(RUNS)], options)
    say(f"one run more: {time.perf_counter() - begun:.2f} s (bar: 0.6 s)")
    for path in ("data/index.js", "app.js", "texts.js"):
        size = len(gzip.compress((out / path).read_bytes()))
        say(f"{path}: {size / 1e3:.0f} kB compressed{' (bar: 150 kB)' if path == 'app.js' else ''}")


def first_page(out: Path) -> int:
    """Add up what a browser loads before it shows the first page."""
    return sum((out / path).stat().st_size for path in ("index.html", "app.css", "app.js", "data/index.js"))


def grow(out: Path) -> None:
    """Add shards until the site has ten years of runs: copies of the first, without its columns."""
    files = SiteFiles(str(out), Secrets({}))
    index = files.read_chunk("index")
    heads, last = index["shards"][:-1], index["shards"][-1]
    rows, matrix, tasks = (files.read_chunk(f"shard/0/{name}") for name in ("rows", "matrix", "tasks"))
    state = msgspec.json.decode((out / "site.json").read_bytes())
    place = len(heads)
    newest = {path.stem: files.read_chunk(f"shard/{place}/{path.stem}") for path in _chunks(out, place)}
    while sum(head["runs"] for head in heads) < YEARS:
        place = len(heads)
        names = [f"2016{place:04d}-{name}" for name in rows["rows"]["id"]]
        state["runs"] |= dict.fromkeys(names, "1")
        files.write_chunk(f"shard/{place}/rows", {**rows, "rows": {**rows["rows"], "id": names}}, "the rows")
        files.write_chunk(f"shard/{place}/matrix", matrix, "the matrix")
        files.write_chunk(f"shard/{place}/tasks", tasks, "the tasks")
        heads.append({**heads[0], "first": names[0], "last": names[-1]})
    for name, value in newest.items():
        files.write_chunk(f"shard/{len(heads)}/{name}", value, name)
    heads.append(last)
    for column in index["columns"]:
        column["at"] = [[len(heads) - 1, *column["at"][-1][1:]]]
    files.write_chunk("index", {**index, "shards": heads, "recent": len(heads) - 2}, "the index")
    (out / "site.json").write_bytes(msgspec.json.encode(state))


def _chunks(out: Path, place: int) -> list[Path]:
    return list((out / f"data/shard/{place}").glob("*.js"))


def measure_years(out: Path) -> None:
    """Say what ten years add to the first page, and to the time for one run more."""
    options = SiteOptions(executed=lambda _recorded, _task: {})
    say(f"first page: {first_page(out) / 1e3:.0f} kB (bar: 300 kB)")
    grow(out)
    for number in (RUNS + 1, RUNS + 2):
        begun = time.perf_counter()
        write_site(str(out), [found(number)], options)
        say(f"one run more than {YEARS}: {time.perf_counter() - begun:.2f} s (bar: 0.6 s)")
    say(f"first page: {first_page(out) / 1e3:.0f} kB")


def measure_reading(out: Path, chromium: str) -> None:
    """Open the site, sort it and filter it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"file://{out}/index.html")
        page.wait_for_selector("tr[data-row='0']")
        ready = page.evaluate("performance.now()")
        say(f"first page: {ready / 1000:.2f} s (bar: 1.0 s)")
        page.wait_for_function("() => document.querySelector('td:last-child').textContent !== ''")
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

        def measure(what: str, script: str, arguments: list[str], bar: int = 60) -> None:
            def worked() -> float:
                metrics = devtools.send("Performance.getMetrics")["metrics"]
                return next(metric["value"] * 1000 for metric in metrics if metric["name"] == "TaskDuration")

            before = worked()
            took = [page.evaluate(script, argument) for argument in arguments]
            cpu = (worked() - before) / len(took)
            say(f"{what}: first {took[0]:.0f} ms, median {median(took):.0f} ms, CPU {cpu:.0f} ms (bar: {bar} ms)")

        measure("sort by a metric", _CLICKED, ["th:last-child button"] * REPEATS)
        measure("filter", _TYPED, [f"metrics.m0 > 0.{number} and branch = main" for number in range(REPEATS)])
        page.goto(f"file://{out}/index.html#/explore?x=params.p0")
        page.get_by_role("img", name="Parallel coordinates").wait_for()
        colours = page.get_by_role("combobox", name="Colour").locator("option").evaluate_all(_VALUES)
        measure("draw Explore anew", _CHOSEN, (colours * REPEATS)[:REPEATS], bar=150)
        browser.close()


_PAINTED = "await new Promise(done => requestAnimationFrame(() => setTimeout(done)));"
_CLICKED = f"""async place => {{
  const begun = performance.now();
  document.querySelector(place).click();
  {_PAINTED}
  return performance.now() - begun;
}}"""
_VALUES = "options => options.slice(0, 3).map(option => option.value)"
_CHOSEN = f"""async value => {{
  const select = [...document.querySelectorAll("label")].find(one => one.textContent.startsWith("Colour"))
    .querySelector("select");
  const begun = performance.now();
  select.value = value;
  select.dispatchEvent(new Event("change", {{ bubbles: true }}));
  {_PAINTED}
  return performance.now() - begun;
}}"""
_TYPED = f"""async text => {{
  const input = document.querySelector("input.mono");
  const begun = performance.now();
  input.value = text;
  input.dispatchEvent(new Event("input", {{ bubbles: true }}));
  {_PAINTED}
  return performance.now() - begun;
}}"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(sys.argv[1] if len(sys.argv) > 1 else temporary).resolve()
        if not (place / "index.html").exists():
            measure_writing(place)
        measure_reading(place, "/usr/bin/chromium")
        if len(sys.argv) == 1:
            measure_years(place)
            measure_reading(place, "/usr/bin/chromium")
