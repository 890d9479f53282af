//! The folder that holds a shop: its settings and its key, and its log, views and vault unless a database holds them. Several
//! nodes may share the folder when it holds only settings and key.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;
use vault::VaultKey;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process has it open.
    #[error("the data folder {0} is in use by another daybook process; stop that one first, or use another folder with --data")]
    InUse(PathBuf),
    /// Another process writes the log, which is a file.
    #[error(
        "the log {0} is in use by another daybook process; for several nodes it must be in PostgreSQL (--events postgres://…)"
    )]
    LogInUse(PathBuf),
    /// It cannot be created, read or written.
    #[error("the data folder {0} cannot be used: {1}")]
    Unusable(PathBuf, io::Error),
    /// There is nothing of a shop in it.
    #[error(
        "there is no shop in the data folder {0}, neither events.db nor vault.db: name the right one with --data (with --events \
         or --vault, if those are elsewhere), or open a new shop there with `daybook serve`"
    )]
    NoShop(PathBuf),
    /// The file of the vault's key holds none.
    #[error("{0} holds no vault key, which is 32 bytes in base64; restore it from a backup")]
    VaultKey(PathBuf),
    /// The shop's settings cannot be read.
    #[error("the settings in {0} cannot be read: {1}")]
    Settings(PathBuf, serde_json::Error),
}

/// A data folder that exists.
#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
}

/// How a process uses the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderUse {
    /// It writes the log or views that are in the folder: no other process may. (Several may have the vault open.)
    Alone,
    /// It reads settings and key; the log and the views are elsewhere.
    Shared,
}

impl FolderUse {
    /// What a process needs the folder for whose log and views are at these addresses; those without one are in the folder.
    pub fn of(urls: &[&Option<String>]) -> Self {
        let elsewhere = |url: &&Option<String>| url.as_ref().is_some_and(|url| !url.starts_with("sqlite:"));
        if urls.iter().all(elsewhere) { Self::Shared } else { Self::Alone }
    }
}

/// While this lives, no process opens the folder, or the log, that must not. The system lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _files: Vec<File>,
}

impl DataFolder {
    /// Opens the folder and creates it if it is absent.
    ///
    /// # Errors
    /// If it cannot be created or is not a folder.
    pub fn create(path: &Path) -> Result<Self, DataFolderError> {
        std::fs::create_dir_all(path).map_err(|error| DataFolderError::Unusable(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned() })
    }

    /// The folder of a shop that was opened before.
    ///
    /// # Errors
    /// If it is not there.
    pub fn existing(path: &Path) -> Result<Self, DataFolderError> {
        let unusable = |error| DataFolderError::Unusable(path.to_owned(), error);
        let is_folder = std::fs::metadata(path).map_err(unusable)?.is_dir();
        if is_folder { Ok(Self { path: path.to_owned() }) } else { Err(unusable(io::ErrorKind::NotADirectory.into())) }
    }

    /// The same, of a shop whose vault is in the folder unless the address of the vault or of a log in PostgreSQL says where else.
    /// Nothing is made in a folder that has no shop.
    ///
    /// # Errors
    /// If the folder is not there, or has no shop.
    pub fn of_shop(path: &Path, events: Option<&str>, vault: Option<&str>) -> Result<Self, DataFolderError> {
        let folder = Self::existing(path)?;
        let elsewhere = vault.is_some() || events.is_some_and(|events| !events.starts_with("sqlite:"));
        let is_there = elsewhere || folder.has("events.db")? || folder.has("vault.db")?;
        if is_there { Ok(folder) } else { Err(DataFolderError::NoShop(path.to_owned())) }
    }

