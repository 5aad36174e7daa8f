"""Gate that attenuates the output where the input contains no speech.

Authors
 * The miipher2 authors 2026
"""

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

SMOOTHING = 15  # length of the smoothing filter in frames of 20 ms
# Number of frames by which the gate opens before and closes after detected
# speech, so that no words are cut off
MARGIN = 25
# Log-odds below which the gate is closed, and above which it is open. Between
# these values, it opens linearly.
CLOSED, OPEN = -2.5, -1.0
RESIDUE = 10 ** (-30 / 20)  # gain of the output where the gate is closed


def smooth_log_odds(log_odds):
    """Smooth the log-odds of a window and extend high values in time.

    The filters are shorter than the default overlap of neighbouring windows, so
    processing the windows independently changes the result very little.

    Arguments
    ---------
    log_odds : numpy.ndarray
        Log-odds of speech ``(frames,)`` from ``SpeechPresence``.

    Returns
    -------
    numpy.ndarray
        The smoothed log-odds ``(frames,)``.
    """
    smooth = uniform_filter1d(log_odds, SMOOTHING, mode="nearest")
    return maximum_filter1d(smooth, 2 * MARGIN + 1, mode="nearest")


def speech_gate(log_odds):
    """Return how far the gate is open in each frame of a window.

    Arguments
    ---------
    log_odds : numpy.ndarray
        See ``smooth_log_odds``.

    Returns
    -------
    numpy.ndarray
        ``(frames,)``, from 0 (closed) to 1 (open).

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
    opening = (smooth_log_odds(log_odds) - CLOSED) / (OPEN - CLOSED)
    return np.clip(opening, 0.0, 1.0)
