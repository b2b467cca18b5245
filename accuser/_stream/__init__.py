"""Bytes of an event pipe into events, history and watches. No I/O; `history` parks trio's tasks.

Nothing else here knows trio. May import the leaves (`_errors`, `_report`, ...) alone.
"""
