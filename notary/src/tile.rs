//! Tiles: the tree in pieces of up to 256 hashes (<https://c2sp.org/tlog-tiles>), and the nodes that follow from them.

use std::{fmt, io, path::PathBuf, str::FromStr};

use crate::tree::{Node, Tree, parent};

/// How many levels of the tree a tile holds: one of its hashes stands for 256 of the level of tiles below.
pub const TILE_HEIGHT: u8 = 8;

/// How many hashes a full tile has.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;

/// The highest level that a tile can have: a tree of 2^64 leaves has eight levels of tiles.
const MOST_LEVEL: u8 = 7;

/// Which tile: `width` hashes of level `8 × level` of the tree, from `256 × index` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// The level of tiles: 0 holds leaves.
    pub level: u8,
    /// Which of its level.
    pub index: u64,
    /// How many hashes it has, from 1; a full tile has 256.
    pub width: u16,
}

/// Why a hash of the tree cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The tile is not there: the tree is smaller, or the folder is not whole.
    #[error("there is no {0}")]
    Missing(Tile),
    /// The tile is shorter than its name says, or longer.
    #[error("{0} is damaged: it has {1} bytes")]
    Damaged(Tile, usize),
    /// It has other hashes than the tile above it stands for.
    #[error("{0} is damaged: the tile above it says otherwise")]
    Wrong(Tile),
    /// The tiles are those of another tree of that many leaves.
    #[error("the tiles of {0} leaves have another root than was signed")]
    OtherRoot(u64),
    /// It cannot be read or written.
    #[error("{0} cannot be read or written: {1}")]
    File(PathBuf, io::Error),
    /// What is asked for is not in a tree of that size.
    #[error("a tree of {size} leaves has no leaf or older tree {asked}")]
    Outside {
        /// The index of the leaf, or the size of the older tree.
        asked: u64,
        /// The size of the tree.
        size: u64,
    },
}

impl Tile {
    /// Whether it has all its hashes, and so never changes.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Whether a tree of that size has all its hashes.
    pub fn is_within(&self, size: u64) -> bool {
        let hashes = size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(self.level)).unwrap_or(0);
        self.index < hashes >> TILE_HEIGHT
            || (self.index == hashes >> TILE_HEIGHT && u64::from(self.width) <= hashes % u64::from(TILE_WIDTH))
    }
}

/// The path that the standard gives it, such as `tile/0/x001/234` or `tile/1/000.p/17`.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place > 0 { write!(f, "x{group:03}/")? } else { write!(f, "{group:03}")? }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// Reads the path of a tile; only as it is printed, so that one tile has one path.
impl FromStr for Tile {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("tile/").ok_or(())?;
        let (level, rest) = rest.split_once('/').ok_or(())?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().map_err(|_| ())?),
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        for group in number.split('/') {
            let group: u64 = group.strip_prefix('x').unwrap_or(group).parse().map_err(|_| ())?;
            index = index.checked_mul(1000).and_then(|index| index.checked_add(group)).ok_or(())?;
        }
        let tile = Self { level: level.parse().map_err(|_| ())?, index, width };
        let exists = tile.level <= MOST_LEVEL && (1..=TILE_WIDTH).contains(&tile.width);
        if exists && tile.to_string() == text { Ok(tile) } else { Err(()) }
    }
}

/// Where the hashes of a tree come from: a folder of tiles, or leaves in memory.
pub trait Hashes {
    /// The hashes of a tile: `tile.width` of them.
    ///
    /// # Errors
    /// [`TileError`] if they cannot be had.
    fn tile(&self, tile: Tile) -> Result<Vec<Node>, TileError>;
}

/// The root of the subtree of `2^level` leaves from `index × 2^level` on.
fn node(hashes: &dyn Hashes, level: u32, index: u64) -> Result<Node, TileError> {
    let (of_tile, within) = (level / u32::from(TILE_HEIGHT), level % u32::from(TILE_HEIGHT));
    let first = index << within;
    let (tile, begin) = (first >> TILE_HEIGHT, (first % u64::from(TILE_WIDTH)) as usize);
    let end = begin + (1 << within);
    // Of a tile that still grows, no more than is needed is sure to be there. The numbers fit: a tile has 256 hashes.
    let tile = Tile { level: of_tile as u8, index: tile, width: end as u16 };
    let found = hashes.tile(tile)?;
    found.get(begin..end).map(fold).ok_or(TileError::Damaged(tile, found.len() * 32))
}

