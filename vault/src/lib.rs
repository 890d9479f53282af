//! The vault: secrets and personal data of accounts, outside the log, where they can be changed and deleted.
//!
//! Encrypted documents under names, with compare-and-swap, in an SQLite file or in a PostgreSQL database. The log says that
//! something happened; what must be kept secret about it, or must be forgotten one day, is here (ADR 9).

mod error;
mod key;
mod moving;
mod name;
mod persons;
mod postgres;
mod sqlite;
mod store;
mod vault;

pub use error::VaultError;
pub use key::VaultKey;
pub use moving::Rekeyed;
pub use persons::{PersonError, Persons};
pub use vault::{Entry, Vault};
