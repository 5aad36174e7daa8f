"""Vocoders, which synthesise waveforms from features.

The base class is in ``base.py``; CONTRIBUTING.md explains how to add a vocoder.

Authors
 * The miipher2 authors 2026
"""
