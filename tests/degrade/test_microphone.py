"""Tests of microphone responses and DC offsets.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
from scipy import signal
from tiny_audio import transfer_db, white_noise

from miipher2.degrade import Microphone, Offset, generator


def test_microphone_has_the_drawn_response_and_no_delay():
    source = white_noise(20.0)
    output, drawn = Microphone((6.0, 6.0))(source, generator(0))
    hz, gain_db = transfer_db(output, source)
    points = 62.5 * 2.0 ** np.arange(len(drawn["gains_db"]))
    for point, drawn_db in zip(
        points[1:-1], drawn["gains_db"][1:-1], strict=True
    ):
        assert gain_db[np.abs(hz - point).argmin()] == pytest.approx(
            drawn_db, abs=1
        )
    match = signal.correlate(output.numpy(), source.numpy(), method="fft")
    assert match.argmax() == len(source) - 1


def test_offset_shifts_the_mean(speech):
    signs = set()
    for seed in range(10):
        moved, drawn = Offset((0.05, 0.05))(speech, generator(seed))
        mean = float((moved - speech).mean())
        assert mean == pytest.approx(drawn["offset"], abs=1e-6)
        assert abs(mean) == pytest.approx(0.05, abs=1e-6)
        signs.add(mean > 0)
    assert signs == {True, False}
