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
# # Does more data help?
#
# Every benchmark has logged how well its model did. `nbdag.upstream()` has what the tasks above this one logged,
# so there is nothing to parse, and no list of models to keep: a size added in `pipeline.toml` shows up here.

# %%
import csv
import os
from pathlib import Path

import matplotlib.pyplot as plt

import nbmake_dag as nbdag

# %% tags=["parameters"]
outputs = {"table": "results/summary.csv"}

# %%
# nbdag starts us in the folder of pipeline.toml, with the folders of the outputs made. By hand, see to it here.
if Path.cwd().name == "notebooks":
    os.chdir("..")
for path in outputs.values():
    Path(path).parent.mkdir(parents=True, exist_ok=True)

# %%
COLUMNS = ["accuracy", "roc_auc_class_mean", *(f"roc_auc_digit_{digit}" for digit in range(10))]

rows = sorted(
    (
        {"nr_train_images": logged.params["nr_train_images"]} | {name: logged.metrics[name] for name in COLUMNS}
        for task, logged in nbdag.upstream().items()
        if task.startswith("benchmark[")
    ),
    key=lambda row: row["nr_train_images"],
)

# %%
with open(outputs["table"], "w", newline="") as file:
    table = csv.DictWriter(file, ["nr_train_images", *COLUMNS], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)

nbdag.log_table(rows, "performance.json")
for row in rows:
    print(f"{row['nr_train_images']:5} images: mean ROC AUC {row['roc_auc_class_mean']:.4f}")

# %% [markdown]
# ## Performance against training size

# %%
sizes = [row["nr_train_images"] for row in rows]

fig, axes = plt.subplots(figsize=(7, 4.5))
for digit in range(10):
    axes.plot(sizes, [row[f"roc_auc_digit_{digit}"] for row in rows], linewidth=1, alpha=0.6, label=digit)
axes.plot(sizes, [row["roc_auc_class_mean"] for row in rows], "k.-", linewidth=2.5, label="mean")
axes.set(xscale="log", xlabel="training images", ylabel="ROC AUC on the test set")
axes.set_xticks(sizes, sizes)
axes.minorticks_off()
axes.legend(title="digit", ncols=2, loc="lower right")

nbdag.log_figure(fig, "performance.png")

# %%
best = max(rows, key=lambda row: row["roc_auc_class_mean"])
nbdag.log_metric("best_roc_auc_class_mean", best["roc_auc_class_mean"])
nbdag.set_tag("best_nr_train_images", str(best["nr_train_images"]))
