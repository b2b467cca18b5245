"""The node: RPC server, streams, peers, store, command line.

May import `sandbox.surroundings`, `chain`, `sink`, `cli`, `sandbox.rpc`, and what is below the sandbox.
"""
