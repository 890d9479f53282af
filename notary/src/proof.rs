//! Proofs: that an event is in the log, and that a later log begins with an earlier one (RFC 9162, section 2.1).

use crate::{
    Node,
    tile::{Hashes, TileError, range, split},
    tree::parent,
};

/// Why a proof does not show what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is about a leaf or an older tree that a tree of that size does not have.
    #[error("it is about leaf or older tree {asked}, which a tree of {size} leaves does not have")]
    Outside {
        /// The index of the leaf, or the size of the older tree.
        asked: u64,
        /// The size of the tree.
        size: u64,
    },
    /// It has too few hashes, or too many.
    #[error("it has {0} hashes, and needs another number of them")]
    Length(usize),
    /// Its hashes lead to another root than that of the older tree.
    #[error("it does not lead to the root of the older tree")]
    OldRoot,
    /// Its hashes lead to another root.
    #[error("it does not lead to the root")]
    Root,
}

/// The hashes that, with the leaf at `index`, lead to the root of the tree of the first `size` leaves (section 2.1.3.1).
///
/// # Errors
/// [`TileError`] if the leaf is not in that tree, or its hashes cannot be had.
pub fn inclusion(hashes: &dyn Hashes, index: u64, size: u64) -> Result<Vec<Node>, TileError> {
    if index >= size {
        return Err(TileError::Outside { asked: index, size });
    }
    let (mut begin, mut size, mut path) = (0, size, Vec::new());
    while size > 1 {
        let left = split(size);
        if index - begin < left {
            path.push(range(hashes, begin + left, size - left)?);
            size = left;
        } else {
            path.push(range(hashes, begin, left)?);
            (begin, size) = (begin + left, size - left);
        }
    }
    path.reverse();
    Ok(path)
}

/// Checks that `leaf` is the one at `index` of the tree of `size` leaves with this root (section 2.1.3.2).
///
/// # Errors
/// [`ProofError`]
pub fn check_inclusion(leaf: Node, index: u64, size: u64, path: &[Node], root: Node) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Outside { asked: index, size });
    }
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Length(path.len()));
        }
        if place & 1 == 1 || place == last {
            hash = parent(*sibling, hash);
            // A node without a right neighbour is taken over by the levels above as it is.
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            hash = parent(hash, *sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    match (last, hash == root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        (1.., _) => Err(ProofError::Length(path.len())),
    }
}

/// The hashes that show that the tree of the first `new` leaves begins with that of the first `old` (section 2.1.4.1). None
/// are needed for an empty or an equal tree.
///
/// # Errors
/// [`TileError`] if `old` is larger than `new`, or the hashes cannot be had.
pub fn consistency(hashes: &dyn Hashes, old: u64, new: u64) -> Result<Vec<Node>, TileError> {
    if old > new {
        return Err(TileError::Outside { asked: old, size: new });
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    let (mut begin, mut size, mut rest, mut is_known) = (0, new, old, true);
    while rest != size {
        let left = split(size);
        if rest <= left {
            path.push(range(hashes, begin + left, size - left)?);
            size = left;
        } else {
            path.push(range(hashes, begin, left)?);
            (begin, size, rest, is_known) = (begin + left, size - left, rest - left, false);
        }
    }
    // The root of the older tree itself is known to whoever checks.
    if !is_known {
        path.push(range(hashes, begin, size)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that the tree of `new.0` leaves with root `new.1` begins with that of `old.0` leaves with root `old.1` (section
/// 2.1.4.2).
///
/// # Errors
/// [`ProofError`]
pub fn check_consistency(old: (u64, Node), new: (u64, Node), path: &[Node]) -> Result<(), ProofError> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size > new_size {
        return Err(ProofError::Outside { asked: old_size, size: new_size });
    }
    if old_size == 0 || old_size == new_size {
        return if !path.is_empty() {
            Err(ProofError::Length(path.len()))
        } else if old_size == 0 && old_root != crate::Tree::default().root() {
            Err(ProofError::OldRoot)
        } else if old_size == new_size && old_root != new_root {
            Err(ProofError::Root)
        } else {
            Ok(())
        };
    }
    let mut path = path.iter();
    let (given, wrong_length) = (path.len(), ProofError::Length(path.len()));
    let (mut place, mut last) = (old_size - 1, new_size - 1);
    while place & 1 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    // The older tree is complete: its root is the first hash, and left out of the proof.
    let first = if old_size.is_power_of_two() { old_root } else { *path.next().ok_or(wrong_length)? };
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Length(given));
        }
        if place & 1 == 1 || place == last {
            (old_hash, new_hash) = (parent(*sibling, old_hash), parent(*sibling, new_hash));
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            new_hash = parent(new_hash, *sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong_length);
    }
    if old_hash != old_root {
        return Err(ProofError::OldRoot);
    }
    if new_hash == new_root { Ok(()) } else { Err(ProofError::Root) }
}
