//! Writing tiles: each full tile once, the ones at the edge with every head, the head last.
//!
//! Only the head is synced: it is the one thing that does not follow from the log, and syncing tiles would take its time from
//! the shop, whose log is on the same disk. So a process that dies leaves the last head with all its tiles, and a power cut
//! leaves the last head and any of them torn: who opens the folder holds all tiles against the head, and has them made anew.

use std::{collections::VecDeque, io, path::Path};

use crate::{
    Hashes, Node, SignedCheckpoint, TILE_HEIGHT, TILE_WIDTH, Tile, TileError, TileFolder,
    files::{Disk, Files},
    folder::CHECKPOINT,
    tile::{check, fold, root},
};

/// The tree in a folder of tiles, while it grows.
pub(crate) struct TileWriter {
    folder: TileFolder,
    files: Box<dyn Files>,
    size: u64,
    /// The hashes of the tile at the right edge of each level: fewer than 256.
    edge: Vec<Vec<Node>>,
    /// Full tiles that are not written yet.
    waiting: VecDeque<(Tile, Vec<Node>)>,
    /// The tiles at the edge that the last head rests upon.
    partial: Vec<Tile>,
}

impl TileWriter {
    /// An empty tree, whose tiles take the place of what the folder has.
    pub(crate) fn new(folder: TileFolder) -> Self {
        Self { folder, files: Box::new(Disk), size: 0, edge: Vec::new(), waiting: VecDeque::new(), partial: Vec::new() }
    }

    /// The tree of a folder as it was at a size, whose tiles are all held against the root that it had.
    ///
    /// # Errors
    /// [`TileError`] if a tile is not there or damaged.
    pub(crate) fn open(folder: TileFolder, size: u64, root: &Node) -> Result<Self, TileError> {
        check(&folder, size, root)?;
        let partial = edge_of(size);
        let mut edge = Vec::new();
        for tile in &partial {
            edge.resize_with(usize::from(tile.level), Vec::new);
            edge.push(folder.tile(*tile)?);
        }
        Ok(Self { size, edge, partial, ..Self::new(folder) })
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
                self.waiting.push_back((Tile { level: level as u8, index, width: TILE_WIDTH }, hashes));
                level += 1;
            }
        }
    }

    /// Writes the tiles that have become full. After an error it can be done again.
    ///
    /// # Errors
    /// [`TileError::File`]
    pub(crate) fn write_full(&mut self) -> Result<(), TileError> {
        while let Some((tile, hashes)) = self.waiting.front() {
            self.write(*tile, hashes)?;
            self.waiting.pop_front();
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
        for tile in partial.iter().filter(|tile| !self.partial.contains(tile)) {
            self.write(*tile, &self.edge[usize::from(tile.level)])?;
        }
        let path = self.folder.path().join(CHECKPOINT);
        self.replace(&path, head.to_string().as_bytes(), true).map_err(|error| TileError::File(path, error))?;
        for tile in std::mem::replace(&mut self.partial, partial) {
            if !self.partial.contains(&tile) {
                self.forget(tile);
            }
        }
        Ok(())
    }

    fn write(&self, tile: Tile, hashes: &[Node]) -> Result<(), TileError> {
        let path = self.folder.path().join(tile.to_string());
        let folder = path.parent().unwrap_or(self.folder.path());
        let written = self.files.make_folder(folder).and_then(|()| self.replace(&path, &hashes.concat(), false));
        written.map_err(|error| TileError::File(path, error))
    }

    /// Writes a file under another name first, so that who reads meanwhile finds it whole or as it was; and so does who comes
    /// after a power cut if it `lasts`.
    fn replace(&self, path: &Path, bytes: &[u8], lasts: bool) -> io::Result<()> {
        let new = path.with_extension("new");
        self.files.write(&new, bytes)?;
        if lasts {
            self.files.sync(&new)?;
        }
        self.files.rename(&new, path)?;
        if lasts { self.files.sync_folder(self.folder.path()) } else { Ok(()) }
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

/// From memory what is not written yet.
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
