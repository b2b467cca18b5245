"""A small honest chain behind Mavkit's command lines: a node, an accuser, a baker and a client.

Start with `accuser.sandbox.__main__`, which tells the executables apart. `chain` has blocks, branches,
mempool and evidence, without I/O; `node` serves it. `sink` writes events, `cli` reads command lines,
`rpc` asks a node. What a program finds around it is in `surroundings`: it is a process of its own, or
a task over streams in memory.

May import `_http`, `_mavryk`, `_stream` and the leaves.
"""
