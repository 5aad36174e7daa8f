"""Miipher-2: universal speech restoration as a SpeechBrain recipe.

A frozen self-supervised speech model hears degraded speech, parallel adapters
steer its features to those of clean speech, a vocoder speaks them again.
"""

__version__ = "0.1.0"
