"""HTTP/1.1 on h11: a client that sees the borders of chunks, and a server.

Where both are in one process, `messages` go between them as values, and not as bytes.

May import the leaves.
"""
