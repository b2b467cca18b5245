"""The client: wallet, activation, baking, votes, peers, RPC calls."""
