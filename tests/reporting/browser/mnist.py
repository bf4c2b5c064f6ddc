"""Fourteen real runs of the MNIST example: sizes, a hyper-parameter, a failure, a timeout, hits, two branches."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.project import Build, Project

EXAMPLE = Path(__file__).parents[3] / "examples" / "mnist-digits"
SIZES = "nr_train_images = [60, 200, 600]"
EDA = "notebooks/eda.py"
LOOK = 'notebook = "notebooks/eda.py"'
HANG = "\n# %%\nimport time\n\nprint('still looking')\ntime.sleep(600)\n"


LEFT = (".nbdag", "data", "models", "results")


def build_runs(project: Project) -> None:
    """Play a week of work on the example, in an empty folder."""
    shutil.copytree(EXAMPLE, project.root, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT))
    project.write(".gitignore", ".nbdag/\ndata/\nmodels/\nresults/\n").commit()

    def again(*arguments: str, code: int = 0) -> Build:
        build = project.build("-k", *arguments)
        assert build.code == code, build.err
        return build

    def change(path: str, old: str, new: str) -> None:
        project.edit(path, old, new).commit()

    again()
    again()
    change("pipeline.toml", SIZES, "nr_train_images = [60, 200, 600, 1000]")
    again()
    project.git("checkout", "-q", "-b", "less-regularised")
    change("pipeline.toml", "C = 1.0", "C = 10.0")
    again()
    change("pipeline.toml", "C = 10.0", "C = 0.01")
    again()
    project.git("checkout", "-q", "main")
    again()
    change(EDA, "# # A first look", "# # A first look at the digits")
    again()
    change(EDA, 'digits = np.load(inputs["digits"])', 'digits = np.load(inputs["digit"])')
    again(code=1)
    change(EDA, 'digits = np.load(inputs["digit"])', 'digits = np.load(inputs["digits"])')
    again()
    notebook = project.read(EDA)
    project.write(EDA, notebook + HANG)
    change("pipeline.toml", LOOK, f'{LOOK}\ntimeout = "15s"')
    again(code=1)
    project.write(EDA, notebook)
    change("pipeline.toml", f'{LOOK}\ntimeout = "15s"', LOOK)
    again()
    project.remove("results", "models")
    again()
    change("pipeline.toml", "test_fraction = 0.3", "test_fraction = 0.25")
    again()
    again("--force", "eda")
