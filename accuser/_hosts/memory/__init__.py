"""This process as a host: the sandbox's programs as tasks, over streams in memory.

May import `_hosts.owner` and what that may import; neither `local` nor `ssh`.
"""
