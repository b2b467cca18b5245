"""This machine as a host: processes that are our children, and a FIFO for their events.

May import `_hosts.owner` and what that may import; neither `ssh` nor `memory`.
"""
