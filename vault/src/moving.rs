//! Moving a vault elsewhere, and replacing its key.
//!
//! Both are for a vault that nobody uses meanwhile: a process that has it open knows the old place and the old key. One that
//! goes on after the key was replaced changes nothing any more ([`VaultError::KeyReplaced`]). Names that
//! are keyed fingerprints ([`Vault::blind`]) must stay what they are, so the key that blinds them is kept, sealed, beside the
//! mark of the vault; only values are sealed anew.

use std::sync::Arc;

use crate::{
    Vault, VaultError, VaultKey,
    key::Keyring,
    store::{Change, Range, Reseal, Row},
    vault::{UNFINISHED, now},
};

/// Entries that are read at once.
const PAGE: u32 = 500;

/// A vault whose key was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// How many entries were sealed anew.
    pub entries: u64,
    /// Why the disk may still have what was sealed with the old key. The new key is the vault's all the same.
    pub not_cleaned: Option<VaultError>,
}

impl Vault {
    /// Copies everything that has not expired into a new vault, there and under this key. What is copied has other versions.
    ///
    /// # Errors
    /// [`VaultError::NotEmpty`] if there is something in it; [`VaultError::Damaged`] if an entry here is; otherwise as
    /// [`Vault::open`]. After an error the new vault has a part of it, and is not opened any more: remove it.
    pub async fn copy_to(&self, url: &str, key: VaultKey) -> Result<(Self, u64), VaultError> {
        let to = Self::open(url, key.clone()).await?;
        if !to.store.list(everything(None, 1), now()).await?.is_empty() {
            return Err(VaultError::NotEmpty(to.store.name().to_owned()));
        }
        let keyring = self.keyring.with_another_key(&key);
        to.store.rekey(reseal(&to.keyring, &keyring), check(&keyring, to.store.name())?).await?;
        let to = Self::open(url, key).await?;
        // Nobody takes a part for the whole, however this ends.
        to.put(UNFINISHED, None, &(), None).await?;
        let (mut after, mut copied) = (None::<String>, 0);
        loop {
            let page = self.store.list(everything(after.take(), PAGE), now()).await?;
            for row in &page {
                let sealed = sealed_anew(&self.keyring, &to.keyring, row)?;
                let change = Change { name: row.name.clone(), expected: None, expires_at: row.expires_at, sealed };
                to.store.put(change, now()).await?;
                copied += 1;
            }
            match page.into_iter().next_back() {
                Some(last) => after = Some(last.name),
                None => break,
            }
        }
        to.remove(UNFINISHED).await?;
        Ok((to, copied))
    }

    /// Seals everything with another key, in one transaction, and takes what was sealed with the old one off the disk as far as
    /// the database can. From then on the vault opens with the new key only, also when the disk could not be cleaned.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] if an entry is, [`VaultError::KeyReplaced`] if another has replaced the key since this was opened,
    /// and nothing was changed then; [`VaultError::Unavailable`]: open it with either key to find out.
    pub async fn rekey(self, key: &VaultKey) -> Result<Rekeyed, VaultError> {
        let keyring = self.keyring.with_another_key(key);
        let entries = self.store.rekey(reseal(&self.keyring, &keyring), check(&keyring, self.store.name())?).await?;
        // An error from here on would read as if the old key were still the vault's.
        Ok(Rekeyed { entries, not_cleaned: self.store.purge().await.err() })
    }
}

fn check(keyring: &Keyring, name: &str) -> Result<Vec<u8>, VaultError> {
    keyring.check_entry().ok_or_else(|| VaultError::Unavailable(name.to_owned(), "its key cannot be used".to_owned()))
}

fn reseal(from: &Arc<Keyring>, to: &Arc<Keyring>) -> Reseal {
    let (from, to) = (Arc::clone(from), Arc::clone(to));
    Arc::new(move |row| sealed_anew(&from, &to, row))
}

fn sealed_anew(from: &Keyring, to: &Keyring, row: &Row) -> Result<Vec<u8>, VaultError> {
    let damaged = |reason: &str| VaultError::Damaged(row.name.clone(), reason.to_owned());
    let value = from.open(&row.name, row.expires_at, &row.sealed);
    let value = value.ok_or_else(|| damaged("it was not written with this vault's key for this name"))?;
    to.seal(&row.name, row.expires_at, &value).ok_or_else(|| damaged("it is too long to be encrypted"))
}

/// Every name: they are printable ASCII.
fn everything(after: Option<String>, limit: u32) -> Range {
    Range { from: String::new(), to: "\x7f".to_owned(), after, limit }
}
