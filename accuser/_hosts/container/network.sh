# Makes a network of an engine, holds it as long as standard input is open, and removes it, whatever becomes of its owner.
#
# Arguments: the engine, the network's name, and the words that make it. One line tells that it is there.

trap '' HUP INT PIPE TERM
engine=$1
name=$2
shift 2
# A signal may have ended a command that had made it.
"$engine" network create "$@" "$name" >/dev/null </dev/null || { "$engine" network rm "$name" >/dev/null 2>&1 </dev/null; exit 1; }
echo made
cat >/dev/null
exec </dev/null >/dev/null 2>&1
# Containers that are on it end at the same time as a rule, and hold it until then.
tries=100
while :; do
    "$engine" network rm "$name"
    # Whether it is gone is asked: an engine that a signal ends may have removed nothing, whatever its status.
    left=$("$engine" network ls --filter "name=^$name\$" --format '{{.Name}}') && [ -z "$left" ] && exit 0
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || exit 1
    sleep 1
done
