# Process 1 of a container: starts shells there, and ends with its standard input, which its owner alone
# holds open. The container, and all in it, ends with this process.
#
# The first argument is the token. Standard input: shell FOLDER, which has the named pipes in, out and err.
# Standard output: lines that begin with the token. A POSIX shell does.

token=$1

say() {
    printf '%s %s\n' "$token" "$*"
}

tell_executables() {
    IFS=:
    set -- $PATH /usr/local/bin
    unset IFS
    for folder; do
        for file in "$folder"/mavkit-* "$folder"/mavryk-*; do
            [ -f "$file" ] && [ -x "$file" ] && say executable "$file"
        done
    done
}

start() {
    # Read and write first: who opens one end alone waits for the other one, which may be gone. In a subshell,
    # so that process 1 is the parent that collects it.
    (setsid sh -s <&4 4<&- &) 5<>"$1/in" 4<"$1/in" 5<&- 5<>"$1/out" >"$1/out" 5<&- 5<>"$1/err" 2>"$1/err" 5<&-
}

serve() {
    while read -r word folder; do
        case $word in
        shell) if start "$folder"; then say started "$folder"; else say failed "$folder"; fi ;;
        esac
    done
}

trap 'exit 0' HUP INT TERM
while read -r field user rest; do
    [ "$field" = Uid: ] && say user "$user"
done 2>/dev/null </proc/self/status
tell_executables
command -v setsid >/dev/null && say setsid
exec 3<&0
serve <&3 3<&- &
say ready
# Collects whatever has lost its parent, too.
wait "$!"
