"""What a notebook finds around it when it starts: a warm kernel has what a fresh one has."""

import json
import os
import sys

import pytest

DUMP = """
def dump():
    import asyncio, decimal, faulthandler, gc, json, locale, logging, os, random, resource, signal, stat
    import sys, tempfile, threading, time, tracemalloc, warnings

    def opened(number):
        try:
            link, status = os.readlink(f"/proc/self/fd/{number}"), os.fstat(number)
        except OSError:
            return ""
        kind = link.partition("[")[0] if ":[" in link else "file" if stat.S_ISREG(status.st_mode) else link
        return f"{kind} inheritable={os.get_inheritable(number)}"

    def name(thing):
        return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"

    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    limits = [each for each in dir(resource) if each.startswith("RLIMIT_")]
    mask = os.umask(0)
    os.umask(mask)
    with os.popen("env") as pipe:  # not left to the garbage collection, which a descriptor would show
        of_children = sorted(pipe.read().splitlines())
    return {
        "environment": dict(os.environ),
        "environment of its children": of_children,
        "current directory": os.getcwd(),
        "arguments": [sys.argv, sys.orig_argv],
        "flags": str(sys.flags),
        "X options": {key: str(value) for key, value in sys._xoptions.items()},
        "W options": sys.warnoptions,
        "import path": sys.path,
        "import hooks": [*map(name, sys.meta_path), *map(name, sys.path_hooks)],
        "interpreter": [sys.executable, sys.prefix, sys.pycache_prefix, sys.dont_write_bytecode],
        "hooks": [name(getattr(sys, hook)) for hook in ("excepthook", "displayhook", "unraisablehook")],
        "recursion": sys.getrecursionlimit(),
        "switching": sys.getswitchinterval(),
        "locale": [locale.setlocale(each) for each in range(7)],
        "encodings": [locale.getpreferredencoding(False), sys.getfilesystemencoding(), sys.stdout.encoding],
        "streams": [
            (each.encoding, each.errors, each.line_buffering, each.fileno())
            for each in (sys.__stdin__, sys.__stdout__, sys.__stderr__)
        ],
        "time zone": time.tzname,
        "resource limits": {each: resource.getrlimit(getattr(resource, each)) for each in limits},
        "umask": mask,
        "niceness": os.nice(0),
        "processors": sorted(os.sched_getaffinity(0)),
        "groups": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid(), os.getgroups()],
        "signal handlers": {str(each): name(signal.getsignal(each)) + str(signal.getsignal(each) == signal.SIG_IGN)
                            for each in signal.valid_signals()},
        "signals": [status[each].strip() for each in ("SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "CapEff")],
        "open descriptors": sorted(set(map(opened, map(int, os.listdir("/proc/self/fd")))) - {""}),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "garbage collection": [gc.isenabled(), gc.get_threshold(), gc.get_debug()],
        "warnings": [str(each) for each in warnings.filters],
        "faults": [faulthandler.is_enabled(), tracemalloc.is_tracing()],
        "temporary folder": tempfile.gettempdir(),
        "logging": [str(logging.root), [name(type(each)) for each in logging.root.handlers]],
        "event loops": [name(type(asyncio.get_event_loop_policy())), asyncio.get_running_loop().get_debug()],
        "decimals": str(decimal.getcontext()),
        "names": sorted(vars(sys.modules["__main__"])),
        "started": "STARTED" in globals(),
    }
import json
print(json.dumps(dump()))
"""

VARIANTS: dict[str, dict[str, str | None]] = {
    "nothing special": {},
    "a relative import path": {"PYTHONPATH": "lib:/nowhere::../x"},
    "a start-up file": {"PYTHONSTARTUP": "startup.py"},
    "a folder for IPython": {"IPYTHONDIR": "ip"},
    "options of Python as variables": {
        "PYTHONWARNINGS": "error::ImportWarning",
        "PYTHONDEVMODE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
    },
    "the C locale": {"LC_ALL": "", "LANG": "", "LC_CTYPE": "C"},
    "no locale": {"LC_ALL": None, "LANG": None, "LC_CTYPE": None},
    "another time zone and temporary folder": {"TZ": "Asia/Tokyo", "TMPDIR": "tmp"},
}


def surroundings(run, folder, **options):
    """Return what a notebook finds with a warm kernel and with a fresh one, apart from its own private paths."""
    found = {}
    for start in ("warm", "fresh"):
        ran = run(DUMP, start=start, root=folder, **options)
        assert ran.run.failure is None
        seen = json.loads(
            "".join(next(each["text"] for each in ran.outputs[0]["outputs"] if each["name"] == "stdout"))
        )
        connection = seen["arguments"][0][2]
        text = json.dumps(seen).replace(connection, "CONNECTION").replace(os.path.dirname(connection), "RUNTIME")
        found[start] = json.loads(text.replace(ran.scratch, "SCRATCH"))
    return found["warm"], found["fresh"]


def differences(warm, fresh):
    """Return what differs, variables of the environment one by one."""
    left, right = ({**each, **each["environment"], "environment": None} for each in (warm, fresh))
    return {key: (left.get(key), right.get(key)) for key in {*left, *right} if left.get(key) != right.get(key)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_warm_kernel_has_the_surroundings_of_a_fresh_one(run, tmp_path, monkeypatch, variant):
    """Nothing that a program can see of how it was started differs."""
    (tmp_path / "startup.py").write_text("STARTED = True\n")
    (tmp_path / "tmp").mkdir()
    given = VARIANTS[variant]
    for name in given:
        monkeypatch.delenv(name, raising=False)
    env = {name: value for name, value in given.items() if value is not None}
    warm, fresh = surroundings(run, tmp_path, env=env)
    assert differences(warm, fresh) == {}
    assert not warm["started"]


def test_options_of_a_kernelspec_reach_a_warm_kernel(run, tmp_path, monkeypatch):
    """Flags, `-X` and `-W` are those of the kernelspec's command."""
    folder = tmp_path / "jupyter" / "kernels" / "odd"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-Xutf8", "-Wignore::DeprecationWarning", "-sOO", "-m", "ipykernel_launcher"]
    spec = {"argv": [*argv, "-f", "{connection_file}"], "display_name": "odd", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    warm, fresh = surroundings(run, tmp_path, kernel="odd")
    assert differences(warm, fresh) == {}
    assert "optimize=2" in warm["flags"]
    assert (warm["X options"], warm["W options"]) == ({"utf8": "True"}, ["ignore::DeprecationWarning"])


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_a_module_on_a_relative_import_path_is_found(run, tmp_path, start):
    """It is relative to the folder in which the notebook runs."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "mylib.py").write_text("")
    assert run("\nimport mylib", start=start, env={"PYTHONPATH": "src"}).run.failure is None
