"""``mavkit-baker-*`` of the sandbox: a pure automaton (`state`, `quorum`, `schedule`) under a thin shell.

May import all of the sandbox but `forks`, and what is below the sandbox.
"""
