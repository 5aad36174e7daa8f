"""Summarise the reports of several systems on one page with a figure.

    python benchmarks/quality_page.py REPORTS/input REPORTS/rnnoise \\
        REPORTS/whisper24 --page docs/results.md --picture docs/fixed_set.png

The reports are written by ``benchmarks/quality.py report``. The report on the
inputs must come first. Each system is named after its report folder. The
"fixed set" section of the page is replaced.

Authors
 * The miipher2 authors 2026
"""

import argparse
import os
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from pages import fill, markdown_table

from miipher2.dataio.atomic import atomic_write
from miipher2.errors import UserError, one_line_errors
from miipher2.evaluation.group_statistics import GroupStatistics
from miipher2.evaluation.scores import Scores

# Heading and number of decimals by column
COLUMNS = {
    "ovrl": ("OVRL", 2),
    "wer": ("WER %", 1),
    "cer": ("CER %", 1),
    "per": ("PER %", 1),
    "speaker": ("speaker", 2),
    "p808": ("P.808", 2),
    "pesq_wb": ("PESQ-WB", 2),
}
CLEAN = "clean"
NAMES = {"rnnoise": "RNNoise"}


def means_table(reports):
    """Return a table of means by condition; a cell has one value per system."""
    systems = {
        name: GroupStatistics(scores) for name, scores in reports.items()
    }
    groups = [g for g in next(iter(systems.values())).groups if g != "all"]
    degraded = [group for group in groups if group != CLEAN]
    lines = [[", ".join(systems), *(head for head, _ in COLUMNS.values())]]
    for label, members in (
        *((group, [group]) for group in degraded),
        ("mean", degraded),
        ("clean input", [CLEAN]),
    ):
        cells = []
        for metric, (_, digits) in COLUMNS.items():
            values = [
                np.mean(
                    [
                        statistics.of(group, metric, "restored").mean
                        for group in members
                    ]
                )
                for statistics in systems.values()
            ]
            cells.append(
                ", ".join(
                    f"{value:.{digits}f}" if np.isfinite(value) else "-"
                    for value in values
                )
            )
        lines.append([label, *cells])
    return markdown_table(lines)


def changes_table(reports):
    """Return a table of mean changes with their confidence intervals."""
    lines = [["change from input", *(head for head, _ in COLUMNS.values())]]
    for name, scores in reports.items():
        statistics = GroupStatistics(scores)
        cells = []
        for metric, (_, digits) in COLUMNS.items():
            change = statistics.of("all", metric)
            cells.append(
                f"{change.mean:+.{digits}f} ({change.low:+.{digits}f} to "
                f"{change.high:+.{digits}f})"
                if change.files
                else "-"
            )
        lines.append([name, *cells])
    return markdown_table(lines)


def draw(reports, path):
    """Plot the change in PER against the change in OVRL for each system."""
    figure, grid = plt.subplots(
        1,
        len(reports),
        figsize=(4.6 * len(reports), 4.4),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, (name, scores) in zip(grid[0], reports.items(), strict=True):
        x, y = (
            scores[f"restored_{metric}"] - scores[f"input_{metric}"]
            for metric in ("ovrl", "per")
        )
        for index, (group, members) in enumerate(scores.groups().items()):
            if group != "all":
                axes.scatter(
                    x[members],
                    y[members],
                    s=22,
                    color=plt.get_cmap("tab10")(index % 10),
                    alpha=0.8,
                    linewidths=0,
                    label=group,
                )
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axes.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        axes.set_title(name)
        axes.set_xlabel("change in OVRL (higher is better)")
    grid[0][0].set_ylabel("change in PER, points (lower is better)")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    with atomic_write(Path(path)) as file:
        figure.savefig(file, dpi=90, format="png")


def page_text(reports, picture):
    """Return the new text of the "fixed set" section."""
    inputs, *_ = reports
    others = {
        name: scores for name, scores in reports.items() if name != inputs
    }
    texts = []
    for name, scores in others.items():
        x, y = (
            scores[f"restored_{metric}"] - scores[f"input_{metric}"]
            for metric in ("ovrl", "per")
        )
        known = np.isfinite(x) & np.isfinite(y)
        both = (x > 0)[known] & (y > 0)[known]
        texts.append(
            f"With {name}, OVRL rises in {100 * np.mean(x[known] > 0):.0f} % "
            "of the files; both OVRL and PER rise in "
            f"{100 * np.mean(both):.0f} %."
        )
    return "\n\n".join(
        [
            means_table(reports),
            "Mean change from input to output over all "
            f"{len(next(iter(others.values())))} files, with the 95 % "
            "confidence interval:",
            changes_table(others),
            f"![Change in PER against change in OVRL]({picture})",
            " ".join(texts),
        ]
    )


def main(arguments=None):
    """Parse the command line; write the page and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "reports",
        nargs="+",
        metavar="REPORT",
        help="report folders; the report on the inputs must come first",
    )
    parser.add_argument("--page", required=True, metavar="MD")
    parser.add_argument("--picture", required=True, metavar="PNG")
    arguments = parser.parse_args(arguments)
    if len(arguments.reports) < 2:
        raise UserError(
            "expected the report on the inputs and at least one other report"
        )
    reports = {}
    for folder in arguments.reports:
        name = Path(folder).resolve().name
        reports[NAMES.get(name, name)] = Scores(Path(folder, "files.csv"))
    inputs = next(iter(reports))
    others = {n: scores for n, scores in reports.items() if n != inputs}
    draw(others, arguments.picture)
    picture = os.path.relpath(arguments.picture, Path(arguments.page).parent)
    text = page_text(reports, Path(picture).as_posix())
    fill(arguments.page, "fixed set", text)
    print(text)


if __name__ == "__main__":
    with one_line_errors():
        main()
