"""How good restored speech is: metrics of many recordings, side by side.

Authors
 * The miipher2 authors 2026
"""
