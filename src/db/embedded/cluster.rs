//! The cluster in a data folder: where it is, how it is created, how its server comes up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::info;

use super::Options;
use super::account::Account;
use super::error::EmbeddedError;
use super::find::{Binaries, find};
use super::folder::{DATABASE, Folder, USER};
use super::server::{Server, last_lines, probe, stop_leftover};

/// The first major version with a locale of its own that is the same on every system.
const BUILTIN_LOCALE_MAJOR: u32 = 17;
/// Which characters are letters, by the system's own rules: `C.UTF-8` where it exists, and macOS's name for it.
const CHARACTER_TYPE: &str = if cfg!(target_os = "macos") {
    "UTF-8"
} else {
    "C.UTF-8"
};

/// A place for a cluster, which need not exist yet.
#[derive(Debug)]
pub(super) struct Cluster {
    options: Options,
    /// `DATA_DIR/postgres`, absolute.
    path: PathBuf,
    scratch: PathBuf,
    lock: PathBuf,
    log: PathBuf,
}

impl Cluster {
    /// Makes the data folder if it is missing and names what belongs in it.
    pub(super) fn locate(data_dir: &Path, options: Options) -> Result<Self, EmbeddedError> {
        fs::create_dir_all(data_dir).map_err(EmbeddedError::io("create", data_dir))?;
        let data_dir = fs::canonicalize(data_dir).map_err(EmbeddedError::io("find", data_dir))?;
        Ok(Self {
            options,
            path: data_dir.join("postgres"),
            scratch: data_dir.join("postgres.new"),
            lock: data_dir.join("postgres.lock"),
            log: data_dir.join("postgres.log"),
        })
    }

    pub(super) fn lock_path(&self) -> &Path {
        &self.lock
    }

    pub(super) fn patience(&self) -> Duration {
        self.options.patience
    }

    /// The folder, which the owner has created by now.
    pub(super) fn existing_folder(&self) -> Result<Folder, EmbeddedError> {
        self.folder()?
            .ok_or_else(|| EmbeddedError::NotACluster(self.path.clone()))
    }

    /// Whether the server of another process takes connections; if not, why not.
    pub(super) async fn probe(&self) -> Result<Option<String>, EmbeddedError> {
        let Some(folder) = self.folder()? else {
            return Ok(Some(format!("{} does not exist yet", self.path.display())));
        };
        Ok(probe(&folder, DATABASE)
            .await
            .err()
            .map(|error| error.to_string()))
    }

    /// Starts the server, on a new cluster if there is none. Only for the holder of the lock.
    pub(super) async fn bring_up(&self) -> Result<Server, EmbeddedError> {
        remove(&self.scratch)?;
        let pg_bin = self.options.pg_bin.as_deref();
        let (folder, binaries) = if let Some(folder) = self.folder()? {
            let binaries = find(pg_bin, Some((&self.path, folder.major()?))).await?;
            stop_leftover(&folder).await?;
            (folder, binaries)
        } else {
            let binaries = find(pg_bin, None).await?;
            (self.create(&binaries).await?, binaries)
        };
        Server::start(&folder, &binaries, &self.options, &self.log).await
    }

    fn folder(&self) -> Result<Option<Folder>, EmbeddedError> {
        Folder::open(&self.path, Account::choose(&self.path)?)
    }

    /// Creates the cluster beside its place and moves it there when it is whole.
    async fn create(&self, binaries: &Binaries) -> Result<Folder, EmbeddedError> {
        info!(
            db.version = binaries.major(),
            "creating the embedded database in {}",
            self.path.display()
        );
        let mut folder = Folder::create(&self.scratch, Account::choose(&self.path)?)?;
        let program = binaries.initdb();
        let output = folder
            .command(&program)
            .args(initdb_arguments(binaries.major()))
            .kill_on_drop(true)
            .output()
            .await
            .map_err(EmbeddedError::io("run", program))?;
        if !output.status.success() {
            remove(&self.scratch)?;
            return Err(EmbeddedError::InitDb {
                folder: self.path.clone(),
                output: last_lines(&output.stderr),
            });
        }
        folder.rename(&self.path)?;
        Ok(folder)
    }
}

/// Checksums, UTF-8, and an order of text that no update of the system's libraries can change under an index.
/// Connections over the folder's socket are trusted, since only its owner can come in; there are no others.
fn initdb_arguments(major: u32) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--data-checksums",
        "--encoding=UTF8",
        "--locale=C",
        "--text-search-config=english",
        "--auth-local=trust",
        "--auth-host=reject",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--lc-ctype={CHARACTER_TYPE}"));
    arguments.push(format!("--username={USER}"));
    if major >= BUILTIN_LOCALE_MAJOR {
        arguments.push("--locale-provider=builtin".to_owned());
        arguments.push("--builtin-locale=C.UTF-8".to_owned());
    }
    arguments
}

/// Removes a folder with all that is in it, if it exists. A symbolic link is removed, not followed.
fn remove(path: &Path) -> Result<(), EmbeddedError> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let result = if is_link {
        fs::remove_file(path)
    } else {
        fs::remove_dir_all(path)
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(EmbeddedError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_locale_is_asked_for_only_where_it_exists() {
        let has_builtin =
            |major| initdb_arguments(major).contains(&"--builtin-locale=C.UTF-8".to_owned());
        assert!(!has_builtin(15));
        assert!(!has_builtin(16));
        assert!(has_builtin(17));
        assert!(has_builtin(18));
    }
}
