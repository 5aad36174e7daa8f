"""Objective metrics of restored speech.

Authors
 * The miipher2 authors 2026
"""
