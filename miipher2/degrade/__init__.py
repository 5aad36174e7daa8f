"""Degradations of clean speech, and the chain that applies them at random.

SpeechBrain's ``speechbrain.augment`` is not used, for these reasons:

- Its classes draw from the global generators of ``random`` and ``torch``. In
  this package, every draw comes from a generator that training seeds with the
  run's seed, the epoch and the utterance ID, so that the audio is the same
  after a resume and with any number of workers.
- Its classes do not return the parameters drawn. The chain returns them and
  the target, which can include the early reflections.
- ``AddNoise`` sets the SNR over all samples of a clip, including pauses; this
  package sets the SNR on active speech. ``AddReverb`` convolves all clips of a
  batch with the same impulse response.
- ``CodecAugment`` supports three codecs (mu-law, MP3, Opus) without a choice of
  bit rate. ``DoClip`` only supports hard clipping, and ``DropBitResolution``
  only supports 16 and 8 bits.
- Microphone responses, hum, flutter, low-pass filters, babble and concealed
  packet loss are not available.

Authors
 * The miipher2 authors 2026
"""

import importlib

# The module of each public name. Modules are imported on first use, so that
# ``miipher2 degrade --help`` does not import torch.
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
    """Import the module of a public name, and return the class or function."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"miipher2.degrade.{MODULES[name]}")
    return getattr(module, name)
