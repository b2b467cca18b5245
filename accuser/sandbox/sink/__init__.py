"""The event sink: the options, the filters and the bytes of the real one.

May import `sandbox.rpc`, `sandbox.programs`, and what is below the sandbox.
"""
