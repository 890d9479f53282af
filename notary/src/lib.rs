//! The notary: a Merkle tree over the digests of the log, so that nobody can change the past unseen.
//!
//! A record's digest is a leaf hash of RFC 6962 (ADR 3), so the tree needs digests only and never sees what happened. It is kept
//! as tiles (<https://c2sp.org/tlog-tiles>) in a folder; its heads are signed notes (<https://c2sp.org/signed-note>) with a
//! checkpoint as text (<https://c2sp.org/tlog-checkpoint>). Tiles and heads can be given to anybody: they say nothing but how
//! many events there are.

mod checkpoint;
mod files;
mod folder;
mod follow;
mod keys;
mod notary;
mod note;
mod open;
mod proof;
mod publish;
mod tile;
mod tree;
mod writer;

pub use self::notary::{Notary, NotaryConfig, NotaryStatus, SignError, Signer, TellError, ToldTile};
pub use checkpoint::{Checkpoint, SignedCheckpoint, read_heads};
pub use folder::{HeadError, TileFolder};
pub use keys::{KeyPeriod, KnownKeys};
pub use note::{NoteError, SigningKey, VerifierKey};
pub use proof::{ProofError, check_consistency, check_inclusion, consistency, inclusion};
pub use tile::{Hashes, Leaves, TILE_HEIGHT, TILE_WIDTH, Tile, TileError, root, subtrees};
pub use tree::{Node, Tree, from_hex, hex};
