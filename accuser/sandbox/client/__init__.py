"""The client: wallet, activation, baking, votes, peers, RPC calls.

May import `sandbox.surroundings`, `chain`, `sink`, `cli`, `sandbox.rpc`, and what is below the sandbox.
"""
