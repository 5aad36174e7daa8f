"""Degradations of clean speech, and the chain that draws from them.

SpeechBrain's ``speechbrain.augment`` is not used:

- Its classes draw from the global generators of ``random`` and ``torch``.
  Here every draw comes from a generator seeded with the run's seed, the epoch
  and the utterance ID, so that the audio is the same after a resume and with
  any number of workers.
- They return the audio only. The chain also returns the parameters drawn and,
  for reverberation, a target with the early reflections.
- ``AddNoise`` sets the SNR over all samples of a clip, pauses included; here
  it is the SNR on active speech. ``AddReverb`` convolves all clips of a batch
  with one room.
- ``CodecAugment`` has three codecs (mu-law, MP3, Opus), no choice of bit rate,
  and does not remove MP3's delay. ``DoClip`` only clips hard and
  ``DropBitResolution`` only supports 16 and 8 bits.
- Microphone responses, hum, flutter, low-pass filters, babble and concealed
  packet loss are missing.

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
from miipher2.degrade.no_speech import NoSpeech
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
    "NoSpeech",
    "Noise",
    "Offset",
    "PacketLoss",
    "Quantisation",
    "Reverb",
    "generator",
]
