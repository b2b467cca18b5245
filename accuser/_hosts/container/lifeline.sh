# Runs a container as long as standard input is open, and removes it, whatever becomes of its owner.
#
# Arguments: the engine, the container's name, a folder, and the words that run it. What the engine says, and at last
# how the container ended, goes to standard error.

# Whoever signals all processes of the owner, as at a shutdown, means the container, too; its removal is still to come.
trap '' HUP INT PIPE TERM
engine=$1
name=$2
# Seconds in which a container that hears of the end of its input ends; one that is paused hears of nothing.
patience=5
# Where memory was lacking, the engine's monitor leaves a file in its working directory.
cd "$3" || cd /
shift 3

# A signal to all processes here ends the command of an engine that heeds it, as podman does: then it is tried again.
remove() {
    tries=20
    until "$engine" rm --force --volumes "$name"; do
        "$engine" inspect --type container "$name" || return
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return
        sleep 1
    done
}

copy() {
    exec 2>/dev/null
    copier=
    nap=
    trap 'kill -KILL $copier $nap; exit' USR1
    cat <&3 3<&- &
    copier=$!
    exec 3<&-
    sh -c 'echo "$PPID"'
    exec >/dev/null
    wait "$copier"
    copier=
    sleep "$patience" &
    nap=$!
    wait "$nap"
    nap=
    exec </dev/null
    remove
}

run() {
    read -r copying
    "$@"
    status=$?
    kill -USR1 "$copying" 2>/dev/null
    exec >&2 </dev/null
    form='container ended: oom={{.State.OOMKilled}} status={{.State.ExitCode}} {{.State.Error}}'
    "$engine" inspect --type container --format "$form" "$name" || echo "$engine run: status $status"
    exec >/dev/null 2>&1
    remove
}

exec 3<&0
copy | run "$@" 3<&- &
exec 3<&- </dev/null >/dev/null 2>&1
wait
