"""The chain, pure: blocks, branches, heads by fitness, mempool, evidence, rights.

May import `_mavryk`; nothing else of the sandbox, and no I/O.
"""
