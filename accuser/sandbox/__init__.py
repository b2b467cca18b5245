"""A small honest chain behind Mavkit's command lines: a node, an accuser and a client.

Start with `accuser.sandbox.__main__`, which tells the executables apart. Imports go one way:
``codec`` (hashes, keys, binary and JSON forms) -> ``chain`` (blocks, branches, mempool, evidence)
-> ``node``; ``sink`` (events), ``cli`` (command lines) and ``rpc`` (requests to a node) serve
``accuser`` and ``client``. What a program finds around it is a ``system.System``: a process of its
own, or a ``task`` over streams in ``memory`` and a ``network`` of them. The packages ``codec`` and
``chain``, and ``accuser.denunciation``, do no I/O.

May import `_http`, `_mavryk`, `_stream` and the leaves.
"""
