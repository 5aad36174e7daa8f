"""Vocoders: from features back to sound.

Authors
 * The miipher2 authors 2026
"""

from miipher2.vocoders.base import Vocoder, build_vocoder
from miipher2.vocoders.hifigan import HiFiGAN

__all__ = ["HiFiGAN", "Vocoder", "build_vocoder"]
