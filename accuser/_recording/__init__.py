"""Recordings: their entries, written and read here alone.

May import `_stream` and the leaves.
"""