/// The root over the nodes of a complete subtree: a power of two of them.
pub(crate) fn fold(nodes: &[Node]) -> Node {
    let mut tree = Tree::default();
    nodes.iter().for_each(|node| tree.push(*node));
    tree.root()
}

/// The root over `size` leaves from `begin` on, which must be where a subtree of that size can begin.
pub(crate) fn range(hashes: &dyn Hashes, begin: u64, size: u64) -> Result<Node, TileError> {
    if size.is_power_of_two() {
        return node(hashes, size.trailing_zeros(), begin >> size.trailing_zeros());
    }
    let left = split(size);
    Ok(parent(range(hashes, begin, left)?, range(hashes, begin + left, size - left)?))
}

/// How many of more than one leaf are in the left subtree: the largest power of two that is smaller.
pub(crate) fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// [`TileError`] if its hashes cannot be had.
pub fn root(hashes: &dyn Hashes, size: u64) -> Result<Node, TileError> {
    if size == 0 { Ok(Tree::default().root()) } else { range(hashes, 0, size) }
}

/// Holds all hashes of the tree of the first `size` leaves against its root: each full tile against the hash in the tile above
/// that stands for it, and the others, which no hash stands for, by the root that follows from them. It reads all tiles, 32
/// bytes a leaf, and hashes about once a leaf.
///
/// # Errors
/// [`TileError`] if a tile cannot be had, or is not what the root says.
pub(crate) fn check(hashes: &dyn Hashes, size: u64, is: &Node) -> Result<(), TileError> {
    for level in 0..MOST_LEVEL {
        // As many hashes are on the level above as this one has full tiles.
        let full = size.checked_shr(u32::from(TILE_HEIGHT) * (u32::from(level) + 1)).unwrap_or(0);
        let mut above = Vec::new();
        for index in 0..full {
            let place = index % u64::from(TILE_WIDTH);
            if place == 0 {
                let width = (full - index).min(u64::from(TILE_WIDTH)) as u16;
                above = hashes.tile(Tile { level: level + 1, index: index >> TILE_HEIGHT, width })?;
            }
            let tile = Tile { level, index, width: TILE_WIDTH };
            if above.get(place as usize) != Some(&fold(&hashes.tile(tile)?)) {
                return Err(TileError::Wrong(tile));
            }
        }
    }
    if root(hashes, size)? == *is { Ok(()) } else { Err(TileError::OtherRoot(size)) }
}

/// The tree of the first `size` leaves, ready to grow: its largest complete subtrees are read and no leaf.
///
/// # Errors
/// [`TileError`] if its hashes cannot be had.
pub fn subtrees(hashes: &dyn Hashes, size: u64) -> Result<Tree, TileError> {
    let (mut roots, mut begin) = (Vec::new(), 0);
    for level in (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1) {
        roots.push(node(hashes, level, begin >> level)?);
        begin += 1 << level;
    }
    Tree::resume(size, roots).ok_or(TileError::Outside { asked: size, size })
}

/// A tree in memory: 32 bytes a leaf.
#[derive(Debug, Clone, Default)]
pub struct Leaves {
    /// The hashes of each level of tiles.
    levels: Vec<Vec<Node>>,
}

impl Leaves {
    /// Adds the next leaf, which must already be a leaf hash, as the digests of records are.
    pub fn push(&mut self, leaf: Node) {
        let mut next = Some(leaf);
        let mut level = 0;
        while let Some(hash) = next.take() {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[level];
            hashes.push(hash);
            if hashes.len().is_multiple_of(usize::from(TILE_WIDTH)) {
                next = Some(fold(&hashes[hashes.len() - usize::from(TILE_WIDTH)..]));
                level += 1;
            }
        }
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, Vec::len) as u64
    }

    /// A leaf.
    pub fn leaf(&self, index: u64) -> Option<Node> {
        self.levels.first()?.get(usize::try_from(index).ok()?).copied()
    }
}

