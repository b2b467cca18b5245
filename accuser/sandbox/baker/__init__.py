"""``mavkit-baker-*`` of the sandbox: a pure automaton (`state`, `quorum`, `schedule`) under a thin shell."""
