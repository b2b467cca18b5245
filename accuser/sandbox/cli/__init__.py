"""Command lines as upstream reads them: global options, commands, usage, errors.

May import `sandbox.rpc`, `sandbox.programs`, and what is below the sandbox.
"""
