"""Vocoders, which synthesise waveforms from features.

``base.py`` has their base class. "Add a vocoder" in CONTRIBUTING.md says how to
add one.

Authors
 * The miipher2 authors 2026
"""
