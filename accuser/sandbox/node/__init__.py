"""The node: RPC server, streams, peers, store, command line."""
