//! Keys of persons: what seals and opens personal data that stands in the log.
//!
//! Each person has a random key, and a text that is sealed with it can be read by whoever has the key. So erasing a person is
//! destroying one key: the texts in the log, in views, snapshots, exports and backups stay where they are and say nothing any
//! more (ADR 16). Keys live in pages of 64 to a document, of which a process takes a whole one at once, so that a purchase
//! writes nothing here; that some keys of a page are never used does no harm.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use event_schemas::{CustomerId, Held, PersonId, Personal, PersonalText};
use lru::LruCache;
use rand::{RngCore as _, rngs::OsRng};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use uuid::Uuid;

use crate::{Vault, VaultError, key::KEY_BYTES};

/// How many keys a document has. A person's id says which document and which key: its last six bits are the place.
const PAGE_KEYS: u8 = 64;
/// How long a key that another node has destroyed may still be used here.
const REMEMBERED: Duration = Duration::from_secs(5);
/// How many pages are kept in memory: the keys of some 30,000 persons, 4 MB.
const MOST_PAGES: NonZeroUsize = match NonZeroUsize::new(512) {
    Some(pages) => pages,
    None => NonZeroUsize::MIN,
};
/// How often a page is rewritten when others rewrite it at the same time.
const ATTEMPTS: usize = 64;
/// 192 bits: random ones do not repeat, whatever the number of texts.
const NONCE_BYTES: usize = 24;

type Key = [u8; KEY_BYTES];

/// A document of keys, by place.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Page {
    keys: BTreeMap<u8, String>,
}

/// Who a customer is. The customer's id is repeated because the document's name does not show it.
#[derive(Serialize, Deserialize)]
struct Known {
    customer: CustomerId,
    person: PersonId,
}

/// Why personal data could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    /// The vault cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The person's key was destroyed: nothing can be sealed for them any more.
    #[error("the person {0} was erased")]
    Erased(PersonId),
    /// A text was changed, or is not what was asked for. It is not repeated.
    #[error("personal data of {0} is damaged")]
    Damaged(PersonId),
    /// A value that has no JSON form, or is too long.
    #[error("personal data cannot be sealed")]
    Unsealable,
}

/// The persons of a shop. A clone is the same.
#[derive(Clone)]
pub struct Persons {
    shared: Arc<Shared>,
}

/// Pages of keys as they were read, and when.
type Pages = LruCache<Uuid, (Instant, Arc<BTreeMap<u8, Key>>)>;

struct Shared {
    vault: Vault,
    /// Persons whose keys are written and whom nobody has been given yet.
    unused: AsyncMutex<Vec<PersonId>>,
    pages: Mutex<Pages>,
    /// Whether something destroyed may still be on the store's disk. So it is at first: an earlier process may have died.
    purge_due: AtomicBool,
    /// Held by whoever frees the store's disk. That may take minutes, and whoever else waits for it holds no session of the
    /// store.
    purging: AsyncMutex<()>,
}

/// Sets a flag again on its way out, if it is to stay.
struct Due<'a> {
    flag: &'a AtomicBool,
    stays: bool,
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.flag.fetch_or(self.stays, SeqCst);
    }
}

impl Persons {
    /// The persons whose keys are in a vault.
    pub fn new(vault: Vault) -> Self {
        let (unused, pages) = (AsyncMutex::default(), Mutex::new(LruCache::new(MOST_PAGES)));
        let (purge_due, purging) = (AtomicBool::new(true), AsyncMutex::default());
        Self { shared: Arc::new(Shared { vault, unused, pages, purge_due, purging }) }
    }

    /// Somebody who was not known before, with a key of their own.
    ///
    /// # Errors
    /// [`PersonError::Vault`] if new keys are needed and cannot be written.
    pub async fn somebody(&self) -> Result<PersonId, PersonError> {
        let mut unused = self.shared.unused.lock().await;
        if unused.is_empty() {
            *unused = self.new_page().await?;
        }
        unused.pop().ok_or(PersonError::Unsealable)
    }

