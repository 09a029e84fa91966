//! Whom the server runs as: Postgres refuses root, so root hands it to another user.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;

/// Where the system's users are listed. Directory services (LDAP) are not asked: packages put `postgres` here.
const USERS: &str = "/etc/passwd";

/// Who may run the server when root starts it, the better one first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user and the user's own group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether the server has to be started as this account because tracedesk itself is root.
    pub(super) is_switched: bool,
}

impl Account {
    /// The account for the cluster in `folder`: whoever runs tracedesk, or in place of root the candidate that owns
    /// the folder, else the first there is.
    pub(super) fn choose(folder: &Path) -> Result<Self, EmbeddedError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            let gid = rustix::process::getegid().as_raw();
            return Ok(Self {
                uid,
                gid,
                is_switched: false,
            });
        }
        let users = fs::read_to_string(USERS).map_err(EmbeddedError::io("read", USERS))?;
        let candidates = candidates(&users);
        let owner = fs::symlink_metadata(folder).ok().map(|found| found.uid());
        candidates
            .iter()
            .find(|account| Some(account.uid) == owner)
            .or(candidates.first())
            .copied()
            .ok_or(EmbeddedError::NoAccount)
    }

    /// Whether the account may pass every folder above `folder`, as far as their mode tells. A rare "no" that an
    /// access list would turn into "yes" does no harm: the way round works there as well.
    pub(super) fn can_reach(self, folder: &Path) -> bool {
        let above: Vec<PathBuf> = folder.ancestors().skip(1).map(Path::to_path_buf).collect();
        above
            .iter()
            .all(|parent| fs::metadata(parent).is_ok_and(|found| self.can_enter(&found)))
    }

    fn can_enter(self, found: &Metadata) -> bool {
        let may_search = if found.uid() == self.uid {
            0o100
        } else if found.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        found.mode() & may_search != 0
    }
}

/// The candidates among the lines `name:password:uid:gid:...`, in the candidates' order.
fn candidates(users: &str) -> Vec<Account> {
    let find = |name: &&str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Account {
                uid,
                gid,
                is_switched: true,
            })
        })
    };
    CANDIDATES.iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn postgres_comes_before_nobody_and_others_are_not_considered() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\
                     nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n\
                     postgresql:x:7:7::/:/bin/sh\n\
                     postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";
        let found: Vec<(u32, u32)> = candidates(users)
            .iter()
            .map(|account| (account.uid, account.gid))
            .collect();
        assert_eq!(found, [(101, 104), (65534, 65533)]);
        assert!(candidates("root:x:0:0::/:/bin/sh\npostgres:x:no:1\n").is_empty());
    }

    #[test]
    fn a_closed_folder_above_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("data/postgres");
        fs::create_dir_all(&folder).unwrap();
        let stranger = Account {
            uid: 4_000_000_000,
            gid: 4_000_000_000,
            is_switched: true,
        };
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(stranger.can_reach(&folder));
        fs::set_permissions(root.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.can_reach(&folder));
        // The folder itself is not above itself.
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o711)).unwrap();
        assert!(stranger.can_reach(&folder));
    }
}
