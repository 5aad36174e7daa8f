"""Tests of level changes.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
import pytest
import torch
from tiny_audio import RATE

from miipher2.dataio.speech_level import active_samples
from miipher2.degrade import Level, generator


@pytest.mark.parametrize("level_db", [-40.0, -26.0])
def test_level_of_active_speech(speech, level_db):
    moved, _ = Level((level_db, level_db))(speech, generator(0))
    active = active_samples(speech.numpy(), RATE)
    power = float(moved[torch.from_numpy(active)].double().square().mean())
    assert 10 * np.log10(power) == pytest.approx(level_db, abs=0.05)
