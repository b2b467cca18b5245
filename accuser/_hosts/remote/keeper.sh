# Keeps one daemon on this machine: makes its event pipe and copies it to standard error, sends
# signals to its group, and stops it when its owner, or the connection, is gone.
#
# The lines before set: token, folder (made here), pipe, workspace (removed if the owner is lost;
# may be empty), grace, patience (seconds).
# Standard input: guard GROUP, ping, signal NAME, stats, release, keep, forget; its end is the loss of the
# owner. Standard output: lines that begin with the token. Standard error: one such line, then the
# events. A POSIX shell and its usual tools do.

group=
released=

say() {
    printf '%s %s\n' "$token" "$*"
}

send() {
    [ -z "$group" ] || kill "-$1" "-$group"
}

make_pipes() {
    # As private as a temporary directory of the other machine.
    umask 077
    # What the tools say goes to the owner, without line ends.
    problem=$(mkdir -m 700 "$folder" 2>&1 && mkfifo -m 600 "$folder/exit" 2>&1) || { say failed folder $problem; exit 1; }
    problem=$(mkdir -p "${pipe%/*}" 2>&1 && mkfifo -m 640 "$pipe" 2>&1) || { say failed pipe $problem; rm -rf "$folder"; exit 1; }
}

finish() {
    trap '' HUP INT PIPE TERM USR1 USR2
    rm -f "$pipe"
    rm -rf "$folder"
    # The timer, its sleep and the copying, and this shell at last.
    kill -KILL "-$$"
}

lose() {
    trap '' HUP INT PIPE TERM USR1 USR2
    send TERM
    send CONT
    while [ -n "$group" ] && [ "$grace" -gt 0 ] && kill -0 "-$group"; do
        sleep 1
        grace=$((grace - 1))
    done
    send KILL
    [ -z "$workspace" ] || rm -rf "$workspace"
    finish
}

end_of_events() {
    # Without the release this shell holds the pipe open: nobody takes what it copies any more.
    [ -n "$released" ] || lose
    send KILL
    finish
}

tell_stats() {
    [ -e /proc/self/stat ] || { say nostats; return; }
    for file in /proc/[0-9]*/stat; do
        read -r line <"$file" || continue
        set -- ${line##*) }
        [ "$3" = "$group" ] && [ "$file" != "/proc/$group/stat" ] || continue
        set -- "${file%/stat}"/fd/*
        say "process $# $line"
    done
    # Busybox has no getconf. Linux tells 100 ticks to every program; the page is that of this shell's memory.
    page=4096
    while read -r key number rest; do
        [ "$key" != KernelPageSize: ] || { page=$((number * 1024)); break; }
    done 2>/dev/null </proc/self/smaps
    say "stats $(getconf CLK_TCK 2>/dev/null || echo 100) $(getconf PAGESIZE 2>/dev/null || echo "$page")"
}

main() {
    keeper=$$
    # An owner that is gone while it is told something must not end this shell: the daemon would go on.
    trap '' PIPE
    kill -0 "-$$" 2>/dev/null || { say failed group; exit 1; }
    make_pipes
    say events >&2
    trap lose USR1 HUP INT TERM
    trap end_of_events USR2
    (
        trap - USR1 USR2 HUP INT TERM
        cat "$pipe" >&2
        kill -USR2 "$keeper"
    ) </dev/null >/dev/null &
    (
        trap - USR1 USR2 HUP INT TERM
        read -r status <"$folder/exit" || status=killed
        say exit "$status"
    ) </dev/null 2>/dev/null &
    exec 6>"$pipe" 2>/dev/null
    start_timer
    say ready
    while read -r word rest; do
        case $word in
        guard) group=$rest && say guarded ;;
        ping) say pong; stop_timer; start_timer ;;
        signal) send "$rest" ;;
        stats) tell_stats ;;
        release) released=yes && exec 6>&- ;;
        keep) workspace= ;;
        forget) send KILL; finish ;;
        esac
    done
    lose
}

main
