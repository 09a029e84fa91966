#!/usr/bin/env bash
# Writes .sqlx anew, by which queries are checked where there is no database. Run it when a query or a migration
# changed, and commit what it wrote. Needs nothing but Postgres's programs.
set -euo pipefail
cd "$(dirname "$0")/.."
new="$PWD/target/sqlx"
rm -rf "$new"
mkdir -p "$new"
touch src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$new" scripts/with-postgres.sh cargo check --locked --all-targets
rm -rf .sqlx
cp -r "$new" .sqlx
git status --short .sqlx
