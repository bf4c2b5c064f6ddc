# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Ingest
#
# Fetch 1797 handwritten digits, 8 by 8 pixels each, and keep them as two arrays.
#
# scikit-learn has the data on board, but let us pretend that they come from far away, and that the line is bad.

# %%
import os
import time
from pathlib import Path

import nbmake_dag as nbdag

# %% tags=["parameters"]
outputs = {"digits": "data/raw/digits.npy", "labels": "data/raw/labels.npy"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## A bad line
#
# The first attempt fails and the second one hangs, on purpose: `retries` and `timeout` in `pipeline.toml` are there
# for such sources. nbdag tells a notebook which attempt it is. Opened by hand, it goes straight to the third.

# %%
attempt = int(os.environ.get("NBDAG_ATTEMPT", "3"))

if attempt == 1:
    raise ConnectionError("The source hung up (on purpose: this is attempt 1)")
if attempt == 2:
    print("Waiting for an answer that never comes ...")
    time.sleep(3600)

# %% [markdown]
# ## The data

# %%
import numpy as np
from sklearn.datasets import load_digits

pixels, labels = load_digits(return_X_y=True)
digits = (pixels / pixels.max()).astype(np.float32)  # 0 is paper, 1 is ink
labels = labels.astype(np.int64)

assert digits.shape == (1797, 64)
assert set(labels) == set(range(10))

# %%
np.save(outputs["digits"], digits)
np.save(outputs["labels"], labels)
nbdag.log_metric("nr_images", len(digits))
