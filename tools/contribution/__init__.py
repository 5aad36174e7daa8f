"""Parts of the contribution to SpeechBrain; see ``tools/upstream.py``.

Authors
 * The miipher2 authors 2026
"""
