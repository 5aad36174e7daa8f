"""Restoration of clips in memory.

Authors
 * The miipher2 authors 2026
"""

import io
import itertools

import numpy as np

from miipher2.inference.batching import Engine
from miipher2.inference.recording import Recording
from miipher2.inference.writing import RestoredChannel, final_blocks


def restore_clips(restorer, clips, rate):
    """Restore clips of any length in batches.

    Arguments
    ---------
    restorer : miipher2.inference.restorer.Restorer
        The model.
    clips : list of numpy.ndarray
        ``(time,)`` float32.
    rate : int
        Sample rate of the clips in Hz.

    Yields
    ------
    numpy.ndarray
        A restored clip ``(time,)``, float32 at the model's output rate. Clips
        are yielded in input order.
    """
    recordings = {
        index: Recording.from_samples(
            clip, restorer.input_rate, restorer.input_level, rate
        )
        for index, clip in enumerate(clips)
        if len(clip)
    }
    restored = {
        index: RestoredChannel(
            recording, 0, restorer, restorer.sample_rate, io.BytesIO()
        )
        for index, recording in recordings.items()
    }
    windows = itertools.chain.from_iterable(
        recording.windows(restorer.plan, owner=index)
        for index, recording in recordings.items()
    )
    total_seconds = sum(map(len, clips)) / rate
    engine = Engine(restorer, total_seconds=total_seconds)
    for window, wav in engine.run(windows):
        restored[window.owner].add(window, wav)
    for index in range(len(clips)):
        if index not in restored:  # an empty clip
            yield np.zeros(0, dtype=np.float32)
            continue
        blocks, _ = final_blocks(
            [restored[index]], "input", restorer.sample_rate
        )
        yield np.concatenate(list(blocks))[:, 0]
