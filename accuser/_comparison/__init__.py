"""Two recordings aligned, and told apart.

May import `events`, `_recording`, and what they may import.
"""
