"""Training curves: plots of the statistics in ``train_log.txt``.

Authors
 * The miipher2 authors 2026
"""

import io
import itertools
from pathlib import Path

from speechbrain.utils.distributed import main_process_only
from speechbrain.utils.logger import get_logger

from miipher2.dataio.atomic import atomic_write
from miipher2.training.loggers import RunLogger
from miipher2.training.train_log import read_train_log

logger = get_logger(__name__)

# For each panel, the title and the first words of its statistics, not counting
# "train", "valid" and "test". All other statistics are loss terms.
PANELS = {
    "Loss": ("loss",),
    "Ratio: valid loss relative to the loss without adapters": ("ratio",),
    "Mel error": ("mel",),
    "Loss terms": (),
    "Learning rate": ("lr",),
}
SPLITS = ("train", "valid", "test")
COLUMNS = 2
PANEL_INCHES = (8.5, 3.4)
FEW_POINTS = 50  # curves with more points have no markers
# Ratio of largest to smallest value above which the y axis is logarithmic
WIDE_RANGE = 8


class CurvesLogger(RunLogger):
    """A logger that plots ``train_log.txt`` as ``curves.png``.

    If matplotlib is missing or the file cannot be written, one warning is
    logged and training continues.

    Arguments
    ---------
    train_log : str
        Path of the log. It must be written before this logger is called.
    """

    def __init__(self, train_log):
        self.train_log = Path(train_log)
        self.warned = False

    @main_process_only
    def log_stats(self, stats_meta, **stats):
        """Plot the complete log."""
        try:
            write_curves(self.train_log)
        except ImportError:
            self._warn("matplotlib is not installed; pip install matplotlib")
        except OSError as error:
            self._warn(error.strerror or error)

    def _warn(self, reason):
        if not self.warned:
            logger.warning(f"curves.png is not drawn: {reason}")
        self.warned = True


def write_curves(train_log):
    """Plot a log as ``curves.png`` in the same folder.

    Arguments
    ---------
    train_log : str or Path
        The log of a run.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    train_log = Path(train_log)
    curves = read_train_log(train_log)
    picture = io.BytesIO()
    draw_curves(curves, train_log.absolute().parent.name).savefig(
        picture, format="png", dpi=100
    )
    with atomic_write(train_log.with_name("curves.png")) as file:
        file.write(picture.getvalue())


def draw_curves(curves, title):
    """Plot the statistics of a run against the optimizer steps.

    Arguments
    ---------
    curves : dict
        Curves as returned by ``read_train_log``.
    title : str
        Name of the run.

    Returns
    -------
    matplotlib.figure.Figure
        A figure with the panels of ``group_by_panel``.
    """
    from matplotlib.figure import Figure

    panels = group_by_panel(curves)
    rows = -(-len(panels) // COLUMNS) or 1
    figure = Figure(
        figsize=(COLUMNS * PANEL_INCHES[0], rows * PANEL_INCHES[1] + 0.4),
        layout="constrained",
    )
    last = max((steps[-1] for steps, _ in curves.values()), default=0)
    figure.suptitle(f"{title}, step {last:,}", fontweight="bold")
    for index, (panel, names) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, COLUMNS, index + 1)
        axes.set_title(panel, loc="left", fontsize="medium")
        _draw_panel(axes, {name: curves[name] for name in names}, last)
    return figure


def group_by_panel(curves):
    """Return the names of the statistics in each panel.

    Example
    -------
    >>> group_by_panel(["lr", "train loss", "valid loss", "valid mel clean"])
    {'Loss': ['train loss', 'valid loss'], 'Mel error': ['valid mel clean'],
    'Learning rate': ['lr']}
    """
    panels = {title: [] for title in PANELS}
    titles = {word: title for title, words in PANELS.items() for word in words}
    for name in curves:
        words = [word for word in name.split() if word not in SPLITS]
        first = words[0] if words else ""
        panels[titles.get(first, "Loss terms")].append(name)
    return {title: names for title, names in panels.items() if names}


def _draw_panel(axes, curves, last):
    """Plot curves; sort the legend by the last value, highest first."""
    from matplotlib.ticker import LogLocator

    lines = [name for name in curves if not name.startswith("test ")]
    colours = _colours(lines)
    for name in sorted(lines, key=lambda name: -curves[name][1][-1]):
        steps, values = curves[name]
        test = curves.get(name.replace("valid", "test", 1), ((), ()))
        style = {"color": colours[name]}
        axes.plot(
            steps,
            values,
            label=_label(name, values, test[1]),
            marker="." if len(steps) <= FEW_POINTS else None,
            **style,
        )
        if name.startswith("valid"):
            axes.scatter(*test, 120, marker="*", edgecolors="black", **style)
    values = [value for _, column in curves.values() for value in column]
    if min(values) > 0 and max(values) > WIDE_RANGE * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    if any("ratio" in name for name in lines):
        axes.axhline(1.0, color="grey", linestyle="--", linewidth=1)
    axes.set_xlim(0, 1.02 * last or 1)
    axes.set_xlabel("step", fontsize="small")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        fontsize="small",
        frameon=False,
    )


def _colours(lines):
    """Return the colour of each curve.

    If there are several curves, the overall ratio is black.
    """
    from matplotlib import colormaps

    palette = colormaps["tab10" if len(lines) <= 10 else "tab20"].colors
    colours = dict(zip(lines, itertools.cycle(palette), strict=False))
    if len(lines) > 1 and "valid ratio" in colours:
        colours["valid ratio"] = "black"
    return colours


def _label(name, values, test):
    """Return the legend entry of a curve.

    It contains the last value and, for validation, the lowest value if it is
    not the last, and the test value.
    """
    notes = []
    if name.startswith("valid"):
        if min(values) < values[-1]:
            notes.append(f"lowest {min(values):.3g}")
        if test:
            notes.append(f"test {test[-1]:.3g}")
    name = {"valid ratio": "mean"}.get(name, name)
    label = f"{name.removeprefix('valid ratio ')} {values[-1]:.3g}"
    return f"{label} ({', '.join(notes)})" if notes else label
