"""Looks for what can go wrong: whole networks drawn from seeds, each accuser of which is judged.

Its nodes and its chain are the sandbox's. May import the public names of ``accuser``, `_engine`, `sandbox`,
`_recording`, and what they may import; the judge does not know the sandbox's accuser.
"""
