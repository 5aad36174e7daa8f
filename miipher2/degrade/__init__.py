"""Damage as it happens in life: the degradation chain and its parts.

Authors
 * The miipher2 authors 2026
"""

from miipher2.degrade.bandwidth import Bandwidth
from miipher2.degrade.base import Degradation, generator
from miipher2.degrade.chain import Chain
from miipher2.degrade.clipping import Clipping
from miipher2.degrade.codec import Codec
from miipher2.degrade.events import Calls, Knocks
from miipher2.degrade.flutter import Flutter
from miipher2.degrade.level import Level
from miipher2.degrade.microphone import Microphone, Offset
from miipher2.degrade.noise import Babble, ColouredNoise, Hum, Noise
from miipher2.degrade.packet_loss import PacketLoss
from miipher2.degrade.quantisation import Quantisation
from miipher2.degrade.reverb import Reverb

__all__ = [
    "Babble",
    "Bandwidth",
    "Calls",
    "Chain",
    "Clipping",
    "Codec",
    "ColouredNoise",
    "Degradation",
    "Flutter",
    "Hum",
    "Knocks",
    "Level",
    "Microphone",
    "Noise",
    "Offset",
    "PacketLoss",
    "Quantisation",
    "Reverb",
    "generator",
]
