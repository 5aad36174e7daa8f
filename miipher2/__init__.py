"""Miipher-2: universal speech restoration as a SpeechBrain recipe.

A frozen self-supervised speech model encodes degraded speech, parallel
adapters clean its features, and a vocoder synthesises the waveform.

Authors
 * The miipher2 authors 2026
"""

__version__ = "0.1.0"
__all__ = ["Restorer"]


def __getattr__(name):
    """Import ``Restorer`` on first use, because it imports torch."""
    if name == "Restorer":
        from miipher2.inference.restorer import Restorer

        return Restorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
