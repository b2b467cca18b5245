"""What users hold: daemons, clients, endpoints, operations and replays.

May import `_engine`, `_comparison`, and what they may import.
"""
