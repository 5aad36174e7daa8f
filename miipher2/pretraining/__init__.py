"""Stage 0: pretraining a backbone of one's own.

Authors
 * The miipher2 authors 2026
"""

from miipher2.pretraining.model import MaskedPrediction, export_backbone
from miipher2.pretraining.targets import RandomTargets, SpectralTargets

__all__ = [
    "MaskedPrediction",
    "RandomTargets",
    "SpectralTargets",
    "export_backbone",
]
