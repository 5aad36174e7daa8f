"""Miipher-2: universal speech restoration as a SpeechBrain recipe.

A frozen self-supervised speech model encodes degraded speech, parallel
adapters map its features to those of clean speech, and a vocoder synthesises
the waveform.

Authors
 * The miipher2 authors 2026
"""

__version__ = "0.1.0"
__all__ = ["Restorer"]


def __getattr__(name):
    """Import ``Restorer``, and with it torch, when it is first used."""
    if name == "Restorer":
        from miipher2.inference.restorer import Restorer

        return Restorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
