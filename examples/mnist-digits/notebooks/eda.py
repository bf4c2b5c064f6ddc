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
# # A first look
#
# What do the digits look like, are there equally many of each, and which pixels matter?

# %%
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import nbmake_dag as nbdag

# %% tags=["parameters"]
inputs = {"digits": "data/raw/digits.npy", "labels": "data/raw/labels.npy"}
outputs = {"overview": "results/overview.json"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %%
digits = np.load(inputs["digits"])
labels = np.load(inputs["labels"])


def mosaic(rows):
    """Lay out rows of images, each a line of 64 pixels, as one picture."""
    return np.block([[np.pad(image.reshape(8, 8), 1) for image in row] for row in rows])


# %% [markdown]
# ## Ten of each

# %%
fig, axes = plt.subplots(figsize=(5, 5))
axes.imshow(mosaic(digits[labels == digit][:10] for digit in range(10)), cmap="gray_r")
axes.set_axis_off()

nbdag.log_figure(fig, "samples.png")

# %% [markdown]
# ## How many of each
#
# The classes are balanced, so accuracy is a fair measure, and a stratified split will have no rare digit to lose.

# %%
counts = np.bincount(labels, minlength=10)

fig, axes = plt.subplots(figsize=(6, 2.5))
axes.bar(range(10), counts, color="tab:blue")
axes.axhline(counts.mean(), color="gray", linestyle=":")
axes.set(xlabel="digit", ylabel="images", xticks=range(10))

nbdag.log_figure(fig, "class-counts.png")

# %% [markdown]
# ## The average digit
#
# Above, the mean of each digit. Below, how much its writers disagree: most about 1, least about 0.

# %%
means = [digits[labels == digit].mean(axis=0) for digit in range(10)]
spreads = [digits[labels == digit].std(axis=0) for digit in range(10)]

fig, (above, below) = plt.subplots(2, figsize=(8, 2))
above.imshow(mosaic([means]), cmap="gray_r")
below.imshow(mosaic([spreads]), cmap="Oranges")
above.set_axis_off()
below.set_axis_off()

nbdag.log_figure(fig, "mean-and-spread.png")

# %% [markdown]
# ## Pixels that never see ink
#
# They carry no information, whatever the model.

# %%
unused = np.flatnonzero(digits.max(axis=0) == 0)
overview = {
    "images": len(digits),
    "images_per_digit": counts.tolist(),
    "mean_ink": round(float(digits.mean()), 4),
    "unused_pixels": unused.tolist(),
}
Path(outputs["overview"]).write_text(json.dumps(overview, indent=2) + "\n")

nbdag.log_metric("mean_ink", overview["mean_ink"])
nbdag.log_metric("unused_pixels", len(unused))
overview
