"""The accuser: what it sees in blocks and operations, and what it does about it.

May import `sandbox.surroundings`, `sink`, `cli`, `rpc`, and what is below the sandbox;
neither `chain`, `node` nor `client`.
"""
