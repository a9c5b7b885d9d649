#!/bin/sh
# Jamf Pro extension attribute of data type String: how coding agents are governed on this Mac,
# from `chaperone status --json`. Jamf runs it as root, so it answers for everybody on the Mac.
set -u

if [ -n "${CHAPERONE-}" ]; then
    set -- "$CHAPERONE"
else
    set -- /usr/local/bin/chaperone /usr/bin/chaperone
fi
for chaperone; do
    [ -x "$chaperone" ] && break
    chaperone=
done

result() {
    printf '<result>%s</result>\n' "$(printf '%s' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g')"
    exit 0
}

[ -n "$chaperone" ] || result 'not installed'
status=$("$chaperone" status --json 2>/dev/null)

# The strings of a key at a depth: a Mac has no reader for JSON, and the command promises to print
# one key a line, two spaces deeper for each level.
strings() {
    printf '%s\n' "$status" | sed -n "s/^ \{$1\}\"$2\": \"\(.*\)\",\{0,1\}\$/\1/p"
}

governed=$(strings 2 governed)
[ -n "$governed" ] || result 'unknown: chaperone status gave no answer'
revision=$(strings 4 revision)
# Of every source of policy that is not simply present, the status.
sources=$(strings 8 status | grep -vx present | sort -u | paste -s -d , -)
result "governed=$governed; mode=$(strings 2 mode); tier=$(strings 2 tier); \
revision=${revision:-none}; sources=${sources:-ok}; version=$(strings 2 version)"
