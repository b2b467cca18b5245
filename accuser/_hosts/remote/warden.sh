# Holds directories that no keeper holds at the moment, and removes them when their owner, or the
# connection, is gone.
#
# The lines before set: token, patience (seconds of silence after which it ends if it holds nothing: a link may
# have gone down).
# Standard input: hold PATH, drop PATH, ping, forget; its end is the loss of the owner. Paths have no
# blanks. Standard output: lines that begin with the token.

start_timer() {
    (
        trap - USR1 HUP INT PIPE
        trap 'kill "$nap"; exit' TERM
        sleep "$patience" &
        nap=$!
        wait "$nap" && kill -USR1 "$warden"
    ) </dev/null >/dev/null 2>&1 &
    timer=$!
}

finish() {
    # The timer and its sleep, and this shell at last.
    kill -KILL "-$$"
}

main() {
    warden=$$
    held=
    # Whoever hangs up has done what the end of the input tells.
    trap '' HUP INT TERM PIPE
    trap '[ -n "$held" ] || finish' USR1
    start_timer
    printf '%s ready\n' "$token"
    while read -r word path; do
        rest=
        for one in $held; do
            [ "$one" = "$path" ] || rest="$rest $one"
        done
        held=$rest
        case $word in
        hold) held="$held $path"; printf '%s held %s\n' "$token" "$path" ;;
        forget) finish ;;
        esac
        kill "$timer"
        start_timer
    done
    [ -z "$held" ] || rm -rf -- $held
    finish
}

main
