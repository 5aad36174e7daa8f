"""Measure the effect of gate thresholds on the fixed test set.

    python benchmarks/gate.py SET REPORT --recogniser WHISPER \\
        --page docs/gate.md

REPORT is the output of ``benchmarks/quality.py report`` with ``--model`` and
``--recogniser``; its error rates are computed with the clean recordings as the
reference. The gate, which rejects recordings by their scores, uses scores with
the inputs as the reference, as in ``miipher2 restore --evaluate``. These scores
are written to ``REPORT/gate``. The "gates" section of the page is replaced.

Authors
 * The miipher2 authors 2026
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from pages import fill, markdown_table
from scipy.stats import spearmanr

from miipher2.dataio.hparams import load_yaml
from miipher2.errors import one_line_errors
from miipher2.evaluation.evaluate import evaluate
from miipher2.evaluation.gate import DEFAULT, Gate
from miipher2.evaluation.scores import read_rows

METRICS = ("dnsmos", "speaker", "words", "phonemes")
SINGLE = (
    ("min_speaker_similarity", 0.65),
    ("min_speaker_similarity", 0.7),
    ("min_speaker_similarity", 0.75),
    ("max_per", 60),
    ("max_per", 50),
    ("max_per", 30),
    ("max_cer", 30),
    ("max_wer", 40),
    ("min_dnsmos", 2.8),
    ("min_dnsmos_gain", 0),
    ("min_dnsmos_gain", 0.1),
)
# Scores whose rank correlation with the word error rate is computed
RANKED = {
    "phoneme errors": "restored_per",
    "character errors": "restored_cer",
    "DNSMOS of the output": "restored_ovrl",
}


def gates():
    """Return the thresholds of each gate by its label."""
    defaults = load_yaml(DEFAULT)
    strict = {"min_speaker_similarity": 0.75, "max_per": 30}
    return {
        "none": {},
        "**defaults**": defaults,
        "defaults and `max_cer: 30`": {**defaults, "max_cer": 30},
        "strict: similarity 0.75, `max_per: 30`": {**defaults, **strict},
        **{f"`{key}: {value:g}`": {key: value} for key, value in SINGLE},
    }


def rejected_files(thresholds, rows):
    """Return the set of files that a gate rejects."""
    if not thresholds:
        return set()
    gate = Gate(thresholds)
    return {str(row["file"]) for row in rows if gate.reasons(row)}


def mean(truth, files, column):
    """Return the mean of a column; ``truth`` maps each file to its row."""
    values = np.array([truth[file].get(column, np.nan) for file in files])
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def gates_table(rows, truth):
    """Return a table of the scores of kept and rejected files by gate."""
    pairs = (("WER %", "wer", 1), ("PER %", "per", 1), ("OVRL", "ovrl", 2))
    lines = [["gate", "rejected"]]
    lines[0] += [
        f"{head} of kept files, before and after" for head, _, _ in pairs
    ]
    lines[0].append("WER %, PER % of rejected files")
    for label, thresholds in gates().items():
        rejected = rejected_files(thresholds, rows)
        kept = truth.keys() - rejected
        line = [label, str(len(rejected))]
        for _, metric, digits in pairs:
            sides = (f"{side}_{metric}" for side in ("input", "restored"))
            line.append(_join((mean(truth, kept, s) for s in sides), digits))
        columns = ("restored_wer", "restored_per")
        line.append(
            _join((mean(truth, rejected, c) for c in columns), 1)
            if rejected
            else ""
        )
        lines.append(line)
    return markdown_table(lines)


def _join(values, digits):
    return ", ".join(f"{value:.{digits}f}" for value in values)


def remarks(rows, truth):
    """Return remarks on the defaults and on correlations with the errors."""
    rejected = rejected_files(load_yaml(DEFAULT), rows)
    found = Counter(file.partition("/")[0] for file in rejected)
    parts = [f"{count} in {name}" for name, count in found.most_common()]
    conditions = {file.partition("/")[0] for file in truth}
    others = ", ".join(sorted(conditions - found.keys()))
    parts = [", ".join(parts), others and f"none in {others}"]
    lines = [
        f"- The defaults reject {len(rejected)} of {len(truth)} files: "
        f"{'; '.join(filter(None, parts))}."
    ]
    true = {file: row["restored_wer"] for file, row in truth.items()}
    ranks = []
    for name, column in RANKED.items():
        pairs = [(row.get(column, np.nan), true[row["file"]]) for row in rows]
        rank = spearmanr(*zip(*pairs, strict=True), nan_policy="omit")
        ranks.append(f"{name} {abs(rank.statistic):.2f}")
    lines.append(
        "- Absolute value of Spearman's rank correlation between a score of "
        "the gate and the word error rate against the clean recordings: "
        f"{', '.join(ranks)}."
    )
    return "\n".join(lines)


def main(arguments=None):
    """Parse the command line, measure the gates and update the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "set", metavar="SET", help="test set written by quality.py make"
    )
    parser.add_argument("report", metavar="REPORT", help="report on a model")
    parser.add_argument("--recogniser", required=True, metavar="WHISPER")
    parser.add_argument("--page", required=True, metavar="MD")
    parser.add_argument("--workers", type=int, default=1, metavar="N")
    arguments = parser.parse_args(arguments)
    report = Path(arguments.report)
    truth = {row["file"]: row for row in read_rows(report / "files.csv")}
    evaluate(
        report / "restored",
        report / "gate",
        source=Path(arguments.set, "input"),
        recogniser=arguments.recogniser,
        metrics=METRICS,
        workers=arguments.workers,
    )
    rows = list(read_rows(report / "gate" / "files.csv"))
    text = f"{gates_table(rows, truth)}\n\n{remarks(rows, truth)}"
    fill(arguments.page, "gates", text)
    print(text)


if __name__ == "__main__":
    with one_line_errors():
        main()
