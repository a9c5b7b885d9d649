#!/bin/sh
# Intune custom compliance on Linux, discovery script: the settings that compliance-rules.json
# judges, as one JSON object, from `chaperone status --json`.
set -u

chaperone=${CHAPERONE:-/usr/bin/chaperone}
answer() {
    printf '{"Governed":"%s","Mode":"%s","Sources":"%s","Revision":"%s","Version":"%s"}\n' "$@"
    exit 0
}

[ -x "$chaperone" ] || answer 'not installed' none none none 0.0.0
status=$("$chaperone" status --json 2>/dev/null)

# The strings of a key at a depth, still escaped as JSON: the command promises to print one key a
# line, two spaces deeper for each level.
strings() {
    printf '%s\n' "$status" | sed -n "s/^ \{$1\}\"$2\": \"\(.*\)\",\{0,1\}\$/\1/p"
}

governed=$(strings 2 governed)
[ -n "$governed" ] || answer unknown none none none 0.0.0
revision=$(strings 4 revision)
every=$(strings 8 status)
bad=$(printf '%s\n' "$every" | grep -vx present | sort -u | paste -s -d , -)
if [ -z "$every" ]; then
    sources=none
else
    sources=${bad:-present}
fi
answer "$governed" "$(strings 2 mode)" "$sources" "${revision:-none}" "$(strings 2 version)"
