# Holds directories that no keeper holds at the moment, and removes them when their owner, or the
# connection, is gone.
#
# The lines before set: token, patience (seconds of silence after which it ends if it holds nothing: a link may
# have gone down).
# Standard input: hold PATH, drop PATH, ping, forget; its end is the loss of the owner. Paths have no
# blanks. Standard output: lines that begin with the token.

finish() {
    # The timer and its sleep, and this shell at last.
    kill -KILL "-$$"
}

leave_alone() {
    rest=
    for one in $held; do
        [ "$one" = "$1" ] || rest="$rest $one"
    done
    held=$rest
}

main() {
    held= woken=
    # Whoever hangs up has done what the end of the input tells.
    trap '' HUP INT TERM PIPE
    trap 'woken=yes; [ -n "$held" ] || finish' USR1
    start_timer
    printf '%s ready\n' "$token"
    while :; do
        if read -r word path; then
            leave_alone "$path"
            stop_timer
            case $word in
            hold) held="$held $path"; printf '%s held %s\n' "$token" "$path" ;;
            forget) finish ;;
            esac
            # However long the owner says nothing: what is held is removed when it is gone, and not before.
            [ -n "$held" ] || start_timer
        elif [ -n "$woken" ]; then
            # No end of the input: in most shells a signal ends `read`.
            woken=
        else
            break
        fi
    done
    [ -z "$held" ] || rm -rf -- $held
    finish
}

main
