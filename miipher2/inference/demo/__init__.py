"""A web page that restores recordings.

Authors
 * The miipher2 authors 2026
"""
