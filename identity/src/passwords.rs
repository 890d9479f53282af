//! Passwords: which are taken (NIST SP 800-63B), and how they are hashed (Argon2id, RFC 9106).
//!
//! The library that estimates guesses, zxcvbn 3.1, is not used: of the 3,000 most common passwords of this length it has 1,164
//! below 10^8 guesses, a hundred characters can keep it busy for a second, and where overflow is checked, as it is here, it
//! panics on some of 32 and more.

use std::{collections::HashSet, sync::Arc, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{Ident, SaltString},
};
use rand::{RngCore as _, rngs::OsRng};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::{IdentityError, IdentityRefusal};

/// The fewest and the most characters of a password.
const CHARACTERS: std::ops::RangeInclusive<usize> = 12..=128;
/// RFC 9106 recommends 16 bytes of salt.
const SALT_BYTES: usize = 16;
/// With fewer different characters, words taken out, it repeats itself, as what is typed to get past a length does.
const DIFFERENT_CHARACTERS: usize = 5;
/// What must be left of a password when words are taken out that anybody would try here: NIST's least for any password.
const CHARACTERS_BESIDE_WORDS: usize = 8;
/// Shorter words are parts of too many others to be looked for.
const SHORTEST_WORD: usize = 4;
/// What anybody would try here, beside the words of the shop's name and host and of the e-mail address.
const OUR_WORDS: [&str; 2] = ["daybook", "password"];
/// The most common passwords that are long enough: those that are tried first. The file says how they are written.
static COMMON: LazyLock<HashSet<u64>> = LazyLock::new(|| {
    let lines = include_str!("common_passwords.txt").lines();
    lines.filter_map(|line| u64::from_str_radix(line, 16).ok()).collect()
});

/// How passwords are hashed.
#[derive(Debug, Clone)]
pub struct Hashing {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// How many are hashed at once.
    pub workers: usize,
    /// How many may wait; one more is refused as overload.
    pub waiting: usize,
}

impl Default for Hashing {
    /// 19 MiB, two passes, one lane: what OWASP asks for at least. As many at once as there are cores, and 64 that wait.
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1, workers, waiting: 64 }
    }
}

/// Whether a password is the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is another.
    Wrong,
    /// It is.
    Right,
    /// It is, and was hashed in another way than passwords are hashed now: hash it again.
    Outdated,
}

