"""This machine as a host: processes that are our children, and a FIFO for their events.

May import `_hosts.owner`, `disk`, `search`, `embedded`, and what they may import; no other place.
"""
