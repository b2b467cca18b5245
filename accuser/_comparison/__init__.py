"""Two recordings aligned, and told apart.

May import `events`, `_recording`, `_mavryk`, and what they may import.
"""
