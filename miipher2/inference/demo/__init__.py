"""The demo page: restore a recording in the browser.

Authors
 * The miipher2 authors 2026
"""
