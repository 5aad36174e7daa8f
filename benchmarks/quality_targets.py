"""Targets that ``benchmarks/quality.py`` checks.

Authors
 * The miipher2 authors 2026
"""

import math
import operator

from quality_set import DEGRADED

COMPARE = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


class Differences:
    """Differences between the scores of restored speech and of other systems.

    Missing scores are NaN.

    Arguments
    ---------
    figures : dict
        Mean scores, nested by column, condition and system.
    """

    def __init__(self, figures):
        self.figures = figures

    def value(self, column, condition, system="restored"):
        """Return the mean score of a system."""
        scores = self.figures.get(column, {}).get(condition, {})
        return scores.get(system, math.nan)

    def above(self, column, condition, other):
        """Return the restored score minus the score of another system."""
        return self.value(column, condition) - self.value(
            column, condition, other
        )

    def extreme(self, pick, column, conditions, other):
        """Return the ``min`` or ``max`` of ``above``, with its condition."""
        found = [(self.above(column, c, other), c) for c in conditions]
        return pick([pair for pair in found if math.isnan(pair[0])] or found)


def targets(figures, speed):
    """Return (bound, value, condition if any) of each target by name."""
    scores = Differences(figures)
    value, above, extreme = scores.value, scores.above, scores.extreme
    ovrl_conditions = ("noise", "babble", "reverb", "packet-loss", "mixed")
    lsd_conditions = ("noise", "babble", "band-limit", "codec", "mixed")
    band = value("lsd_above", "band-limit")
    band /= value("lsd_above", "band-limit", "input") or math.nan
    ovrl_names = ", ".join(ovrl_conditions)
    lsd_names = ", ".join(lsd_conditions)
    return {
        "OVRL minus input, mean": (">= 0.45", above("ovrl", "mean", "input")),
        "OVRL minus RNNoise, mean": ("> 0", above("ovrl", "mean", "rnnoise")),
        f"OVRL minus input, lowest of {ovrl_names}": (
            "> 0",
            *extreme(min, "ovrl", ovrl_conditions, "input"),
        ),
        f"OVRL minus RNNoise, lowest of {ovrl_names}": (
            "> 0",
            *extreme(min, "ovrl", ovrl_conditions, "rnnoise"),
        ),
        "OVRL minus input, lowest of all degraded conditions": (
            ">= -0.1",
            *extreme(min, "ovrl", DEGRADED, "input"),
        ),
        "LSD minus input, mean": ("< 0", above("lsd", "mean", "input")),
        f"LSD minus input, highest of {lsd_names}": (
            "< 0",
            *extreme(max, "lsd", lsd_conditions, "input"),
        ),
        "LSD above the cut-off, relative to the input": ("<= 0.6", band),
        "speaker similarity, mean": (">= 0.8", value("speaker", "mean")),
        "CER minus input, mean": ("<= 5", above("cer", "mean", "input")),
        "clean input: PESQ-WB": (">= 2.3", value("pesq_wb", "clean input")),
        "clean input: speaker similarity": (
            ">= 0.85",
            value("speaker", "clean input"),
        ),
        "clean input: CER": ("< 5", value("cer", "clean input")),
        "speed (x real time)": (">= 20", speed.get("speed", math.nan)),
        "seconds to load the model": ("< 3", speed.get("load", math.nan)),
        "GiB of memory": ("< 1.5", speed.get("memory", math.nan)),
    }


def check_targets(figures, speed):
    """Format a table of the targets, the results, and whether they are met."""
    lines = ["| | target | found | met |", "|---|---|---|---|"]
    for name, (target, found, *condition) in targets(figures, speed).items():
        cell, met = "-", "-"
        if math.isfinite(found):
            sign, bound = target.split()
            cell = " ".join([f"{found:.2f}", *(f"({c})" for c in condition)])
            met = "yes" if COMPARE[sign](found, float(bound)) else "**no**"
        lines.append(f"| {name} | {target} | {cell} | {met} |")
    return "\n".join(lines)
