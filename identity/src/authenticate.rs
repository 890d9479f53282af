//! Who sends a request: by an access token, or by the key of a service.
//!
//! Whether a session is still there, and which roles the account has, is kept for a second per node: a request costs no
//! reading, and what is taken away is gone within a second everywhere, at once on the node that took it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::TimeDelta;
use event_schemas::{AccountId, ApiKeyId, Timestamp};
use uuid::Uuid;

use crate::{
    AccountRights, AccountSession, Accounts, ApiKeyRights, Authenticated, Claims, Grant, IdentityError, Subject, TokenError,
    api_keys, secret,
};

/// How long an answer is kept.
const KEPT: TimeDelta = TimeDelta::seconds(1);
/// How many answers are kept.
const MOST: usize = 10_000;

/// Answers of the last second.
#[derive(Default)]
pub(crate) struct Cache {
    answers: Mutex<HashMap<Asked, (Timestamp, Answer)>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    Session(AccountSession),
    ApiKey(ApiKeyId),
}

#[derive(Clone)]
enum Answer {
    /// The session is live, and the account has these roles.
    Roles(Vec<String>),
    /// The key has this hash and these rights.
    Key(String, ApiKeyRights),
}

impl Cache {
    fn get(&self, asked: Asked, now: Timestamp) -> Option<Answer> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(&asked).filter(|(at, _)| is_fresh(*at, now)).map(|(_, answer)| answer.clone())
    }

    fn keep(&self, asked: Asked, now: Timestamp, answer: Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST {
            answers.retain(|_, (at, _)| is_fresh(*at, now));
        }
        // Still full: more callers than places within a second. The others are read each time.
        if answers.len() < MOST {
            answers.insert(asked, (now, answer));
        }
    }

    /// What was known of an account does not hold any more.
    pub fn forget_account(&self, account_id: AccountId) {
        let other = |asked: &Asked| !matches!(asked, Asked::Session(who) if who.account_id == account_id);
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).retain(|asked, _| other(asked));
    }

    /// What was known of a key does not hold any more.
    pub fn forget_key(&self, id: ApiKeyId) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&Asked::ApiKey(id));
    }
}

fn is_fresh(at: Timestamp, now: Timestamp) -> bool {
    // A clock that was set back makes an answer from the future.
    at <= now && now - at < KEPT
}

impl Accounts {
    /// Who sends a request, by what stands after `Bearer`: an access token of a session, one that was made on the machine, or
    /// an API key (`dbk_…`).
    ///
    /// # Errors
    /// [`TokenError::Expired`] or [`TokenError::Invalid`] for the caller; [`TokenError::Unavailable`] when it cannot be found
    /// out.
    pub async fn authenticate(&self, bearer: &str, now: Timestamp) -> Result<Authenticated, TokenError> {
        if bearer.starts_with(api_keys::PREFIX) {
            return self.by_key(bearer, now).await;
        }
        let Claims { subject, grant, expires_at } = self.keys().verify(bearer, now).await?;
        let expires_at = Some(expires_at);
        match grant {
            Grant::Operator { role } => {
                let name = Some(subject).filter(|name| !name.is_empty());
                Ok(Authenticated { subject: Subject::Operator { name, role }, expires_at })
            }
            Grant::Session { session_id } => {
                let account_id = Uuid::try_parse(&subject).map(AccountId).map_err(|_| TokenError::Invalid)?;
                let roles = self.roles_of_session(AccountSession { account_id, session_id }, now).await?;
                Ok(Authenticated { subject: Subject::Account { id: account_id, session: session_id, roles }, expires_at })
            }
        }
    }

    async fn roles_of_session(&self, who: AccountSession, now: Timestamp) -> Result<Vec<String>, TokenError> {
        if let Some(Answer::Roles(roles)) = self.shared.cache.get(Asked::Session(who), now) {
            return Ok(roles);
        }
        let live = self.session(who).await.map_err(unavailable)?.is_some();
        let AccountRights { roles, disabled, .. } = match self.rights_of(who.account_id).await {
            Ok(rights) => rights,
            Err(IdentityError::Refused(_)) => return Err(TokenError::Invalid),
            Err(error) => return Err(unavailable(error)),
        };
        if !live || disabled {
            return Err(TokenError::Invalid);
        }
        self.shared.cache.keep(Asked::Session(who), now, Answer::Roles(roles.clone()));
        Ok(roles)
    }

    async fn by_key(&self, key: &str, now: Timestamp) -> Result<Authenticated, TokenError> {
        let (id, given) = api_keys::read(key).ok_or(TokenError::Invalid)?;
        let asked = Asked::ApiKey(id);
        let (hash, rights) = match self.shared.cache.get(asked, now) {
            Some(Answer::Key(hash, rights)) => (hash, rights),
            _ => {
                let hash = self.api_key_hash(id).await.map_err(unavailable)?.ok_or(TokenError::Invalid)?;
                let rights = self.shared.rights.api_key(id).await.map_err(TokenError::Unavailable)?;
                let rights = rights.ok_or(TokenError::Invalid)?;
                self.shared.cache.keep(asked, now, Answer::Key(hash.clone(), rights.clone()));
                (hash, rights)
            }
        };
        if !secret::same(&hash, &given) || rights.revoked {
            return Err(TokenError::Invalid);
        }
        if rights.expires_at.is_some_and(|end| end <= now) {
            return Err(TokenError::Expired);
        }
        let subject = Subject::ApiKey { id, permissions: rights.permissions };
        Ok(Authenticated { subject, expires_at: rights.expires_at })
    }

    /// The rights of an account that there is.
    pub(crate) async fn rights_of(&self, account_id: AccountId) -> Result<AccountRights, IdentityError> {
        let rights = self.shared.rights.account(account_id).await.map_err(IdentityError::Unavailable)?;
        rights.ok_or_else(IdentityError::no_account)
    }
}

fn unavailable(error: IdentityError) -> TokenError {
    TokenError::Unavailable(error.to_string())
}
