"""Tests of the one-line errors.

Authors
 * The miipher2 authors 2026
"""

import pytest
from torch.utils.data import DataLoader

from miipher2.errors import UserError, one_line_errors


class Unreadable:
    """A dataset whose items raise a ``UserError``."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise UserError("a.wav: cannot be read; repair it")


def exit_of(error, capsys):
    with pytest.raises(SystemExit) as exit_, one_line_errors():
        raise error
    return exit_.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("a.csv: not found"), 2, "error: a.csv: not found\n"),
        (
            PermissionError(13, "Permission denied", "a.wav"),
            2,
            "error: a.wav: Permission denied\n",
        ),
        (OSError("no space"), 2, "error: no space\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_of_the_user_are_one_line(error, code, line, capsys):
    assert exit_of(error, capsys) == (code, line)


def test_error_in_a_data_loader_worker_is_one_line(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        list(DataLoader(Unreadable(), num_workers=1))
    line = capsys.readouterr().err
    assert line == "error: a.wav: cannot be read; repair it\n"


def test_bugs_keep_their_traceback():
    with pytest.raises(KeyError), one_line_errors():
        raise KeyError("bug")
