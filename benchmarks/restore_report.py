"""Tables of ``benchmarks/restore.py``.

Authors
 * The miipher2 authors 2026
"""

from timing import format_memory, format_range, markdown

SPEED_HEADER = (
    "model",
    "system",
    "load, s",
    "speed, clips",
    "speed, long",
    "CPU s per s",
    "GiB, clips",
    "GiB, long",
    "speed-up",
)
PART_HEADER = (
    "model",
    "system",
    "part",
    "ms per s",
    "share, %",
    "GFLOP per s",
    "GFLOP/s",
    "of the limit, %",
)
DIFFERENCE_HEADER = (
    "model",
    "system",
    "dB, up to 20 s",
    "dB, longer",
    "PESQ-WB",
)
TARGET_HEADER = ("speed-up, clips", "target", "found", "met")


def report(results, arguments):
    """Format the results.

    Arguments
    ---------
    results : dict
        Measurements that ``restore.run`` returns.
    arguments : argparse.Namespace
        Parsed command line.

    Returns
    -------
    str
        The report as Markdown.
    """
    gpu = arguments.device != "cpu"
    target = 8 if gpu else 4
    speeds, parts, differences, targets = [], [], [], []
    for name, systems in results["models"].items():
        baseline, *others = (s["clips"]["median"] for s in systems.values())
        for title, figures in systems.items():
            speeds.append([name, title, *speed_cells(figures, baseline)])
            parts += part_rows(name, title, figures)
            if "difference" in figures:
                cells = difference_cells(figures["difference"])
                differences.append([name, title, *cells])
        best = max(others) / baseline
        met = "yes" if best >= target else "**no**"
        targets.append([name, f">= {target}", best, met])
    blocks = [
        f"{results['machine']}, {arguments.device}. {arguments.clips} clips of "
        f"2 to 40 s ({results['seconds']:.0f} s), median of "
        f"{arguments.repeats} passes; one recording of "
        f"{arguments.long_seconds:.0f} s (reference: "
        f"{results['reference_seconds']:.0f} s). Speed: seconds of audio per "
        f"second. Memory: peak resident{' + GPU' if gpu else ''} memory.",
        markdown(SPEED_HEADER, speeds),
        "Time of each part of the model per second of audio, on the clips. The "
        "limit is the speed of a large matrix product in the same precision.",
        markdown(PART_HEADER, parts),
        "Difference between the outputs of the engine and the reference at the "
        "same level: median signal-to-difference ratio of the clips, and mean "
        "(lowest) PESQ.",
        markdown(DIFFERENCE_HEADER, differences),
        markdown(TARGET_HEADER, targets),
    ]
    return "\n\n".join(blocks) + "\n"


def speed_cells(figures, baseline):
    """Return the cells of ``SPEED_HEADER`` after the first two."""
    return [
        figures["load"],
        format_range(figures["clips"]),
        figures.get("long", figures.get("failed")),
        figures["cpu seconds"],
        format_memory(figures["peak"]),
        format_memory(figures.get("peak long")),
        figures["clips"]["median"] / baseline,
    ]


def part_rows(name, title, figures):
    """Return the rows of one system in the table of parts."""
    if "limit" not in figures:  # stopped or failed before all measurements
        return []
    parts, limit, rows = figures["parts"], figures["limit"], []
    total = sum(parts.values())
    gflop = {**figures["gflop"], "all": sum(figures["gflop"].values())}
    for part, seconds in {**parts, "all": total}.items():
        count = gflop.get(part)
        rate = count and count / seconds
        rows.append(
            [
                name,
                title,
                part,
                1000 * seconds,
                100 * seconds / total,
                count,
                rate,
                rate and 100 * rate / limit,
            ]
        )
    least = 1000 * gflop["all"] / limit
    rows.append([name, title, "limit", least, None, gflop["all"], limit, 100.0])
    return rows


def difference_cells(difference):
    """Return the cells of ``DIFFERENCE_HEADER`` after the first two."""
    score = difference.get("pesq")
    return [
        difference.get("one window"),
        difference.get("several windows"),
        score and f"{score[0]:.2f} ({score[1]:.2f})",
    ]
