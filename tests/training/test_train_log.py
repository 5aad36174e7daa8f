"""Tests of reading and plotting ``train_log.txt``.

Authors
 * The miipher2 authors 2026
"""

import sys

import matplotlib.image
import pytest

from miipher2.training.curves import (
    CurvesLogger,
    draw_curves,
    group_by_panel,
    write_curves,
)
from miipher2.training.train_log import read_train_log


def validation(step, **values):
    parts = ", ".join(f"valid {k}: {v:.4e}" for k, v in values.items())
    return f"step: {step}, lr: 1.0e-04 - train loss: 2.5 - {parts}\n"


@pytest.fixture
def train_log(tmp_path):
    path = tmp_path / "run" / "train_log.txt"
    path.parent.mkdir()
    return path


def steps(path, name):
    return read_train_log(path)[name][0]


def test_a_run_from_an_earlier_step_replaces_later_validations(train_log):
    """Without the latest checkpoint, a run resumes from an earlier step."""
    train_log.write_text(
        "".join(validation(step, loss=step) for step in (5, 10, 15, 20))
        + "".join(validation(step, loss=100 + step) for step in (12, 15, 18))
    )
    assert read_train_log(train_log)["valid loss"] == (
        [5, 10, 12, 15, 18],
        [5, 10, 112, 115, 118],
    )
    with open(train_log, "a") as log:
        log.write(validation(5, loss=3))
    assert read_train_log(train_log)["valid loss"] == ([5], [3])


def test_a_test_line_with_an_earlier_step_replaces_no_validations(train_log):
    train_log.write_text(
        "".join(validation(step, loss=step) for step in (5, 10))
        + "step: 5 - test loss: 4.0\n"
        + validation(15, loss=1)
    )
    assert steps(train_log, "valid loss") == [5, 10, 15]
    assert read_train_log(train_log)["test loss"] == ([5], [4.0])


def test_damaged_lines_and_nan_are_omitted(train_log):
    """A power failure can leave damaged lines in the log."""
    train_log.write_bytes(
        validation(5, loss=1).encode()
        + b"step: 10, lr: 1.0e-04 - train lo\n\0\0\xff\n\n"
        + b"step: 15 - valid loss: nan, valid l1: 2.0\n"
        + b"step: many - valid l1: 1\n"
    )
    curves = read_train_log(train_log)
    assert curves["valid loss"] == ([5], [1.0])
    assert curves["valid l1"] == ([15], [2.0])


def test_statistics_of_all_stages_are_grouped_by_panel():
    names = ["lr", "train loss", "train D_loss", "valid loss", "valid l1"]
    names += ["valid ratio", "valid ratio noise", "valid mel restored"]
    assert list(group_by_panel(names).values()) == [
        ["train loss", "valid loss"],
        ["valid ratio", "valid ratio noise"],
        ["valid mel restored"],
        ["train D_loss", "valid l1"],
        ["lr"],
    ]


def test_every_statistic_is_drawn_with_its_last_value(train_log):
    ratios = {"ratio": 0.75, "ratio noise": 0.5, "ratio reverb": 0.25}
    train_log.write_text(
        validation(5, loss=2, **dict.fromkeys(ratios, 0.9))
        + validation(10, loss=4, **ratios)
        + "step: 5 - test loss: 3.0\n"
    )
    figure = draw_curves(read_train_log(train_log), "run")
    texts = [
        text.get_text()
        for axes in figure.axes
        for text in axes.get_legend().get_texts()
    ]
    assert texts == [
        "valid loss 4 (lowest 2, test 3)",
        "train loss 2.5",
        "mean 0.75",
        "noise 0.5",
        "reverb 0.25",
        "lr 0.0001",
    ]
    noise = figure.axes[1].get_lines()[1]
    assert noise.get_xydata().tolist() == [[5, 0.9], [10, 0.5]]


def test_a_picture_of_few_values_is_written_and_replaced(train_log):
    for line in ("step: 0, lr: 0.0 - valid loss: 0.0\n", validation(3, mel=1)):
        with open(train_log, "a") as log:
            log.write(line)
        write_curves(train_log)
        height, width = matplotlib.image.imread(
            train_log.with_name("curves.png")
        ).shape[:2]
        assert height > 200 and width > 800
    assert sorted(p.name for p in train_log.parent.iterdir()) == [
        "curves.png",
        "train_log.txt",
    ]


@pytest.mark.parametrize("reason", ["pip install matplotlib", "Is a directory"])
def test_a_failure_to_draw_is_logged_once(
    reason, train_log, monkeypatch, caplog
):
    train_log.write_text(validation(5, loss=1))
    if reason == "Is a directory":
        train_log.with_name("curves.png").mkdir()
    else:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    logger = CurvesLogger(str(train_log))
    for _ in range(3):
        logger.log_stats({"step": 5})
    assert caplog.text.count("curves.png is not drawn") == 1
    assert reason in caplog.text


def test_only_the_main_process_draws(train_log, monkeypatch):
    train_log.write_text(validation(5, loss=1))
    monkeypatch.setattr(
        "speechbrain.utils.distributed.if_main_process", lambda: False
    )
    CurvesLogger(str(train_log)).log_stats({"step": 5})
    assert not train_log.with_name("curves.png").exists()
