"""What this process owns here: children, directories, ports, and the guardian who clears up after us.

May import `_hosts.host`, `paths`, `proc`, `runs` and `usage`, and what is below `_hosts`.
"""
