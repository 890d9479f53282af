//! A folder of tiles: `tile/…` and `checkpoint`, as a web server could serve it (<https://c2sp.org/tlog-tiles>).

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{Hashes, Node, NoteError, SignedCheckpoint, TILE_WIDTH, Tile, TileError};

/// The name of the file that holds the latest signed head.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The name of the folder of tiles.
const TILES: &str = "tile";

/// How often a tile is looked for that grows while it is read.
const ATTEMPTS: usize = 5;

/// A folder of tiles, to be read: also while a notary writes it.
#[derive(Debug, Clone)]
pub struct TileFolder {
    path: PathBuf,
}

/// Why the head of a folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, io::Error),
    /// It is not a signed checkpoint.
    #[error("{0}: {1}")]
    Note(PathBuf, NoteError),
}

impl TileFolder {
    /// The folder at a path; it is not looked at yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The latest signed head, not checked yet; none if nothing was signed.
    ///
    /// # Errors
    /// [`HeadError`]
    pub fn head(&self) -> Result<Option<SignedCheckpoint>, HeadError> {
        let path = self.path.join(CHECKPOINT);
        match std::fs::read_to_string(&path) {
            Ok(note) => SignedCheckpoint::parse(&note).map(Some).map_err(|error| HeadError::Note(path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HeadError::File(path, error)),
        }
    }

    /// Removes all tiles, so that none of another history or torn by a power cut stays beside those that are made anew.
    ///
    /// # Errors
    /// [`TileError::File`]
    pub(crate) fn clear(&self) -> Result<(), TileError> {
        let tiles = self.path.join(TILES);
        match std::fs::remove_dir_all(&tiles) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TileError::File(tiles, error)),
            _ => Ok(()),
        }
    }

    /// The bytes of a tile, 32 for each hash: of its own file, or of the beginning of a wider one.
    ///
    /// # Errors
    /// [`TileError`]
    pub fn bytes(&self, tile: Tile) -> Result<Vec<u8>, TileError> {
        for _ in 0..ATTEMPTS {
            let Some(stored) = self.stored(tile)? else { return Err(TileError::Missing(tile)) };
            let path = self.path.join(stored.to_string());
            match std::fs::read(&path) {
                Ok(bytes) if bytes.len() == usize::from(stored.width) * 32 => {
                    return Ok(bytes[..usize::from(tile.width) * 32].to_vec());
                }
                Ok(bytes) => return Err(TileError::Damaged(stored, bytes.len())),
                // A wider one took its place a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(TileError::File(path, error)),
            }
        }
        Err(TileError::Missing(tile))
    }

    /// The tile on the disk that begins with this one: its own file, or the least wider one. What is as narrow as possible is
    /// what the head rests upon; a wider one may be of a history beyond it, and torn.
    fn stored(&self, tile: Tile) -> Result<Option<Tile>, TileError> {
        let own = self.path.join(tile.to_string());
        if own.try_exists().map_err(|error| TileError::File(own, error))? {
            return Ok(Some(tile));
        }
        let full = Tile { width: TILE_WIDTH, ..tile };
        let path = self.path.join(full.to_string());
        let partial = path.with_extension("p");
        let widths = match std::fs::read_dir(&partial) {
            Ok(names) => names.filter_map(|name| name.ok()?.file_name().to_str()?.parse::<u16>().ok()).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(TileError::File(partial, error)),
        };
        if let Some(width) = widths.into_iter().filter(|width| (tile.width..TILE_WIDTH).contains(width)).min() {
            return Ok(Some(Tile { width, ..tile }));
        }
        let is_full = path.try_exists().map_err(|error| TileError::File(path, error))?;
        Ok(is_full.then_some(full))
    }
}

impl Hashes for TileFolder {
    fn tile(&self, tile: Tile) -> Result<Vec<Node>, TileError> {
        let bytes = self.bytes(tile)?;
        Ok(bytes.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect())
    }
}
