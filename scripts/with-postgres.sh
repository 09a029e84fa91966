#!/usr/bin/env bash
# Runs a command with DATABASE_URL naming a fresh Postgres that has the schema, and removes it afterwards.
#
#   scripts/with-postgres.sh COMMAND...
set -euo pipefail
scripts="$(cd "$(dirname "$0")" && pwd)"
. "$scripts/setup.sh"

bin="$(postgres_bin)" || fail "Postgres is missing; ./run or ./test installs it"
# Short: a socket's path has at most 107 bytes.
folder="$(mktemp -d /tmp/tracedesk-sql.XXXXXX)"

# Postgres refuses to run as root.
as_server() {
    if [ "$(id -u)" = 0 ]; then setpriv --reuid postgres --regid postgres --clear-groups "$@"; else "$@"; fi
}

clean_up() {
    as_server "$bin/pg_ctl" -D "$folder/db" -m immediate stop > /dev/null 2>&1 || true
    rm -rf "$folder"
}

[ "$(id -u)" != 0 ] || chown postgres: "$folder"
trap clean_up EXIT
cd "$folder"
as_server "$bin/initdb" -D "$folder/db" -U tracedesk -A trust -E UTF8 --locale=C --no-sync > "$folder/initdb.log"
as_server "$bin/pg_ctl" -D "$folder/db" -w -l "$folder/log" -o "-c listen_addresses= -c fsync=off -k $folder" start > /dev/null ||
    { cat "$folder/log" >&2 || true; fail "the scratch Postgres did not start"; }
"$bin/createdb" -h "$folder" -U tracedesk tracedesk
for migration in "$scripts"/../migrations/*.sql; do
    "$bin/psql" -h "$folder" -U tracedesk -d tracedesk -X -q -v ON_ERROR_STOP=1 -f "$migration"
done
cd "$OLDPWD"
DATABASE_URL="postgres://tracedesk@localhost/tracedesk?host=$folder" "$@"
