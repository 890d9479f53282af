//! What was known of a log earlier: the log must still begin with it.

use std::path::Path;

use event_schemas::Position;
use serde::Deserialize;

use crate::{Failure, Selection};

/// What was known of a log: its root when it had so many events.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The last position.
    pub to: Position,
    /// The Merkle tree head over the digests from position 1 on, hexadecimal.
    pub root: String,
}

/// The part that the JSON of `verify` and the manifest of an export have in common.
#[derive(Deserialize)]
struct Statement {
    from: Position,
    to: Position,
    root: String,
    #[serde(default)]
    selection: Selection,
}

impl Head {
    /// Reads what `verify --json` or an export's manifest said of a whole log.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file).map_err(Failure::file(file))?;
        let wrong = |why: &str| Failure::Refused(format!("{} {why}", file.display()));
        let statement: Statement =
            serde_json::from_str(&text).map_err(|error| wrong(&format!("does not say `from`, `to` and `root`: {error}")))?;
        if statement.from != 1 || !statement.selection.is_everything() {
            return Err(wrong("speaks of a part of a log, not of a log from its beginning"));
        }
        Ok(Self { to: statement.to, root: statement.root })
    }
}
