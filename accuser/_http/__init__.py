"""HTTP/1.1 on h11: a client that sees the borders of chunks, and a server.

May import the leaves.
"""
