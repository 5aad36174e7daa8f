"""Neural networks of the three training stages and of the restorer.

Authors
 * The miipher2 authors 2026
"""
