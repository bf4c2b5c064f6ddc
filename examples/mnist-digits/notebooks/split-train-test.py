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
# # Split
#
# Put some of the digits aside for testing, with equally many of each digit in both parts. No model sees them before
# its benchmark.

# %%
import os
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

import nbmake_dag as nbdag

# %% tags=["parameters"]
test_fraction = 0.3
seed = 1
inputs = {"digits": "data/raw/digits.npy", "labels": "data/raw/labels.npy"}
outputs = {
    "train_digits": "data/train/digits.npy",
    "train_labels": "data/train/labels.npy",
    "test_digits": "data/test/digits.npy",
    "test_labels": "data/test/labels.npy",
}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %%
digits = np.load(inputs["digits"])
labels = np.load(inputs["labels"])

train_digits, test_digits, train_labels, test_labels = train_test_split(
    digits, labels, test_size=test_fraction, stratify=labels, random_state=seed
)

# %%
np.save(outputs["train_digits"], train_digits)
np.save(outputs["train_labels"], train_labels)
np.save(outputs["test_digits"], test_digits)
np.save(outputs["test_labels"], test_labels)

nbdag.log_metrics({"nr_train_images": len(train_digits), "nr_test_images": len(test_digits)})

# %% [markdown]
# The share of each digit, in both parts:

# %%
for digit in range(10):
    print(f"{digit}: {np.mean(train_labels == digit):6.1%} {np.mean(test_labels == digit):6.1%}")
