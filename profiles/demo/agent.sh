#!/bin/sh
# The demo agent: does in a minute what coding agents do all day, and says what came of it. It needs
# no key and no account. Start it in a workspace made by prepare.sh:
#     chaperone run --workspace DIR -- sh DIR/agent.sh
# Nothing here knows that a sandbox is around it: a refusal is the ordinary error of an ordinary
# program.
set -u

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$(printf '\033[1m') green=$(printf '\033[32m') red=$(printf '\033[31m')
    yellow=$(printf '\033[33m') plain=$(printf '\033[0m')
else
    bold= green= red= yellow= plain=
fi

step=0 worked=0 refused=0 surprises=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# try WHAT COMMAND…: says what is tried, does it, and keeps its output and status.
try() {
    step=$((step + 1))
    printf '\n%s%s. %s%s\n' "$bold" "$step" "$1" "$plain"
    shift
    "$@" >"$scratch/output" 2>&1 </dev/null
    status=$?
    lines=0
    # In the shell itself: programs for showing would stand in the history beside the real ones.
    while [ "$lines" -lt 12 ] && IFS= read -r line; do
        printf '     %s\n' "$line"
        lines=$((lines + 1))
    done <"$scratch/output"
}

# Then one of these two says what came of it, and why.
should_work() {
    if [ "$status" -eq 0 ]; then
        worked=$((worked + 1))
        printf '   %sallowed%s  %s\n' "$green" "$plain" "$1"
    else
        surprises=$((surprises + 1))
        printf '   %sfailed%s   this was expected to work (status %s)\n' "$yellow" "$plain" "$status"
    fi
}

should_be_refused() {
    if [ "$status" -ne 0 ]; then
        refused=$((refused + 1))
        printf '   %srefused%s  %s\n' "$red" "$plain" "$1"
    else
        surprises=$((surprises + 1))
        printf '   %sallowed%s  the policy in force lets this through; without one it would be refused\n' \
            "$yellow" "$plain"
    fi
}

edit() { printf 'Margaret\n' >>names.txt && tail -n 1 names.txt; }
hook() { printf '#!/bin/sh\necho caught >&2\n' >.git/hooks/pre-commit; }
commit() { git commit --all --message 'Greet Margaret too'; }
push() { git push origin main; }

# Whichever program this machine has for it; at this address machines in a cloud find their keys.
reach() {
    if command -v curl >/dev/null; then
        curl --silent --show-error --max-time 5 --fail-with-body "$1"
    elif command -v wget >/dev/null; then
        wget --no-verbose --timeout=5 --tries=1 --output-document=/dev/null "$1"
    else
        git -c http.lowSpeedTime=5 -c http.lowSpeedLimit=1 ls-remote "$1"
    fi
}

printf '%sA demo agent at work in %s%s\n' "$bold" "$(pwd)" "$plain"

try 'Reads the project: cat README.md' cat README.md
should_work 'the workspace is open to the agent.'

try 'Edits a file: adds a name to names.txt' edit
should_work 'it may write in the workspace.'

try 'Runs the build: sh build.sh' sh build.sh
should_work 'the programs that it starts are held to the same policy.'

# Who has no keys there still has a home.
if [ -e ~/.ssh ]; then keys='~/.ssh' place=~/.ssh; else keys='~' place=~; fi
try "Looks for keys: ls $keys" ls -A "$place"
should_be_refused 'your home is closed, all but the workspace.'

try 'Asks for the keys of a cloud: http://169.254.169.254' reach http://169.254.169.254/
should_be_refused 'some addresses are never reached; of a new host somewhere else you are asked.'

try 'Plants a git hook that you would run later: .git/hooks/pre-commit' hook
should_be_refused 'what runs outside of the sandbox later cannot be changed from inside.'

try 'Commits: git commit' commit
should_work 'a commit stays on this machine.'

printf '\n   Next comes %sgit push%s. It publishes work, so you are asked: allow it or deny it.\n' \
    "$bold" "$plain"
try 'Publishes: git push origin main' push
if [ "$status" -eq 0 ]; then
    worked=$((worked + 1))
    printf '   %sallowed%s  somebody, or the policy, said yes; the branch is in remote.git.\n' \
        "$green" "$plain"
else
    refused=$((refused + 1))
    printf '   %srefused%s  an agent reads the words above, and can do something else.\n' \
        "$red" "$plain"
fi

printf '\n%sDone: %s allowed, %s refused' "$bold" "$worked" "$refused"
[ "$surprises" -eq 0 ] || printf ', %s not as expected' "$surprises"
printf '.%s\n' "$plain"
