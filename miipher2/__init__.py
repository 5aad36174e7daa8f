"""Miipher-2: universal speech restoration as a SpeechBrain recipe.

A frozen self-supervised speech model encodes degraded speech, parallel
adapters map its features to those of clean speech, and a vocoder synthesises
the waveform.

Authors
 * The miipher2 authors 2026
"""

__version__ = "0.1.0"
