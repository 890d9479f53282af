//! Writing tiles: each full tile once, the ones at the edge with every head, the head last.
//!
//! A crash or a power cut between any two steps leaves the last head with all its tiles: what a head rests upon is on the disk
//! before the head is, and what an older head rests upon is removed only when a newer one is there.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use crate::{
    Hashes, Node, SignedCheckpoint, TILE_HEIGHT, TILE_WIDTH, Tile, TileError, TileFolder,
    files::{Disk, Files},
    folder::CHECKPOINT,
    tile::{fold, root},
};

/// The tree in a folder of tiles, while it grows.
pub(crate) struct TileWriter {
    folder: TileFolder,
    files: Box<dyn Files>,
    size: u64,
    /// The hashes of the tile at the right edge of each level: fewer than 256.
    edge: Vec<Vec<Node>>,
    /// Full tiles that are not on the disk yet.
    waiting: Vec<(Tile, Vec<Node>)>,
    /// Folders in which names are not sure to be on the disk yet.
    dirty: BTreeSet<PathBuf>,
    /// The tiles at the edge that the last head rests upon.
    partial: Vec<Tile>,
}

impl TileWriter {
    /// The tree of a folder as it was at a size that a head in it has.
    ///
    /// # Errors
    /// [`TileError`] if a tile is not there or damaged.
    pub(crate) fn open(folder: TileFolder, size: u64) -> Result<Self, TileError> {
        Self::open_with(folder, size, Box::new(Disk))
    }

    fn open_with(folder: TileFolder, size: u64, files: Box<dyn Files>) -> Result<Self, TileError> {
        let partial = edge_of(size);
        let mut edge = Vec::new();
        for tile in &partial {
            edge.resize_with(usize::from(tile.level), Vec::new);
            edge.push(folder.tile(*tile)?);
        }
        Ok(Self { folder, files, size, edge, waiting: Vec::new(), dirty: BTreeSet::new(), partial })
    }

    /// How many leaves the tree has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The last leaf.
    ///
    /// # Errors
    /// [`TileError`] if its tile cannot be read.
    pub(crate) fn last(&self) -> Result<Option<Node>, TileError> {
        let Some(index) = self.size.checked_sub(1) else { return Ok(None) };
        let width = (index % u64::from(TILE_WIDTH)) as u16 + 1;
        Ok(self.tile(Tile { level: 0, index: index >> TILE_HEIGHT, width })?.last().copied())
    }

    /// The root of the tree of the first `size` leaves.
    ///
    /// # Errors
    /// [`TileError`] if the tree is smaller, or a tile cannot be read.
    pub(crate) fn root(&self, size: u64) -> Result<Node, TileError> {
        if size > self.size { Err(TileError::Outside { asked: size, size: self.size }) } else { root(self, size) }
    }

    /// Adds the next leaf, in memory.
    pub(crate) fn push(&mut self, leaf: Node) {
        self.size += 1;
        let (mut next, mut level) = (Some(leaf), 0);
        while let Some(hash) = next.take() {
            if self.edge.len() == level {
                self.edge.push(Vec::with_capacity(usize::from(TILE_WIDTH)));
            }
            self.edge[level].push(hash);
            if self.edge[level].len() == usize::from(TILE_WIDTH) {
                let hashes = std::mem::take(&mut self.edge[level]);
                // How many tiles of this level are full now, without this one.
                let index = (self.size >> (u32::from(TILE_HEIGHT) * (level as u32 + 1))) - 1;
                next = Some(fold(&hashes));
                self.waiting.push((Tile { level: level as u8, index, width: TILE_WIDTH }, hashes));
                level += 1;
            }
        }
    }

    /// Writes the tiles that have become full. After an error it can be done again.
    ///
    /// # Errors
    /// [`TileError::File`]
    pub(crate) fn write_full(&mut self) -> Result<(), TileError> {
        while let Some((tile, hashes)) = self.waiting.first() {
            let (path, bytes) = (self.folder.path().join(tile.to_string()), hashes.concat());
            self.write(&path, &bytes).map_err(|error| TileError::File(path, error))?;
            self.waiting.remove(0);
        }
        Ok(())
    }

    /// Makes a head of the tree as it is the latest one, with everything that it rests upon. After an error it can be done
    /// again.
    ///
    /// # Errors
    /// [`TileError::File`]
    pub(crate) fn keep(&mut self, head: &SignedCheckpoint) -> Result<(), TileError> {
        self.write_full()?;
        let partial = edge_of(self.size);
        for tile in &partial {
            if self.partial.contains(tile) {
                continue;
            }
            let path = self.folder.path().join(tile.to_string());
            let bytes = self.edge[usize::from(tile.level)].concat();
            self.write(&path, &bytes).map_err(|error| TileError::File(path, error))?;
        }
        while let Some(folder) = self.dirty.first().cloned() {
            self.files.sync_folder(&folder).map_err(|error| TileError::File(folder.clone(), error))?;
            self.dirty.remove(&folder);
        }
        let path = self.folder.path().join(CHECKPOINT);
        let kept = self.write(&path, head.to_string().as_bytes());
        let kept = kept.and_then(|()| self.files.sync_folder(self.folder.path()));
        kept.map_err(|error| TileError::File(path, error))?;
        self.dirty.clear();
        for tile in std::mem::replace(&mut self.partial, partial) {
            if !self.partial.contains(&tile) {
                self.forget(tile);
            }
        }
        Ok(())
    }

    /// Writes a file under another name first, so that it is there whole or not at all.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        self.files.make_folder(folder)?;
        let new = path.with_extension("new");
        self.files.write(&new, bytes)?;
        self.files.rename(&new, path)?;
        // A folder that was made just now has a name that must last as well.
        let above = folder.ancestors().take_while(|above| above.starts_with(self.folder.path()));
        self.dirty.extend(above.map(Path::to_owned));
        Ok(())
    }

    /// Removes a tile that no head needs any more. One that cannot be removed does no harm: the wider one says the same.
    fn forget(&self, tile: Tile) {
        let path = self.folder.path().join(tile.to_string());
        if let Err(error) = self.files.remove(&path) {
            tracing::debug!(%error, %tile, "an old tile could not be removed");
        }
        if let Some(folder) = path.parent() {
            // It is empty if its tile is full now.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// The tiles at the right edge of a tree of that size that are not full.
fn edge_of(size: u64) -> Vec<Tile> {
    let tile = |level: u8| {
        let hashes = size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(level)).unwrap_or(0);
        Tile { level, index: hashes >> TILE_HEIGHT, width: (hashes % u64::from(TILE_WIDTH)) as u16 }
    };
    (0..8).map(tile).filter(|tile| tile.width > 0).collect()
}

/// From memory what is not on the disk yet.
impl Hashes for TileWriter {
    fn tile(&self, tile: Tile) -> Result<Vec<Node>, TileError> {
        let hashes = self.size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(tile.level)).unwrap_or(0);
        let width = usize::from(tile.width);
        if tile.index == hashes >> TILE_HEIGHT {
            let found = self.edge.get(usize::from(tile.level)).and_then(|edge| edge.get(..width));
            return found.map(<[Node]>::to_vec).ok_or(TileError::Missing(tile));
        }
        let is_asked = |waiting: &&(Tile, Vec<Node>)| (waiting.0.level, waiting.0.index) == (tile.level, tile.index);
        match self.waiting.iter().find(is_asked) {
            Some((_, hashes)) => Ok(hashes[..width.min(hashes.len())].to_vec()),
            None => self.folder.tile(tile),
        }
    }
}

#[cfg(test)]
mod tests;
