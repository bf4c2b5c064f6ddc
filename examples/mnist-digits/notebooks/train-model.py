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
# # Train
#
# Logistic regression on the first `nr_train_images` of the training set, saved as ONNX: a format that runs without
# scikit-learn, and holds no pickle.
#
# The split has shuffled the images, so the first ones are a fair sample, and each larger set contains the smaller.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

import nbmake_dag as nbdag

# %% tags=["parameters"]
nr_train_images = 600
C = 1.0  # the weaker the regularisation, the larger
inputs = {"digits": "data/train/digits.npy", "labels": "data/train/labels.npy"}
outputs = {"model": f"models/{nr_train_images}/model.onnx"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %%
digits = np.load(inputs["digits"])[:nr_train_images]
labels = np.load(inputs["labels"])[:nr_train_images]
assert len(digits) == nr_train_images, f"there are only {len(digits)} images to train with"

# %%
model = LogisticRegression(C=C, max_iter=1000).fit(digits, labels)

nbdag.log_metric("iterations", int(model.n_iter_.max()))
nbdag.log_metric("train_accuracy", model.score(digits, labels))

# %% [markdown]
# ## What it has learned
#
# The weights of 0 to 4, and of 5 to 9. Ink on a red pixel speaks for the digit, on a blue one against it. More training images make the pictures calmer.

# %%
weights = [np.pad(row.reshape(8, 8), 1) for row in model.coef_]
limit = abs(model.coef_).max()

fig, axes = plt.subplots(figsize=(7, 3))
axes.imshow(np.block([weights[:5], weights[5:]]), cmap="RdBu_r", vmin=-limit, vmax=limit)
axes.set_axis_off()

nbdag.log_figure(fig, "weights.png")

# %% [markdown]
# ## Save it
#
# The graph gets a fixed name and a fixed set of operators, so that the same model is always the same bytes. Then a
# change that does not change the model does not run its benchmark again.

# %%
onnx_model = to_onnx(model, digits[:1], name="digits", options={"zipmap": False}, target_opset=18)
Path(outputs["model"]).write_bytes(onnx_model.SerializeToString())
