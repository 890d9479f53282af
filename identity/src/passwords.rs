//! Passwords: which are taken (NIST SP 800-63B), and how they are hashed (Argon2id, RFC 9106).

use std::{collections::HashSet, sync::Arc, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{Ident, SaltString},
};
use rand::{RngCore as _, rngs::OsRng};
use tokio::sync::Semaphore;

use crate::{IdentityError, IdentityRefusal, email};

/// The fewest and the most characters of a password.
const CHARACTERS: std::ops::RangeInclusive<usize> = 12..=128;
/// RFC 9106 recommends 16 bytes of salt.
const SALT_BYTES: usize = 16;
/// The most common passwords that are long enough, in lower case: those that are tried first.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

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
pub(crate) fn must_be_good(password: &str, email: &str, field: &'static str) -> Result<(), IdentityRefusal> {
    let characters = password.chars().count();
    if characters < *CHARACTERS.start() {
        return Err(IdentityRefusal::PasswordTooShort { field });
    }
    if characters > *CHARACTERS.end() {
        return Err(IdentityRefusal::PasswordTooLong { field });
    }
    let (password, email) = (password.to_lowercase(), email::key(email));
    let local = email.split_once('@').map_or("", |(local, _)| local);
    if COMMON.contains(&*password) || password == email || password == local {
        return Err(IdentityRefusal::PasswordTooCommon { field });
    }
    Ok(())
}

/// Whether it may be a password at all; hashing what is longer would only keep a core busy.
pub(crate) fn may_be_one(password: &str) -> bool {
    password.chars().count() <= *CHARACTERS.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_short_long_common_or_the_address_is_refused() {
        let email = "ana.the.buyer@example.com";
        let code = |password: &str| must_be_good(password, email, "password").map_err(|refusal| refusal.code());
        assert_eq!(code("correct horse battery"), Ok(()));
        assert_eq!(code("            "), Ok(()));
        assert_eq!(code(&"ü".repeat(128)), Ok(()));
        assert_eq!(code("elevenchars"), Err("PASSWORD_TOO_SHORT"));
        assert_eq!(code(&"x".repeat(129)), Err("PASSWORD_TOO_LONG"));
        for easy in ["Password1234", "123456789012", "ana.the.BUYER@example.com", "Ana.The.Buyer"] {
            assert_eq!(code(easy), Err("PASSWORD_TOO_COMMON"), "{easy}");
        }
    }

    #[test]
    fn the_list_of_common_ones_is_a_hundred_that_would_be_taken_otherwise() {
        assert_eq!(COMMON.len(), 100);
        assert!(COMMON.iter().all(|common| CHARACTERS.contains(&common.chars().count()) && common.to_lowercase() == **common));
    }
}
