#!/bin/sh
# Records `chaperone status --json` where osquery can read it, since osquery starts no programs: a
# SQLite table of one row for the machine and one for each user. Run it as root from a timer.
set -eu

if [ -n "${CHAPERONE-}" ]; then
    set -- "$CHAPERONE"
else
    set -- /usr/local/bin/chaperone /usr/bin/chaperone
fi
for chaperone; do
    [ -x "$chaperone" ] && break
    chaperone=
done
case $(uname) in
    Darwin) folder='/Library/Application Support/Chaperone' ;;
    *) folder=/var/lib/chaperone ;;
esac
folder=${CHAPERONE_STATUS:-$folder}
mkdir -p "$folder"
cd "$folder"
umask 022

if [ -z "$chaperone" ]; then
    echo '{"governed": "not installed"}' >status.json
else
    # Its exit status says what the answer says, too.
    "$chaperone" status --json >status.json 2>/dev/null || true
fi
sqlite3 -bail status.db <<'SQL'
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS status;
CREATE TABLE status (recorded_at, user, governed, sentence, tier, mode, observe_until, revision, age,
    sources, version);
WITH file (told) AS (SELECT CAST(readfile('status.json') AS TEXT)),
machine (told) AS (
    SELECT CASE WHEN json_valid(told) THEN told ELSE '{"governed": "unknown"}' END FROM file
),
part (user, own, told) AS (
    SELECT '', told, told FROM machine
    UNION ALL
    SELECT json_extract(value, '$.user'), value, told FROM machine, json_each(told, '$.users')
)
INSERT INTO status SELECT
    strftime('%s', 'now'),
    user,
    json_extract(own, '$.governed'),
    json_extract(own, '$.sentence'),
    json_extract(told, '$.tier'),
    json_extract(own, '$.mode'),
    json_extract(own, '$.observe_until'),
    json_extract(own, '$.policy.revision'),
    json_extract(own, '$.policy.age'),
    (SELECT group_concat(DISTINCT json_extract(value, '$.status'))
     FROM json_each(own, '$.policy.sources')),
    json_extract(told, '$.version')
FROM part;
COMMIT;
SQL
