"""What a program of the sandbox has around it, as a process or as a task: clock, network, outputs, signals.

May import `sandbox.sink`, `_http`, and what they may import.
"""
