"""Mavryk's binary encoding of RPC values, described once for both directions.

`schema` has the parts that descriptions are made of, `words` the values that Mavryk has everywhere,
`operations`, `blocks` and `reads` the descriptions, and `services` the table of RPCs. A description
turns a JSON value into bytes and back; `frames` adds what is on the wire. Nothing here does I/O.

May import the rest of `_mavryk.codec`, and what that may import.
"""
