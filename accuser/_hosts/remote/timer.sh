# The timer of the keeper and the warden, whose scripts follow: it signals USR1 to this shell after $patience seconds.
# A half-open connection shows itself by silence alone.

nap=

start_timer() {
    # It is the sleep that is killed: a shell that has just been forked may still take a signal for one of this
    # shell's, and forget it. The keeper's end of the event pipe, which is 6, must not stay open in it.
    nap=$(
        (
            sleep "$patience" >/dev/null &
            printf '%s\n' "$!"
            exec >/dev/null
            wait "$!" && kill -USR1 "$$"
        ) </dev/null 2>/dev/null 6>&- &
    )
}

stop_timer() {
    # Once: its number may be another's afterwards.
    [ -z "$nap" ] || kill -KILL "$nap" 2>/dev/null
    nap=
}

