//! What can go wrong with a vault.

/// Why a vault cannot do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The text is not a vault key.
    #[error("the vault key must be {} bytes in base64", crate::key::KEY_BYTES)]
    NotAKey,
    /// The vault was made with another key.
    #[error("{0} was made with another vault key; give the one that it was made with")]
    WrongKey(String),
    /// The vault was given another key since it was opened here. Nothing was changed.
    #[error("the key of {0} was replaced: restart with the new key")]
    KeyReplaced(String),
    /// The file or database is not a vault of Daybook.
    #[error("{0} is not a Daybook vault: {1}")]
    NotAVault(String, String),
    /// A newer version of Daybook made it.
    #[error("{name} has format {found}, and this version of Daybook knows up to {known}; use the newer version")]
    Newer {
        /// The file or database.
        name: String,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A vault that others are to be moved into has entries.
    #[error("{0} has entries already; move a vault into a new one only")]
    NotEmpty(String),
    /// A vault was being moved here when that was broken off.
    #[error("{0} has only a part of the vault that was being copied there; remove it, and copy again")]
    Unfinished(String),
    /// The entry has another version than expected, is there though it must not be, or is not there any more.
    #[error("the entry was changed meanwhile")]
    Conflict,
    /// A name, or the beginning of one, that is not `kind/id` in printable ASCII. It is not repeated.
    #[error("an entry's name reads kind/id, in at most {} characters of ASCII without blanks", crate::name::LONGEST)]
    Name,
    /// The value cannot be written as JSON.
    #[error("the value cannot be kept: {0}")]
    Value(String),
    /// What is kept under this name was changed by someone else, or is not of the shape that is asked for.
    #[error("the entry {0} of the vault is damaged: {1}")]
    Damaged(String, String),
    /// The file or database cannot be used now. Whether a change was made is not known; later calls may succeed.
    #[error("{0} cannot be used: {1}")]
    Unavailable(String, String),
}
