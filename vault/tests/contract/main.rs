//! The contract of a vault: both stores pass the same tests, and what only one of them can do wrong is tested beside them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod entries;
mod file;
mod persons;
mod races;
mod rekey;
mod server;

use vault::{Vault, VaultKey};

/// A place for a vault that any number of nodes may open.
pub struct Place(pub String);

impl Place {
    /// Opens it as one more node.
    pub async fn node(&self) -> Vault {
        Vault::open(&self.0, key()).await.unwrap()
    }
}

/// The key of every vault here.
pub fn key() -> VaultKey {
    VaultKey::from_bytes([7; 32])
}

/// The address of a vault in a folder.
pub fn in_folder(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("vault.db").display())
}

/// Makes a test of each function for each store. A function takes a place where no vault is yet.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(&crate::Place(crate::in_folder(&folder))).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(server) = test_postgres::Postgres::start() else { return };
                super::$name(&crate::Place(server.database("shop"))).await;
            })+
        }
    };
}

use contract;