    /// Takes the folder for this process, and the log, if it is a file, wherever that is: the vault of another shop could not open
    /// what is sealed in it. (Whoever writes views that are a file takes those.)
    ///
    /// # Errors
    /// If another process has one of them, or they cannot be written.
    pub fn lock_with_log(&self, folder_use: FolderUse, log: Option<&str>) -> Result<FolderLock, DataFolderError> {
        let mut lock = self.lock(folder_use)?;
        let url = log.map_or_else(|| self.sqlite_url("events.db"), str::to_owned);
        let Some(file) = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()).map(PathBuf::from) else { return Ok(lock) };
        // The same file under another name has the same lock.
        let file = file.canonicalize().unwrap_or(file);
        let mut path = file.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let taken = match lockable(&path) {
            // Whoever opens the log says what is wrong with a folder that is not there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(lock),
            taken => taken.map_err(|error| DataFolderError::Unusable(path.clone(), error))?,
        };
        match taken.try_lock() {
            Ok(()) => lock._files.push(taken),
            Err(TryLockError::WouldBlock) => return Err(DataFolderError::LogInUse(file)),
            Err(TryLockError::Error(error)) => return Err(DataFolderError::Unusable(path, error)),
        }
        Ok(lock)
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// If another process has it in a way that forbids this use, or the folder cannot be written.
    pub fn lock(&self, folder_use: FolderUse) -> Result<FolderLock, DataFolderError> {
        let unusable = |error| DataFolderError::Unusable(self.path.clone(), error);
        let path = self.path.join("lock");
        let file = lockable(&path).map_err(unusable)?;
        let taken = match folder_use {
            FolderUse::Alone => file.try_lock(),
            FolderUse::Shared => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(FolderLock { _files: vec![file] }),
            Err(TryLockError::WouldBlock) => Err(DataFolderError::InUse(self.path.clone())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The URL of the database of that name in the folder.
    pub fn sqlite_url(&self, name: &str) -> String {
        format!("sqlite:{}", self.file(name).display())
    }

    /// The shop's settings from `store.json`; the defaults when there is none.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn settings<T: DeserializeOwned + Default>(&self) -> Result<T, DataFolderError> {
        let path = self.file("store.json");
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| DataFolderError::Settings(path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
            Err(error) => Err(DataFolderError::Unusable(path, error)),
        }
    }

    /// Writes these settings to `store.json`, unless there are some.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep_settings<T: Serialize>(&self, settings: &T) -> Result<(), DataFolderError> {
        let path = self.file("store.json");
        let failed = |error| DataFolderError::Unusable(path.clone(), error);
        if path.try_exists().map_err(failed)? {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(settings).map_err(|error| failed(error.into()))?;
        self.keep("store.json", &text).map_err(failed)
    }

    /// The key of the shop's vault from `vault.key`, which is made when there is none.
    ///
    /// # Errors
    /// If the file cannot be read or made, or holds no key.
    pub fn vault_key(&self) -> Result<VaultKey, DataFolderError> {
        let path = self.file("vault.key");
        let failed = |error| DataFolderError::Unusable(path.clone(), error);
        if !path.try_exists().map_err(failed)? {
            self.keep("vault.key", VaultKey::generate().to_base64().as_bytes()).map_err(failed)?;
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        VaultKey::from_base64(&text).map_err(|_| DataFolderError::VaultKey(path))
    }

    /// Whether the folder has a file of that name.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn has(&self, name: &str) -> Result<bool, DataFolderError> {
        let path = self.file(name);
        path.try_exists().map_err(|error| DataFolderError::Unusable(path, error))
    }

    /// Removes a file of the folder.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), DataFolderError> {
        let path = self.file(name);
        std::fs::remove_file(&path).map_err(|error| DataFolderError::Unusable(path, error))
    }

    /// Makes a file that only its owner can read: whole or not at all, also when the process is killed in between. When it is
    /// there already, perhaps since a moment ago by another node, that one stays.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let half_written = self.file(&format!("{name}.{}.new", Uuid::new_v4()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&half_written).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
        let kept = written.and_then(|()| self.settle(&half_written, name, |from, to| std::fs::hard_link(from, to)));
        match std::fs::remove_file(&half_written) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => kept.and(Err(error)),
            _ => kept,
        }
    }

    /// Gives a written file its name unless that is taken. Linking does both at once; where there are no links (FAT, some
    /// network shares) it is renamed while nobody else is doing so.
    fn settle(&self, written: &Path, name: &str, link: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        let target = self.file(name);
        match link(written, &target) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => tracing::debug!(%error, name, "a file of the data folder could not be linked; renaming it"),
        }
        let turn = lockable(&self.file("making"))?;
        turn.lock()?;
        if target.try_exists()? { Ok(()) } else { std::fs::rename(written, &target) }
    }
}

