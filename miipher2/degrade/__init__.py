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

import importlib

# The module of each class; imported when the class is first used, so that
# ``miipher2 degrade --help`` starts without torch.
MODULES = {
    "Babble": "noise",
    "Bandwidth": "bandwidth",
    "Calls": "events",
    "Chain": "chain",
    "Clipping": "clipping",
    "Codec": "codec",
    "ColouredNoise": "noise",
    "Degradation": "base",
    "Flutter": "flutter",
    "Hum": "noise",
    "Knocks": "events",
    "Level": "level",
    "Microphone": "microphone",
    "NoSpeech": "no_speech",
    "Noise": "noise",
    "Offset": "microphone",
    "PacketLoss": "packet_loss",
    "Quantisation": "quantisation",
    "Reverb": "reverb",
    "generator": "base",
}
__all__ = list(MODULES)


def __getattr__(name):
    """Return a class, or ``generator``."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"miipher2.degrade.{MODULES[name]}")
    return getattr(module, name)
