"""The Brains of the training stages.

Authors
 * The miipher2 authors 2026
"""

from miipher2.brains.adapters import AdapterBrain
from miipher2.brains.pretraining import PretrainingBrain
from miipher2.brains.restoration import RestorationBrain
from miipher2.brains.vocoder import VocoderBrain

__all__ = [
    "AdapterBrain",
    "PretrainingBrain",
    "RestorationBrain",
    "VocoderBrain",
]
