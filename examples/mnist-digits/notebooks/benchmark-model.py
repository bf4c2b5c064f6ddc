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
# # Benchmark
#
# How well does one of the models tell the digits apart that it has not seen? For each digit, ask "is it this one?",
# and let the threshold for "yes" go from strict to lax: that is its ROC curve. The area under it (AUC) is 1 for a
# perfect answer and 0.5 for a coin.

# %%
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from sklearn.metrics import roc_auc_score, roc_curve

import nbmake_dag as nbdag

# %% tags=["parameters"]
nr_train_images = 600
inputs = {
    "model": f"models/{nr_train_images}/model.onnx",
    "digits": "data/test/digits.npy",
    "labels": "data/test/labels.npy",
}
outputs = {"scores": f"results/{nr_train_images}/scores.json"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %%
digits = np.load(inputs["digits"])
labels = np.load(inputs["labels"])

session = onnxruntime.InferenceSession(inputs["model"], providers=["CPUExecutionProvider"])
predicted, probabilities = session.run(["label", "probabilities"], {session.get_inputs()[0].name: digits})

# %%
roc_auc = [roc_auc_score(labels == digit, probabilities[:, digit]) for digit in range(10)]
scores = {
    "accuracy": round(float(np.mean(predicted == labels)), 6),
    "roc_auc_class_mean": round(float(np.mean(roc_auc)), 6),
    **{f"roc_auc_digit_{digit}": round(float(area), 6) for digit, area in enumerate(roc_auc)},
}

# %%
nbdag.log_metrics(scores)
Path(outputs["scores"]).write_text(json.dumps({"nr_train_images": nr_train_images, **scores}, indent=2) + "\n")
scores

# %% [markdown]
# ## ROC curves
#
# The better the model, the closer its curves come to the upper left corner. Only that corner is shown.

# %%
fig, axes = plt.subplots(figsize=(6, 5))
for digit in range(10):
    false_positives, true_positives, _ = roc_curve(labels == digit, probabilities[:, digit])
    axes.plot(false_positives, true_positives, label=f"{digit}: {roc_auc[digit]:.4f}")
axes.set(
    xlim=(-0.01, 0.4),
    ylim=(0.6, 1.01),
    xlabel="false positive rate",
    ylabel="true positive rate",
    title=f"trained with {nr_train_images} images",
)
axes.legend(title="digit: AUC", loc="lower right")

nbdag.log_figure(fig, "roc-curves.png")

# %% [markdown]
# ## The mistakes of which it was surest
#
# Would you have known?

# %%
wrong = np.flatnonzero(predicted != labels)
surest = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:10]

fig, axes = plt.subplots(figsize=(9, 1.4))
axes.imshow(np.block([np.pad(digits[image].reshape(8, 8), 1) for image in surest]), cmap="gray_r")
axes.set_xticks(
    [10 * column + 4.5 for column in range(len(surest))],
    [f"{predicted[image]}, not {labels[image]}" for image in surest],
)
axes.set_yticks([])

nbdag.log_figure(fig, "mistakes.png")
