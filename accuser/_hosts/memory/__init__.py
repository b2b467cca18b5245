"""This process as a host: the sandbox's programs as tasks, over streams in memory.

May import `_hosts.owner`, `disk`, `toolchain`, and what they may import; no other place.
"""
