"""The accuser: what it sees in blocks and operations, and what it does about it."""
