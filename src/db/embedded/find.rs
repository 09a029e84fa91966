//! Finds the server binaries on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::error::EmbeddedError;

/// The oldest major version that tracedesk runs on (DESIGN.md section 3, `DATABASE_URL`).
pub(super) const OLDEST_MAJOR: u32 = 15;

/// Where distributions put server binaries outside `PATH`; a `*` stands for a part of one name.
const USUAL_PLACES: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
    "/usr/pgsql-*/bin",                                   // Fedora, RHEL (PGDG)
    "/usr/libexec/postgresql*",                           // Alpine
    "/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew, Apple silicon
    "/usr/local/opt/postgresql@*/bin",                    // Homebrew, Intel
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew, Linux
    "/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
    "/usr/local/pgsql/bin",                               // built from source
];

/// A directory with `initdb` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    /// The directory, as it was found.
    directory: PathBuf,
    /// The major version, e.g. 15.
    major: u32,
}

impl Binaries {
    /// Path of `initdb`.
    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    /// Path of `postgres`.
    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    /// The major version, e.g. 15.
    pub(super) fn major(&self) -> u32 {
        self.major
    }

    /// What is in `directory`, if it is both programs and `postgres` runs.
    async fn probe(directory: PathBuf) -> Option<Self> {
        if !directory.join("initdb").is_file() || !directory.join("postgres").is_file() {
            return None;
        }
        let version = output_of(&directory.join("postgres"), "--version").await?;
        let major = parse_major(&version)?;
        Some(Self { directory, major })
    }
}

/// The binaries for `cluster`, the folder and major version of an existing database: exactly that version's; or for a
/// new one, the newest. `pg_bin` (`TRACEDESK_PG_BIN`) ends the search.
pub(super) async fn find(
    pg_bin: Option<&Path>,
    cluster: Option<(&Path, u32)>,
) -> Result<Binaries, EmbeddedError> {
    if let Some(directory) = pg_bin {
        let only = Binaries::probe(directory.to_path_buf())
            .await
            .ok_or_else(|| EmbeddedError::NotBinaries(directory.to_path_buf()))?;
        return choose(vec![only], cluster);
    }
    let mut found = Vec::new();
    for directory in likely_places().await {
        found.extend(Binaries::probe(directory).await);
    }
    choose(found, cluster)
}

/// Picks from what is installed; among equals, the first.
fn choose(found: Vec<Binaries>, cluster: Option<(&Path, u32)>) -> Result<Binaries, EmbeddedError> {
    let mut majors: Vec<u32> = found.iter().map(|binaries| binaries.major).collect();
    majors.sort_unstable();
    majors.dedup();
    let newest = *majors.last().ok_or(EmbeddedError::NoServer)?;
    let wanted = cluster.map_or(newest, |(_, major)| major);
    if cluster.is_none() && newest < OLDEST_MAJOR {
        return Err(EmbeddedError::TooOld { found: newest });
    }
    let chosen = found.into_iter().find(|binaries| binaries.major == wanted);
    chosen.ok_or_else(|| EmbeddedError::OtherMajor {
        folder: cluster.map_or_else(PathBuf::new, |(folder, _)| folder.to_path_buf()),
        cluster: wanted,
        found: majors
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(" and "),
    })
}

/// What `pg_config` says, `PATH`, then the distributions' places.
async fn likely_places() -> Vec<PathBuf> {
    let configured = output_of(Path::new("pg_config"), "--bindir").await;
    let path = env::var_os("PATH").unwrap_or_default();
    configured
        .map(|line| PathBuf::from(line.trim()))
        .into_iter()
        .chain(env::split_paths(&path))
        .chain(USUAL_PLACES.iter().flat_map(|pattern| expand(pattern)))
        .collect()
}

/// The directories that match a pattern with at most one `*`; in no particular order.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or((".", before));
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

/// What a program prints for one argument, if it is there and succeeds.
async fn output_of(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().await.ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian ...)`, `17beta1` or a `PG_VERSION` file.
pub(super) fn parse_major(text: &str) -> Option<u32> {
    let word = text
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let digits = word
        .find(|letter: char| !letter.is_ascii_digit())
        .map_or(word, |end| &word[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(majors: &[u32]) -> Vec<Binaries> {
        majors
            .iter()
            .map(|&major| Binaries {
                directory: PathBuf::from(format!("/pg/{major}")),
                major,
            })
            .collect()
    }

    #[test]
    fn the_major_version_is_read_from_what_postgres_prints() {
        let table = [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
                Some(15),
            ),
            ("postgres (PostgreSQL) 17beta1", Some(17)),
            ("postgres (PostgreSQL) 18devel", Some(18)),
            ("15\n", Some(15)),
            ("9.6", Some(9)),
            ("postgres (PostgreSQL)", None),
            ("", None),
        ];
        for (text, major) in table {
            assert_eq!(parse_major(text), major, "{text}");
        }
    }

    #[test]
    fn a_new_database_takes_the_newest_and_an_old_one_its_own() {
        let folder = Path::new("/data/postgres");
        let chosen = choose(installed(&[15, 17, 16]), None).unwrap();
        assert_eq!(chosen.major, 17);
        let chosen = choose(installed(&[15, 17, 16]), Some((folder, 16))).unwrap();
        assert_eq!(chosen.major, 16);
    }

    #[test]
    fn what_does_not_fit_is_said_with_both_versions() {
        let folder = Path::new("/data/postgres");
        let refusal = choose(installed(&[17, 15, 15]), Some((folder, 16))).unwrap_err();
        let text = refusal.to_string();
        assert!(text.contains("PostgreSQL 16"), "{text}");
        assert!(text.contains("only PostgreSQL 15 and 17"), "{text}");
        assert!(text.contains("pg_upgrade"), "{text}");

        let refusal = choose(installed(&[13, 14]), None).unwrap_err();
        assert!(matches!(refusal, EmbeddedError::TooOld { found: 14 }));
        let refusal = choose(Vec::new(), None).unwrap_err();
        assert!(refusal.to_string().contains("apt-get install postgresql"));
    }

    #[test]
    fn a_star_stands_for_part_of_a_name() {
        let root = tempfile::tempdir().unwrap();
        for name in ["pgsql-15", "pgsql-16", "other"] {
            fs::create_dir_all(root.path().join(name).join("bin")).unwrap();
        }
        let pattern = format!("{}/pgsql-*/bin", root.path().display());
        let mut places = expand(&pattern);
        places.sort();
        assert_eq!(
            places,
            [
                root.path().join("pgsql-15/bin"),
                root.path().join("pgsql-16/bin")
            ]
        );
        assert!(expand("/nowhere/at-all-*/bin").is_empty());
    }
}
