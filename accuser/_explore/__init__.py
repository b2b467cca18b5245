"""Looks for what can go wrong: whole networks drawn from seeds, each accuser of which is judged.

May import the public names of ``accuser``, and the sandbox, whose nodes and chain it plays with.
"""
