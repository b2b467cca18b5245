# Runs a daemon in the process group of this shell, which the server made for it, and tells its exit
# status to the keeper. Standard input, output and error become the daemon's.
#
# The lines before set: token, folder (the keeper's), oom_score (how much sooner than others the daemon is to be
# killed when memory runs out; may be empty), the environment, and the command as arguments.
# Standard input: one line when the group is guarded; then nothing more.

main() {
    # Signals go to the whole group; this shell has to survive them to tell the status.
    trap '' HUP INT QUIT ABRT ALRM TERM USR1 USR2 PIPE PROF SYS TRAP VTALRM XCPU XFSZ
    exec 3<&0 5>&2 2>/dev/null
    command -v "$1" >/dev/null || { printf '%s missing\n' "$token"; exit 127; }
    kill -0 "-$$" || { printf '%s nogroup\n' "$token"; exit 1; }
    # From here on standard error is the daemon's.
    printf '%s begin\n' "$token" >&5
    printf '%s group %s\n' "$token" "$$"
    read -r word || exit 1
    exec 4>"$folder/exit"
    (
        trap - HUP INT QUIT ABRT ALRM TERM USR1 USR2 PIPE PROF SYS TRAP VTALRM XCPU XFSZ
        exec 4>&-
        [ -z "$oom_score" ] || echo "$oom_score" 2>/dev/null >/proc/self/oom_score_adj
        exec sh -c 'printf "%s pid %s\n" "$0" "$$"; exec "$@"' "$token" "$@"
    ) <&3 3<&- 2>&5 5>&-
    printf '%s\n' "$?" >&4
}

# In one line: some shells read no further than they must, and what runs reads standard input too.
main "$@"; exit
