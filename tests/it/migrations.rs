//! The schema: it applies to an empty database, and says of every column what it holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tracedesk::clock::new_id;
use tracedesk::db::{self, MIGRATOR};

use crate::cluster::shared_cluster;

/// Columns whose names say all: words of DESIGN.md section 2 and of OTLP, the same wherever they stand. What an enum's
/// values mean stands at its type.
const SELF_EVIDENT: &[&str] = &[
    "id",
    "attempts",
    "body",
    "count",
    "email",
    "failing_service",
    "failing_span_id",
    "failure_fingerprint",
    "failure_message",
    "location",
    "recipient",
    "span_count",
    "status",
];

/// A column as a migration writes it.
struct Column {
    table: String,
    name: String,
    definition: String,
    comment: String,
}

fn sources() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut sources: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    sources.sort();
    sources
}

/// The columns of `CREATE TABLE` and `ADD COLUMN`, one a line as the house writes them.
fn columns() -> Vec<Column> {
    let mut found = Vec::new();
    for (_, text) in sources() {
        let mut table = None;
        let mut above = String::new();
        for line in text.lines() {
            let (code, comment) = line.split_once("--").unwrap_or((line, ""));
            let words: Vec<&str> = code.split_whitespace().collect();
            match (words.as_slice(), &table) {
                (["CREATE", "TABLE", name, ..], _) => table = Some((*name).to_owned()),
                (["ALTER", "TABLE", name, "ADD", "COLUMN", rest @ ..], _) => {
                    found.push(column(name, rest, comment, &above));
                }
                ([], _) | (_, None) => {}
                ([first, ..], Some(_)) if first.starts_with(')') => table = None,
                ([first, ..], Some(_)) if !first.starts_with(char::is_lowercase) => {}
                (words, Some(table)) => found.push(column(table, words, comment, &above)),
            }
            above = if words.is_empty() {
                comment.to_owned()
            } else {
                String::new()
            };
        }
    }
    found
}

fn column(table: &str, words: &[&str], comment: &str, above: &str) -> Column {
    Column {
        table: table.to_owned(),
        name: words[0].to_owned(),
        definition: words[1..].join(" "),
        comment: format!("{above}{comment}").trim().to_owned(),
    }
}

#[test]
fn every_column_says_what_it_holds() {
    let text: String = sources().into_iter().map(|(_, text)| text).collect();
    let mut silent = Vec::new();
    for column in columns() {
        let kind = column.definition.split([' ', ',', '[']).next().unwrap();
        let is_enum = text.contains(&format!("CREATE TYPE {kind} AS ENUM"));
        let is_evident = column.name.ends_with("_at")
            || column.definition.contains("REFERENCES")
            || is_enum
            || SELF_EVIDENT.contains(&column.name.as_str());
        if column.comment.is_empty() && !is_evident {
            silent.push(format!("{}.{}", column.table, column.name));
        }
    }
    assert!(silent.is_empty(), "columns without a comment: {silent:?}");
}

#[test]
fn every_index_says_which_query_it_serves() {
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_index = line.contains("CREATE INDEX") || line.contains("CREATE UNIQUE INDEX");
            let above = lines[..at]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("--") || line.starts_with("CREATE INDEX"));
            if is_index {
                assert!(
                    above.into_iter().any(|line| line.contains("Serves")),
                    "{file}: {line}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_empty_database_gets_the_whole_schema_and_a_second_run_changes_nothing() {
    let name = format!("test_{}", new_id().simple());
    let cluster = shared_cluster();
    let mut maintenance = cluster.connect_options("postgres").connect().await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut maintenance)
        .await
        .unwrap();
    let mut conn = cluster.connect_options(&name).connect().await.unwrap();
    for _ in 0..2 {
        db::migrate(&mut conn).await.unwrap();
        let applied: i64 =
            sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success")
                .fetch_one(&mut conn)
                .await
                .unwrap();
        assert_eq!(usize::try_from(applied).unwrap(), MIGRATOR.iter().count());
        assert_eq!(MIGRATOR.iter().count(), sources().len());
    }

    // What this file reads in the migrations is what the database has.
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.table_name::text, c.column_name::text
         FROM information_schema.columns AS c
         JOIN pg_class AS t ON t.oid = format('%I', c.table_name)::regclass
         WHERE c.table_schema = 'public' AND c.table_name <> '_sqlx_migrations' AND NOT t.relispartition",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let mut there: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in rows {
        there.entry(table).or_default().push(column);
    }
    let mut read: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for column in columns() {
        read.entry(column.table).or_default().push(column.name);
    }
    // Made like another table, so that it has no columns of its own to describe.
    let pinned = there.remove("pinned_parts").unwrap();
    there
        .values_mut()
        .chain(read.values_mut())
        .for_each(|names| names.sort());
    assert_eq!(read, there);
    assert_eq!(pinned.len(), there["trace_parts"].len());
    conn.close().await.unwrap();
}
