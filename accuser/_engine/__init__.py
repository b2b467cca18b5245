"""One run of a daemon: session, transcript, readiness, waits, exits, and when it is run again.

May import `_hosts`, `_recording`, `events`, and what they may import.
"""
