//! The folder that holds a cluster: private, owned by the server's user, reached without following links.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::OFlags;
use rustix::io::FdFlags;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::process::Command;

use super::account::Account;
use super::error::EmbeddedError;
use super::find::parse_major;

/// The database's own superuser, the only user there is. Who may enter the folder is trusted to be it.
pub(super) const USER: &str = "tracedesk";
/// The database that tracedesk uses.
pub(super) const DATABASE: &str = "tracedesk";
/// Part of the socket's name only: nothing listens on the network.
pub(super) const PORT: u16 = 5432;
/// A socket's address holds 108 bytes on Linux and 104 on macOS, the last of them a NUL.
const SOCKET_PATH_BYTES: usize = 103;
/// Environment variables that the server's programs may see. The rest holds our secrets (`SMTP_URL`) and settings
/// of libpq that would mislead `initdb`.
const KEPT_ENVIRONMENT: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"];

/// An opened folder, found private and owned by `account`.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    account: Account,
    /// Keeps the folder within reach as `/proc/self/fd/N`: for the server's programs, which inherit it, where a
    /// folder above is closed to their user (`/root`); for us, where the path is too long for a socket's address.
    handle: File,
}

impl Folder {
    /// Opens the folder if it exists.
    pub(super) fn open(path: &Path, account: Account) -> Result<Option<Self>, EmbeddedError> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(EmbeddedError::io("read", path)(error)),
        };
        if !found.is_dir() {
            return Err(EmbeddedError::NotAFolder(path.to_path_buf()));
        }
        if found.uid() != account.uid {
            return Err(EmbeddedError::NotOwned {
                folder: path.to_path_buf(),
                owner: found.uid(),
                expected: account.uid,
            });
        }
        if found.mode() & 0o077 != 0 {
            return Err(EmbeddedError::NotPrivate(path.to_path_buf()));
        }
        let no_link = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits();
        let handle = File::options()
            .read(true)
            .custom_flags(no_link.cast_signed())
            .open(path)
            .map_err(EmbeddedError::io("open", path))?;
        let folder = Self {
            path: path.to_path_buf(),
            account,
            handle,
        };
        folder.arrange_reach()?;
        Ok(Some(folder))
    }

    /// Makes the folder, empty.
    pub(super) fn create(path: &Path, account: Account) -> Result<Self, EmbeddedError> {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(EmbeddedError::io("create", path))?;
        if account.is_switched {
            chown(path, Some(account.uid), Some(account.gid))
                .map_err(EmbeddedError::io("change the owner of", path))?;
        }
        Self::open(path, account)?.ok_or_else(|| EmbeddedError::NotAFolder(path.to_path_buf()))
    }

    /// Moves it, and has the move on disk before anything relies on it.
    pub(super) fn rename(&mut self, to: &Path) -> Result<(), EmbeddedError> {
        fs::rename(&self.path, to).map_err(EmbeddedError::io("create", to))?;
        let parent = to.parent().unwrap_or(to);
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(EmbeddedError::io("sync", parent))?;
        to.clone_into(&mut self.path);
        self.arrange_reach()
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The major version of the cluster in it.
    pub(super) fn major(&self) -> Result<u32, EmbeddedError> {
        fs::read_to_string(self.path.join("PG_VERSION"))
            .ok()
            .and_then(|text| parse_major(&text))
            .ok_or_else(|| EmbeddedError::NotACluster(self.path.clone()))
    }

    /// The process of a server that answers on this folder's socket. A process ID alone proves nothing: after a
    /// crash the file stays, and its number may be anybody's.
    pub(super) fn running_server(&self) -> Option<u32> {
        let socket = self.socket_folder().join(format!(".s.PGSQL.{PORT}"));
        UnixStream::connect(socket).ok()?;
        self.recorded_server()
    }

    /// Removes the lock files of a dead server that its parent never collected, as the first process of a container
    /// often fails to: to Postgres it would look alive for ever. Should a process of that server still be alive, the
    /// shared memory that it holds keeps a new server from starting, with or without these files.
    pub(super) fn forget_zombie(&self) -> Result<(), EmbeddedError> {
        if !self.recorded_server().is_some_and(is_zombie) {
            return Ok(());
        }
        for name in ["postmaster.pid", &format!(".s.PGSQL.{PORT}.lock")] {
            let file = self.path.join(name);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(EmbeddedError::io("remove", file)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The process that Postgres's own lock file names, dead or alive.
    fn recorded_server(&self) -> Option<u32> {
        let file = fs::read_to_string(self.path.join("postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    /// How to connect to the server that runs in this folder.
    pub(super) fn connect_options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.socket_folder())
            .port(PORT)
            .username(USER)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("tracedesk")
    }

    /// A program of the server's, set to run as the server's user on this folder (`-D`), out of reach of the
    /// terminal's Ctrl-C and of our environment. Root's supplementary groups are dropped with the user ID.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-D")
            .arg(self.server_path())
            .stdin(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .env_clear();
        for name in KEPT_ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if self.account.is_switched {
            command.uid(self.account.uid).gid(self.account.gid);
        }
        command
    }

    /// Sees to it that [`Self::server_path`] and [`Self::socket_folder`] lead here.
    fn arrange_reach(&self) -> Result<(), EmbeddedError> {
        let has_descriptors = cfg!(target_os = "linux");
        if self.is_path_too_long() && !has_descriptors {
            return Err(EmbeddedError::PathTooLong(self.path.clone()));
        }
        if self.is_reachable() {
            return Ok(());
        }
        if !has_descriptors {
            return Err(EmbeddedError::Unreachable {
                folder: self.path.clone(),
                uid: self.account.uid,
            });
        }
        rustix::io::fcntl_setfd(&self.handle, FdFlags::empty())
            .map_err(|error| EmbeddedError::io("hand over", &self.path)(error.into()))
    }

    /// The folder's name for the server's programs.
    fn server_path(&self) -> PathBuf {
        if self.is_reachable() {
            self.path.clone()
        } else {
            self.descriptor_path()
        }
    }

    /// The folder's name for ourselves when connecting.
    fn socket_folder(&self) -> PathBuf {
        if self.is_path_too_long() {
            self.descriptor_path()
        } else {
            self.path.clone()
        }
    }

    fn descriptor_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.handle.as_raw_fd()))
    }

    fn is_reachable(&self) -> bool {
        !self.account.is_switched || self.account.can_reach(&self.path)
    }

    fn is_path_too_long(&self) -> bool {
        self.path.as_os_str().len() + format!("/.s.PGSQL.{PORT}").len() > SOCKET_PATH_BYTES
    }
}

/// Whether a process has ended and waits for its parent to collect it (state `Z` in `proc(5)`, `/proc/pid/stat`, after
/// the name in parentheses). Only Linux tells.
fn is_zombie(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('Z')))
        .unwrap_or(false)
}
