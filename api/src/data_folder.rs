//! The folder that holds a shop: its settings and its key, and its log and views unless a database holds them. Several
//! nodes may share the folder when it holds only settings and key.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process has it open.
    #[error("the data folder {0} is in use by another daybook process; stop that one first, or use another folder with --data")]
    InUse(PathBuf),
    /// It cannot be created, read or written.
    #[error("the data folder {0} cannot be used: {1}")]
    Unusable(PathBuf, io::Error),
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
    /// It writes the log or views that are in the folder: no other process may.
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

/// While this lives, no process opens the folder that must not. The system lets go of it when the process ends, however
/// it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
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

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// If another process has it in a way that forbids this use, or the folder cannot be written.
    pub fn lock(&self, folder_use: FolderUse) -> Result<FolderLock, DataFolderError> {
        let unusable = |error| DataFolderError::Unusable(self.path.clone(), error);
        let path = self.path.join("lock");
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(path).map_err(unusable)?;
        let taken = match folder_use {
            FolderUse::Alone => file.try_lock(),
            FolderUse::Shared => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(FolderLock { _file: file }),
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
        let kept = written.and_then(|()| match std::fs::hard_link(&half_written, self.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
        let removed = std::fs::remove_file(&half_written);
        kept.and(removed)
    }
}

#[cfg(test)]
mod tests {
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
    fn of_many_that_make_a_file_at_once_all_see_the_same_whole_one() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(scratch.path()).unwrap();
        folder.keep("token.key", b"the first").unwrap();
        folder.keep("token.key", b"the second").unwrap();
        assert_eq!(std::fs::read(folder.file("token.key")).unwrap(), b"the first");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
