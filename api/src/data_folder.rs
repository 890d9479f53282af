//! The folder that holds a shop: its log, its views, its settings and its key, used by one process at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

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

/// While this lives, no other process opens the folder. The system lets go of it when the process ends, however it ends.
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

    /// Takes the folder for this process alone.
    ///
    /// # Errors
    /// If another process has it, or the folder cannot be written.
    pub fn lock(&self) -> Result<FolderLock, DataFolderError> {
        let unusable = |error| DataFolderError::Unusable(self.path.clone(), error);
        let path = self.path.join("lock");
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(path).map_err(unusable)?;
        match file.try_lock() {
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
        // Whole or not at all, also when the process is killed in between.
        let half_written = self.file("store.json.new");
        std::fs::write(&half_written, text).and_then(|()| std::fs::rename(&half_written, &path)).map_err(failed)
    }
}
