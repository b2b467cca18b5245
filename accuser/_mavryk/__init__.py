"""What the chain defines: protocols, accounts, parameters, the network's file, and the codec.

May import the leaves.
"""
