"""Write the reports of several systems on one page, with a picture.

    python benchmarks/quality_page.py REPORTS/input REPORTS/rnnoise \\
        REPORTS/whisper24 --page docs/results.md --picture docs/fixed_set.png

The reports are those of ``benchmarks/quality.py report``: that of the inputs
comes first. Each is named by its folder. The part "fixed set" of the page is
replaced.

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

# Heading and digits by column. Words and voice stand beside the quality
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
    """Return the means by condition, with the systems in each cell."""
    systems = {name: GroupStatistics(of) for name, of in reports.items()}
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
                np.mean([of.of(g, metric, "restored").mean for g in members])
                for of in systems.values()
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
    """Return the mean changes from input to output, with their intervals."""
    lines = [["minus input", *(head for head, _ in COLUMNS.values())]]
    for name, scores in reports.items():
        statistics = GroupStatistics(scores)
        cells = []
        for metric, (_, digits) in COLUMNS.items():
            of = statistics.of("all", metric)
            cells.append(
                f"{of.mean:+.{digits}f} ({of.low:+.{digits}f} to "
                f"{of.high:+.{digits}f})"
                if of.files
                else "-"
            )
        lines.append([name, *cells])
    return markdown_table(lines)


def draw(reports, path):
    """Draw the change of quality against that of words, a panel per system."""
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
        axes.set_xlabel("change of OVRL (better to the right)")
    grid[0][0].set_ylabel("change of PER, points (better below)")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    with atomic_write(Path(path)) as file:
        figure.savefig(file, dpi=90, format="png")


def page_text(reports, picture):
    """Return the part of the page."""
    inputs, *_ = reports
    others = {name: of for name, of in reports.items() if name != inputs}
    texts = []
    for name, scores in others.items():
        x, y = (
            scores[f"restored_{metric}"] - scores[f"input_{metric}"]
            for metric in ("ovrl", "per")
        )
        known = np.isfinite(x) & np.isfinite(y)
        both = (x > 0)[known] & (y > 0)[known]
        texts.append(
            f"With {name}, OVRL rises in {100 * np.mean(x[known] > 0):.0f} % of "
            f"the files; in {100 * np.mean(both):.0f} %, the phoneme errors rise "
            "with it."
        )
    return "\n\n".join(
        [
            means_table(reports),
            f"Change from input to output of the same file, over all "
            f"{len(next(iter(others.values())))} files, and its 95 % interval:",
            changes_table(others),
            f"![Change of phoneme errors against change of OVRL]({picture})",
            " ".join(texts),
        ]
    )


def main(arguments=None):
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "reports", nargs="+", metavar="REPORT", help="that of the inputs first"
    )
    parser.add_argument("--page", required=True, metavar="MD")
    parser.add_argument("--picture", required=True, metavar="PNG")
    arguments = parser.parse_args(arguments)
    if len(arguments.reports) < 2:
        raise UserError("expected the report of the inputs and another one")
    reports = {}
    for folder in arguments.reports:
        name = Path(folder).resolve().name
        reports[NAMES.get(name, name)] = Scores(Path(folder, "files.csv"))
    inputs = next(iter(reports))
    draw({n: of for n, of in reports.items() if n != inputs}, arguments.picture)
    picture = os.path.relpath(arguments.picture, Path(arguments.page).parent)
    text = page_text(reports, Path(picture).as_posix())
    fill(arguments.page, "fixed set", text)
    print(text)


if __name__ == "__main__":
    with one_line_errors():
        main()
