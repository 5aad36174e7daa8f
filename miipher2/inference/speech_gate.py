"""Gate that attenuates the output where the input contains no speech.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

# Numbers of frames of 20 ms. A frame counts as speech if speech is detected
# within half a second of it, so that no words are lost.
SMOOTHING = 15
HANGOVER = 25
# Log-odds below which the gate is closed, and above which it is open. In
# between the gain is linear.
CLOSED, OPEN = -2.5, -1.0
RESIDUE = 10 ** (-30 / 20)  # gain of the output where the gate is closed


def speech_gate(log_odds):
    """Return the opening of the gate in each frame of a window.

    The overlap of neighbouring windows is longer than the filters, so that
    windows can be processed independently.

    Arguments
    ---------
    log_odds : numpy.ndarray
        Log-odds of speech ``(frames,)``, see ``SpeechPresence``.

    Returns
    -------
    numpy.ndarray
        ``(frames,)`` from 0 (closed) to 1 (open).

    Example
    -------
    >>> log_odds = np.full(500, -6.0)
    >>> log_odds[200:300] = 4.0
    >>> gate = speech_gate(log_odds)
    >>> np.flatnonzero(gate == 1)[[0, -1]].tolist()
    [175, 324]
    >>> bool(gate[:160].any() or gate[340:].any())
    False
    """
    smooth = uniform_filter1d(log_odds, SMOOTHING, mode="nearest")
    highest = maximum_filter1d(smooth, 2 * HANGOVER + 1, mode="nearest")
    return np.clip((highest - CLOSED) / (OPEN - CLOSED), 0.0, 1.0)