impl Hashes for Leaves {
    fn tile(&self, tile: Tile) -> Result<Vec<Node>, TileError> {
        let begin = usize::try_from(tile.index).ok().and_then(|index| index.checked_mul(usize::from(TILE_WIDTH)));
        let range = begin.map(|begin| begin..begin.saturating_add(usize::from(tile.width)));
        let level = self.levels.get(usize::from(tile.level));
        let found = level.zip(range).and_then(|(hashes, range)| hashes.get(range));
        found.map(<[Node]>::to_vec).ok_or(TileError::Missing(tile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_within_a_tree_that_has_all_its_hashes() {
        let is_within = |path: &str, size| path.parse::<Tile>().unwrap().is_within(size);
        assert!(is_within("tile/0/000", 256) && is_within("tile/0/000.p/9", 9) && is_within("tile/0/001.p/1", 257));
        assert!(is_within("tile/0/000.p/255", 300) && is_within("tile/1/000.p/1", 256) && is_within("tile/1/000", 65_536));
        assert!(!is_within("tile/0/000", 255) && !is_within("tile/0/000.p/10", 9) && !is_within("tile/0/001.p/1", 256));
        assert!(!is_within("tile/1/000.p/1", 255) && !is_within("tile/0/000.p/1", 0) && !is_within("tile/7/000", u64::MAX));
    }

    #[test]
    fn a_tile_has_one_path_which_is_that_of_the_standard() {
        let paths = [
            ((0, 0, 256), "tile/0/000"),
            ((0, 1_234_067, 256), "tile/0/x001/x234/067"),
            ((3, 999, 17), "tile/3/999.p/17"),
            ((7, 1000, 1), "tile/7/x001/000.p/1"),
        ];
        for ((level, index, width), path) in paths {
            let tile = Tile { level, index, width };
            assert_eq!((tile.to_string().as_str(), path.parse()), (path, Ok(tile)));
        }
        let wrong = "tile/0/0 tile/00/000 tile/0/1234 tile/0/000.p/256 tile/0/000.p/0 tile/0/000.p/07 tile/8/000 tile/0/x000/001 \
                     tile/0/001/x002 tile/entries/000 tile/0/ tile/0/../000 tile/0/-01 tile/0/000.p/ tile/0/000/ /tile/0/000";
        for path in wrong.split(' ') {
            assert_eq!(path.parse::<Tile>(), Err(()), "{path}");
        }
    }

    #[test]
    fn roots_from_tiles_are_those_of_the_tree_and_it_grows_on_from_any_size() {
        let leaf = |n: u32| -> Node { std::array::from_fn(|byte| n.to_be_bytes()[byte % 4]) };
        let (mut leaves, mut tree, mut resumed) = (Leaves::default(), Tree::default(), Vec::new());
        for n in 0..70_000 {
            if n < 5 || n % 9_973 == 0 || (65_535..65_538).contains(&n) {
                assert_eq!(root(&leaves, u64::from(n)).unwrap(), tree.root(), "of {n} leaves");
                resumed.push(subtrees(&leaves, u64::from(n)).unwrap());
            }
            leaves.push(leaf(n));
            tree.push(leaf(n));
        }
        for mut older in resumed {
            (older.size() as u32..70_000).for_each(|n| older.push(leaf(n)));
            assert_eq!((older.size(), older.root()), (70_000, tree.root()));
        }
        assert!(matches!(root(&leaves, 70_001), Err(TileError::Missing(_))));
    }

    #[test]
    fn any_hash_that_is_another_is_found_below_a_root() {
        let leaf = |n: u32| -> Node { std::array::from_fn(|byte| n.to_be_bytes()[byte % 4]) };
        for size in [0, 1, 255, 256, 257, 65_536, 66_051] {
            let mut leaves = Leaves::default();
            (0..size).for_each(|n| leaves.push(leaf(n)));
            let (size, is) = (u64::from(size), root(&leaves, size.into()).unwrap());
            check(&leaves, size, &is).unwrap();
            assert!(matches!(check(&leaves, size, &[9; 32]), Err(TileError::OtherRoot(_))));
            for (level, count) in leaves.levels.iter().map(Vec::len).enumerate() {
                for index in [0, count / 3, count.saturating_sub(1)].into_iter().filter(|index| *index < count) {
                    let mut changed = leaves.clone();
                    changed.levels[level][index][31] ^= 1;
                    assert!(check(&changed, size, &is).is_err(), "hash {index} of level {level}, of {size} leaves");
                }
            }
        }
    }
}