/// A file to lock. Opened to read as well: a network file system may refuse a shared lock on one that is not.
fn lockable(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nodes_share_a_folder_only_when_none_keeps_its_log_or_views_in_it() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(scratch.path()).unwrap();
        let nodes = [folder.lock(FolderUse::Shared).unwrap(), folder.lock(FolderUse::Shared).unwrap()];
        assert!(matches!(folder.lock(FolderUse::Alone), Err(DataFolderError::InUse(_))));
        drop(nodes);
        let _alone = folder.lock(FolderUse::Alone).unwrap();
        assert!(matches!(folder.lock(FolderUse::Shared), Err(DataFolderError::InUse(_))));
    }

    #[test]
    fn a_log_in_a_file_is_written_by_one_shop_wherever_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        let folders = ["a", "b"].map(|name| DataFolder::create(&scratch.path().join(name)).unwrap());
        std::fs::write(folders[0].file("events.db"), "").unwrap();
        let theirs = format!("sqlite:{}", scratch.path().join("b/../a/events.db").display());
        let one = folders[0].lock_with_log(FolderUse::Alone, None).unwrap();
        let refused = folders[1].lock_with_log(FolderUse::Alone, Some(&theirs));
        assert!(matches!(&refused, Err(DataFolderError::LogInUse(path)) if path.ends_with("a/events.db")), "{refused:?}");
        drop(one);
        let other = folders[1].lock_with_log(FolderUse::Alone, Some(&theirs)).unwrap();
        assert!(matches!(folders[0].lock_with_log(FolderUse::Alone, None), Err(DataFolderError::LogInUse(_))));
        drop(other);
        // A log in a database has as many nodes as it likes, and what is no path is for whoever opens the log to refuse.
        let node = || folders[0].lock_with_log(FolderUse::Shared, Some("postgres://db/shop")).unwrap();
        let _nodes = [node(), node()];
        for wrong in ["sqlite:", "sqlite:/nowhere/at/all/events.db"] {
            assert!(folders[1].lock_with_log(FolderUse::Alone, Some(wrong)).is_ok(), "{wrong}");
        }
    }

    #[test]
    fn a_lock_can_be_taken_where_shared_locks_need_a_file_that_is_read() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(scratch.path()).unwrap();
        let lock = folder.lock(FolderUse::Shared).unwrap();
        assert_eq!(io::Read::read(&mut &lock._files[0], &mut [0]).unwrap(), 0);
    }

    #[test]
    fn where_files_cannot_be_linked_they_are_made_whole_all_the_same_and_the_first_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(scratch.path()).unwrap();
        let no_links = |_: &Path, _: &Path| Err(io::ErrorKind::Unsupported.into());
        let makers: Vec<_> = (0..8)
            .map(|n| {
                let folder = folder.clone();
                std::thread::spawn(move || {
                    let (written, text) = (folder.file(&format!("half-{n}")), format!("key {n}").repeat(1000));
                    std::fs::write(&written, text).unwrap();
                    folder.settle(&written, "vault.key", no_links).unwrap();
                    std::fs::read(folder.file("vault.key")).unwrap()
                })
            })
            .collect();
        let seen: BTreeSet<Vec<u8>> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        assert_eq!(seen.len(), 1, "all see the same one");
        assert_eq!(seen.first().unwrap().len(), 5000);
    }

    #[test]
    fn of_many_that_make_a_file_at_once_all_see_the_same_whole_one() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(scratch.path()).unwrap();
        folder.keep("vault.key", b"the first").unwrap();
        folder.keep("vault.key", b"the second").unwrap();
        assert_eq!(std::fs::read(folder.file("vault.key")).unwrap(), b"the first");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