    /// The person who a customer is; somebody new when the customer was not met before, or their key was destroyed meanwhile.
    ///
    /// # Errors
    /// [`PersonError::Vault`].
    pub async fn of_customer(&self, customer: &CustomerId) -> Result<PersonId, PersonError> {
        let name = self.customer_name(customer);
        let before = self.shared.vault.get::<Known>(&name).await?;
        if let Some(entry) = &before
            && self.is_readable(entry.value.person).await?
        {
            return Ok(entry.value.person);
        }
        let known = Known { customer: customer.clone(), person: self.somebody().await? };
        match self.shared.vault.put(&name, before.map(|entry| entry.version), &known, None).await {
            Ok(_) => Ok(known.person),
            // Another request was faster.
            Err(VaultError::Conflict) => self.known_customer(customer).await?.ok_or(VaultError::Conflict.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The person who a customer is, if they were met before and not erased since.
    ///
    /// # Errors
    /// [`PersonError::Vault`].
    pub async fn known_customer(&self, customer: &CustomerId) -> Result<Option<PersonId>, PersonError> {
        Ok(self.shared.vault.get::<Known>(&self.customer_name(customer)).await?.map(|known| known.value.person))
    }

    /// Whether the person's data can be read: their key was not destroyed.
    ///
    /// # Errors
    /// [`PersonError::Vault`].
    pub async fn is_readable(&self, person: PersonId) -> Result<bool, PersonError> {
        Ok(self.key(person).await?.is_some())
    }

    /// Whether the person's key is or was in this vault. Of whom it is not, the vault is another's, or older than they are: it
    /// cannot say that they were erased.
    ///
    /// # Errors
    /// [`PersonError::Vault`].
    pub async fn is_known(&self, person: PersonId) -> Result<bool, PersonError> {
        let (page, _) = place_of(person);
        // Destroying keys removes no page.
        Ok(self.shared.vault.get::<Page>(&page_name(page)).await?.is_some())
    }

    /// Seals a value for a person.
    ///
    /// # Errors
    /// [`PersonError::Erased`] if they have no key any more, [`PersonError::Vault`], or [`PersonError::Unsealable`].
    pub async fn seal<T: Serialize>(&self, person: PersonId, value: &T) -> Result<Personal<T>, PersonError> {
        let json = serde_json::to_vec(value).map_err(|_| PersonError::Unsealable)?;
        Ok(Personal::sealed(person, &self.seal_bytes(person, &json).await?))
    }

    /// Seals a text of an event for a person, where it stands; one that is sealed stays as it is.
    ///
    /// # Errors
    /// As [`Persons::seal`].
    pub async fn seal_in_place(&self, person: PersonId, mut text: PersonalText<'_>) -> Result<(), PersonError> {
        if let Some(json) = text.unsealed() {
            let bytes = self.seal_bytes(person, json.as_bytes()).await?;
            text.seal(person, &bytes);
        }
        Ok(())
    }

    /// Opens a value; none when the person was erased. What was recorded before personal data was sealed is read as it is.
    ///
    /// # Errors
    /// [`PersonError::Damaged`] for what was not sealed so, [`PersonError::Vault`].
    pub async fn open<T: DeserializeOwned>(&self, personal: &Personal<T>) -> Result<Option<T>, PersonError> {
        match personal.held() {
            Held::Plain(_) => Ok(personal.plain()),
            Held::Sealed { person, bytes } => {
                let Some(json) = self.unseal(person, &bytes).await? else { return Ok(None) };
                serde_json::from_slice(&json).map(Some).map_err(|_| PersonError::Damaged(person))
            }
        }
    }

    /// Opens the texts of an event's payload that are sealed (`Recorded::sealed_texts`): the value takes the text's place, and
    /// null when the person was erased. Any other text stays as it is, also when it looks sealed: somebody typed it.
    ///
    /// # Errors
    /// As [`Persons::open`].
    pub async fn open_json(&self, document: &mut Value, sealed: &BTreeMap<String, PersonId>) -> Result<(), PersonError> {
        let mut rest = vec![document];
        while let Some(value) = rest.pop() {
            match value {
                Value::String(text) => {
                    if sealed.contains_key(text)
                        && let Ok(personal) = Personal::<Value>::parse(text.as_str())
                    {
                        *value = self.open(&personal).await?.unwrap_or(Value::Null);
                    }
                }
                Value::Array(items) => rest.extend(items),
                Value::Object(fields) => rest.extend(fields.values_mut()),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        Ok(())
    }

    /// Frees the store's disk of what was destroyed until now. Until it succeeds it stays due, also when whoever waits for it
    /// goes away. Of many who ask at once one does it, and after that one for all the others.
    ///
    /// # Errors
    /// [`PersonError::Vault`].
    pub async fn purge(&self) -> Result<(), PersonError> {
        self.shared.purge_due.store(true, SeqCst);
        self.purge_if_due().await
    }

    /// [`Persons::purge`], if a key was destroyed since it last succeeded, or it never did in this process.
    ///
    /// # Errors
    /// [`PersonError::Vault`].
    pub async fn purge_if_due(&self) -> Result<(), PersonError> {
        let _turn = self.shared.purging.lock().await;
        if !self.shared.purge_due.swap(false, SeqCst) {
            return Ok(());
        }
        let mut due = Due { flag: &self.shared.purge_due, stays: true };
        self.shared.vault.purge().await?;
        due.stays = false;
        Ok(())
    }

    /// Destroys the key that a customer has, and forgets who they are: in this order, since it tells that something is left to
    /// do. May be repeated.
    ///
    /// # Errors
    /// [`PersonError::Vault`].
    pub async fn forget_customer(&self, customer: &CustomerId, person: PersonId) -> Result<(), PersonError> {
        self.destroy_key(person).await?;
        self.shared.vault.remove(&self.customer_name(customer)).await?;
        Ok(())
    }

    /// Destroys the key of a person; the store's disk may still have it until [`Persons::purge`]. May be repeated.
    ///
    /// # Errors
    /// [`PersonError::Vault`].
    pub async fn destroy_key(&self, person: PersonId) -> Result<(), PersonError> {
        let (page, place) = place_of(person);
        let name = page_name(page);
        for _ in 0..ATTEMPTS {
            self.pages().pop(&page);
            let Some(mut entry) = self.shared.vault.get::<Page>(&name).await? else { return Ok(()) };
            if entry.value.keys.remove(&place).is_none() {
                return Ok(());
            }
            self.shared.purge_due.store(true, SeqCst);
            match self.shared.vault.put(&name, Some(entry.version), &entry.value, None).await {
                Ok(_) => {
                    // Whoever purged in between did not see this.
                    self.shared.purge_due.store(true, SeqCst);
                    self.pages().pop(&page);
                    return Ok(());
                }
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Conflict.into())
    }

    async fn seal_bytes(&self, person: PersonId, json: &[u8]) -> Result<Vec<u8>, PersonError> {
        let key = self.key(person).await?.ok_or(PersonError::Erased(person))?;
        let mut nonce = [0; NONCE_BYTES];
        OsRng.fill_bytes(&mut nonce);
        let payload = Payload { msg: json, aad: &bound(person) };
        let sealed = XChaCha20Poly1305::new(&key.into()).encrypt(&XNonce::from(nonce), payload);
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed.map_err(|_| PersonError::Unsealable)?);
        Ok(bytes)
    }

    async fn unseal(&self, person: PersonId, bytes: &[u8]) -> Result<Option<Vec<u8>>, PersonError> {
        let Some(key) = self.key(person).await? else { return Ok(None) };
        let Some((nonce, sealed)) = bytes.split_first_chunk::<NONCE_BYTES>() else { return Err(PersonError::Damaged(person)) };
        let payload = Payload { msg: sealed, aad: &bound(person) };
        let opened = XChaCha20Poly1305::new(&key.into()).decrypt(&XNonce::from(*nonce), payload);
        opened.map(Some).map_err(|_| PersonError::Damaged(person))
    }

    async fn key(&self, person: PersonId) -> Result<Option<Key>, PersonError> {
        let (page, place) = place_of(person);
        let fresh = |(read_at, _): &&(Instant, Arc<BTreeMap<u8, Key>>)| read_at.elapsed() < REMEMBERED;
        let kept = self.pages().get(&page).filter(fresh).map(|(_, keys)| Arc::clone(keys));
        let keys = match kept {
            Some(keys) => keys,
            None => {
                let read_at = Instant::now();
                let found = self.shared.vault.get::<Page>(&page_name(page)).await?.map(|entry| entry.value).unwrap_or_default();
                let keys = Arc::new(found.keys()?);
                self.pages().put(page, (read_at, Arc::clone(&keys)));
                keys
            }
        };
        Ok(keys.get(&place).copied())
    }

    /// Writes a page of new keys, and answers whose they are.
    async fn new_page(&self) -> Result<Vec<PersonId>, PersonError> {
        let page = Uuid::from_u128(Uuid::new_v4().as_u128() & !u128::from(PAGE_KEYS - 1));
        let keys: BTreeMap<u8, Key> = (0..PAGE_KEYS).map(|place| (place, random_key())).collect();
        let document = Page { keys: keys.iter().map(|(place, key)| (*place, BASE64_STANDARD.encode(key))).collect() };
        let read_at = Instant::now();
        self.shared.vault.put(&page_name(page), None, &document, None).await?;
        self.pages().put(page, (read_at, Arc::new(keys)));
        Ok((0..PAGE_KEYS).rev().map(|place| PersonId(Uuid::from_u128(page.as_u128() | u128::from(place)))).collect())
    }

    fn customer_name(&self, customer: &CustomerId) -> String {
        format!("person/{}", self.shared.vault.blind("customer", customer.as_str()))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.shared.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Persons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Persons")
    }
}

impl Page {
    fn keys(&self) -> Result<BTreeMap<u8, Key>, VaultError> {
        let damaged = || VaultError::Damaged("person-keys".to_owned(), "a key is not 32 bytes in base64".to_owned());
        let key = |(place, text): (&u8, &String)| {
            let bytes = BASE64_STANDARD.decode(text).map_err(|_| damaged())?;
            Ok((*place, Key::try_from(bytes).map_err(|_| damaged())?))
        };
        self.keys.iter().map(key).collect()
    }
}

/// The document of a person's key, and the key's place in it.
fn place_of(person: PersonId) -> (Uuid, u8) {
    let (id, places) = (person.0.as_u128(), u128::from(PAGE_KEYS - 1));
    // Six bits fit.
    (Uuid::from_u128(id & !places), u8::try_from(id & places).unwrap_or_default())
}

fn page_name(page: Uuid) -> String {
    format!("person-keys/{}", page.simple())
}

/// The associated data of a text: it opens as this person's only.
fn bound(person: PersonId) -> Vec<u8> {
    [b"daybook person, 1".as_slice(), person.0.as_bytes()].concat()
}

fn random_key() -> Key {
    let mut key = [0; KEY_BYTES];
    OsRng.fill_bytes(&mut key);
    key
}
