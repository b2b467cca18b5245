"""Hashes, keys and signatures; headers and operations in binary and in JSON.

May import `_mavryk.accounts`, `_mavryk.protocol` and the leaves.
"""