/// Hashes passwords, a few at a time: each takes memory and a core, and strangers decide how many are asked for.
pub struct Passwords {
    params: Params,
    workers: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Passwords {
    /// Hashes in this way.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] if Argon2 does not take the parameters.
    pub fn new(hashing: &Hashing) -> Result<Self, IdentityError> {
        let params = Params::new(hashing.memory_kib, hashing.passes, hashing.lanes, None).map_err(broken)?;
        let workers = hashing.workers.max(1);
        let places = Arc::new(Semaphore::new(workers + hashing.waiting));
        Ok(Self { params, workers: Arc::new(Semaphore::new(workers)), places })
    }

    /// The hash of a password with a new salt, in the PHC string format.
    ///
    /// # Errors
    /// [`IdentityError::Overloaded`], or [`IdentityError::Unavailable`] if hashing fails.
    pub async fn hash(&self, password: String) -> Result<String, IdentityError> {
        self.work(move |argon2| {
            let mut salt = [0; SALT_BYTES];
            OsRng.fill_bytes(&mut salt);
            let salt = SaltString::encode_b64(&salt).map_err(broken)?;
            Ok(argon2.hash_password(password.as_bytes(), &salt).map_err(broken)?.to_string())
        })
        .await
    }

    /// Whether a password is the one of this hash. Without a hash it takes as long, and is wrong.
    ///
    /// # Errors
    /// As [`Passwords::hash`].
    pub async fn check(&self, password: String, hash: Option<String>) -> Result<Checked, IdentityError> {
        self.work(move |argon2| {
            let Some(hash) = hash else {
                let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
                argon2.hash_password_into(password.as_bytes(), &[0; SALT_BYTES], &mut out).map_err(broken)?;
                return Ok(Checked::Wrong);
            };
            let hash = PasswordHash::new(&hash).map_err(broken)?;
            match argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) if is_current(&hash, argon2.params()) => Ok(Checked::Right),
                Ok(()) => Ok(Checked::Outdated),
                Err(argon2::password_hash::Error::Password) => Ok(Checked::Wrong),
                Err(error) => Err(broken(error)),
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(Argon2<'static>) -> Result<T, IdentityError> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| IdentityError::overloaded())?;
        let worker = self.workers.clone().acquire_owned().await.map_err(broken)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        // Both are given back when the work is done, also if the caller has gone away by then.
        let work = move || {
            let answer = work(argon2);
            drop((worker, place));
            answer
        };
        tokio::task::spawn_blocking(work).await.map_err(broken)?
    }
}

fn is_current(hash: &PasswordHash<'_>, params: &Params) -> bool {
    let same = |theirs: Params| {
        (theirs.m_cost(), theirs.t_cost(), theirs.p_cost()) == (params.m_cost(), params.t_cost(), params.p_cost())
    };
    hash.algorithm == Ident::from(Algorithm::Argon2id)
        && hash.version == Some(Version::V0x13.into())
        && Params::try_from(hash).is_ok_and(same)
}

fn broken(error: impl std::fmt::Display) -> IdentityError {
    IdentityError::Unavailable(format!("a password could not be hashed: {error}"))
}

/// Refuses a new password that is too easy to guess. There is no other rule: not which characters, not how often it changes.
pub(crate) fn must_be_good(password: &str, email: &str, shop: &str, field: &'static str) -> Result<(), IdentityRefusal> {
    let characters = password.chars().count();
    if characters < *CHARACTERS.start() {
        return Err(IdentityRefusal::PasswordTooShort { field });
    }
    if characters > *CHARACTERS.end() {
        return Err(IdentityRefusal::PasswordTooLong { field });
    }
    let password = password.to_lowercase();
    let rest = beside_words(&password, email, shop);
    let is_easy = is_common(&password)
        || rest.chars().count() < CHARACTERS_BESIDE_WORDS
        || rest.chars().collect::<HashSet<_>>().len() < DIFFERENT_CHARACTERS;
    if is_easy { Err(IdentityRefusal::PasswordTooCommon { field }) } else { Ok(()) }
}

/// Whether it is one of those that are tried first.
fn is_common(lowercase: &str) -> bool {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(lowercase).into();
    COMMON.contains(&u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// What is left of a password without the words of the shop's names and of the e-mail address.
fn beside_words(lowercase: &str, email: &str, shop: &str) -> String {
    let (email, shop) = (email.to_lowercase(), shop.to_lowercase());
    let local = email.split_once('@').map_or("", |(local, _)| local);
    let parts = [&*email, &*shop].into_iter().flat_map(|text| text.split(|part: char| !part.is_alphanumeric()));
    let mut words: Vec<&str> = parts.chain([&*email, local]).chain(OUR_WORDS).collect();
    words.retain(|word| word.chars().count() >= SHORTEST_WORD);
    // The longest first: the whole address before its parts.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.iter().fold(lowercase.to_owned(), |left, word| left.replace(word, ""))
}

/// Whether it may be a password at all; hashing what is longer would only keep a core busy.
pub(crate) fn may_be_one(password: &str) -> bool {
    password.chars().count() <= *CHARACTERS.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(password: &str) -> Result<(), &'static str> {
        let good = must_be_good(password, "ana.the.buyer@example.com", "Chapter & Verse shop.booklovers.example", "password");
        good.map_err(|refusal| refusal.code())
    }

    #[test]
    fn only_what_is_short_long_or_easy_to_guess_is_refused() {
        for good in ["correct horse battery", "482917365028", "xkqvwzjmbtfr", &"über den Fluß ".repeat(9)] {
            assert_eq!(code(good), Ok(()), "{good}");
        }
        assert_eq!(code("elevenchars"), Err("PASSWORD_TOO_SHORT"));
        assert_eq!(code(&"longer still!".repeat(10)), Err("PASSWORD_TOO_LONG"));
        let repeated = ["            ", "abababababab", "123412341234", &"ü".repeat(128)];
        for easy in repeated.into_iter().chain(["Password1234", "Qwertyuiop12", "IloveYou1234", "1qaz2wsx3edc"]) {
            assert_eq!(code(easy), Err("PASSWORD_TOO_COMMON"), "{easy}");
        }
    }

    #[test]
    fn words_of_the_shop_and_of_the_address_do_not_count() {
        let of_the_address = ["ana.the.BUYER@example.com", "Ana.The.Buyer", "ana.the.buyer1", "Buyer-Example-1984"];
        let of_the_shop = [
            "Daybook2024!",
            "mydaybookshop",
            "PASSWORDofDAYBOOK",
            "chapter&verse",
            "Chapter & Verse",
            "versechapterverse",
            "BookLovers99",
            "daybook11111111",
        ];
        for easy in of_the_address.into_iter().chain(of_the_shop) {
            assert_eq!(code(easy), Err("PASSWORD_TOO_COMMON"), "{easy}");
        }
        assert_eq!(code("daybook of a quiet lighthouse"), Ok(()), "enough is left");
    }

    #[test]
    fn five_thousand_common_ones_that_would_be_taken_otherwise_are_known() {
        let lines = include_str!("common_passwords.txt").lines().filter(|line| !line.starts_with("# "));
        assert_eq!((COMMON.len(), lines.count()), (5_000, 5_000), "every line is read, and none is there twice");
    }
}
