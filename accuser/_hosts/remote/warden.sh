# Holds directories that no keeper holds at the moment, and removes them when their owner, or the
# connection, is gone.
#
# The lines before set: token. Standard input: hold PATH, drop PATH, ping, forget; its end is the loss of the
# owner. Paths have no blanks. Standard output: lines that begin with the token.

main() {
    # Whoever hangs up has done what the end of the input tells.
    trap '' HUP INT TERM PIPE
    held=
    printf '%s ready\n' "$token"
    while read -r word path; do
        rest=
        for one in $held; do
            [ "$one" = "$path" ] || rest="$rest $one"
        done
        held=$rest
        case $word in
        hold) held="$held $path"; printf '%s held %s\n' "$token" "$path" ;;
        forget) exit ;;
        esac
    done
    [ -z "$held" ] || rm -rf -- $held
}

main
