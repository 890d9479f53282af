//! Sessions: `session/<account>.<session>`, each a family of refresh tokens of which one works at a time.
//!
//! A session that ends is marked in the vault first: from then on it does not count on any node. Then the log is told, then
//! the document goes. A death after the mark leaves a marked session; the next login of the account, or
//! [`crate::Accounts::recover`] after a start, tells the log and removes it. To end all sessions at once is one write: see [`Credentials::epoch`].
//!
//! The end of a session by its own time is no event.

use chrono::TimeDelta;
use domain::{AccountCommand, ChangeAccount};
use event_schemas::{AccountId, Position, SessionEndReason, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vault::{Entry, VaultError};

use crate::{
    ACCESS_TTL, AccountSession, Accounts, Grant, IdentityError, IdentityRefusal, Origin, SessionInfo, SignedIn, Written,
    credentials::{Credentials, Owed},
    letters, secret,
};

/// How long a refresh token holds.
const REFRESH: TimeDelta = TimeDelta::days(7);
/// How long a session can be kept alive by refreshing.
const LONGEST: TimeDelta = TimeDelta::days(30);
/// How long ago a login may be for a change of credentials.
const RECENT: TimeDelta = TimeDelta::minutes(15);
/// How many sessions an account has at most.
const MOST: usize = 20;
/// How many are read at once: expired ones may still be among them.
const PAGE: u32 = 1_000;
/// The longest label of a device, in characters.
const LABEL: usize = 200;
/// How often a change is tried when others change the same session at the same time.
const CHANGES: usize = 16;

/// One session.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub label: Option<String>,
    /// When somebody logged in.
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
    /// Which refresh token in a row it is that works.
    generation: u64,
    /// Its hash.
    refresh_hash: String,
    /// That of the account when somebody logged in; once the account's is higher, this session is over.
    pub epoch: u32,
    /// It is over, and the log is to be told why.
    ending: Option<SessionEndReason>,
}

/// A session with its id and the version of its document.
type Found = (Uuid, Entry<Session>);

/// A refresh token of ours: `dbr_<account>_<session>_<generation>_<random>_<fingerprint>`. The fingerprint says that it was ours
/// once. So an old one is told from a made-up one, without keeping a list of the old.
struct RefreshToken {
    who: AccountSession,
    generation: u64,
}

impl Accounts {
    /// Begins a session for who has just shown who they are, with these credentials.
    pub(crate) async fn sign_in(
        &self,
        account_id: AccountId,
        credentials: Credentials,
        origin: &Origin,
    ) -> Result<SignedIn, IdentityError> {
        let now = self.now();
        let known = credentials.known_device(origin.device_token.as_deref()).is_some();
        let device_token = (!known).then(|| format!("dbd_{}", secret::random_hex()));
        let mut paid = self.pay(account_id, &credentials, origin).await?;
        if let Some(token) = &device_token {
            let know = |credentials: &mut Credentials| {
                credentials.know_device(token, now);
                Ok(())
            };
            self.change(account_id, know).await?;
        }
        paid = self.make_room(account_id, origin).await?.or(paid);
        let session = AccountSession { account_id, session_id: self.new_id() };
        let (refresh_token, refresh_hash) = self.refresh_token(session, 1);
        let kept = Session {
            label: origin.device_label.as_ref().map(|label| label.chars().filter(|c| !c.is_control()).take(LABEL).collect()),
            created_at: now,
            last_used_at: now,
            expires_at: now + REFRESH,
            generation: 1,
            refresh_hash,
            // Not that of the account by now: if the password was changed meanwhile, this session is over before it begins.
            epoch: credentials.epoch,
            ending: None,
        };
        self.vault().put(&name(session), None, &kept, Some(kept.expires_at)).await?;
        tracing::info!(%account_id, session_id = %session.session_id, known_device = known, "somebody has logged in");
        self.signed_in(session, &kept, refresh_token, device_token, paid)
    }

    fn signed_in(
        &self,
        who: AccountSession,
        session: &Session,
        refresh_token: String,
        device_token: Option<String>,
        position: Option<Position>,
    ) -> Result<SignedIn, IdentityError> {
        let grant = Grant::Session { session_id: who.session_id };
        let (access_token, access_expires_at) = self.keys().issue(&who.account_id.to_string(), &grant, ACCESS_TTL, self.now())?;
        Ok(SignedIn {
            account_id: who.account_id,
            session_id: who.session_id,
            access_token,
            access_expires_at,
            refresh_token,
            refresh_expires_at: session.expires_at,
            device_token,
            position,
        })
    }

    /// Another access token and another refresh token for a refresh token. A refresh token that was used before ends its
    /// session: someone has a copy, and nobody can say who of the two is the owner.
    ///
    /// # Errors
    /// [`IdentityRefusal::SessionEnded`] for whatever is wrong with the token, or [`IdentityError`] when a store fails.
    pub async fn refresh(&self, refresh_token: &str, origin: &Origin) -> Result<SignedIn, IdentityError> {
        let ended = || IdentityError::from(IdentityRefusal::SessionEnded);
        let RefreshToken { who, generation } = self.read_refresh_token(refresh_token).ok_or_else(ended)?;
        for _ in 0..CHANGES {
            let now = self.now();
            let Some((Entry { value: mut session, version, .. }, credentials)) = self.session(who).await? else {
                return Err(ended());
            };
            if session.generation > generation {
                self.end_reused(who, &credentials, origin).await?;
                return Err(ended());
            }
            if !secret::same(&session.refresh_hash, &secret::hash(refresh_token)) {
                return Err(ended());
            }
            if self.rights_of(who.account_id).await?.disabled {
                return Err(ended());
            }
            let (next, hash) = self.refresh_token(who, generation + 1);
            (session.generation, session.refresh_hash) = (generation + 1, hash);
            session.last_used_at = now;
            session.expires_at = (now + REFRESH).min(session.created_at + LONGEST);
            match self.vault().put(&name(who), Some(version), &session, Some(session.expires_at)).await {
                Ok(_) => return self.signed_in(who, &session, next, None, None),
                // Another has used it, or ended the session.
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }

    async fn end_reused(&self, who: AccountSession, credentials: &Credentials, origin: &Origin) -> Result<(), IdentityError> {
        self.end(who.account_id, vec![who.session_id], SessionEndReason::TokenReused, origin).await?;
        self.tell_owner(credentials, letters::token_reused);
        Ok(())
    }

    /// Ends the caller's own session.
    ///
    /// # Errors
    /// [`IdentityError`] when a store fails. A session that is over already is no error.
    pub async fn logout(&self, who: AccountSession, origin: &Origin) -> Result<Written, IdentityError> {
        let position = self.end(who.account_id, vec![who.session_id], SessionEndReason::Logout, origin).await?;
        Ok(Written { position })
    }

    /// Ends one session of an account, from another or by staff.
    ///
    /// # Errors
    /// [`IdentityRefusal::SessionNotFound`], or [`IdentityError`] when a store fails.
    pub async fn end_session(&self, account_id: AccountId, session: Uuid, origin: &Origin) -> Result<Written, IdentityError> {
        if self.session(AccountSession { account_id, session_id: session }).await?.is_none() {
            return Err(IdentityRefusal::SessionNotFound.into());
        }
        let position = self.end(account_id, vec![session], SessionEndReason::Revoked, origin).await?;
        Ok(Written { position })
    }

    /// Ends all sessions of an account, the caller's too.
    ///
    /// # Errors
    /// `ACCOUNT_NOT_FOUND`, or [`IdentityError`] when a store fails.
    pub async fn end_all_sessions(&self, account_id: AccountId, origin: &Origin) -> Result<Written, IdentityError> {
        let end = |credentials: &mut Credentials| {
            credentials.end_sessions(SessionEndReason::Revoked, origin.actor());
            Ok(())
        };
        let (_, (), written) = self.change_and_pay(account_id, origin, end).await?;
        Ok(written)
    }

    /// The live sessions of an account, the one that was used last first.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] when the vault fails.
    pub async fn sessions(&self, account_id: AccountId) -> Result<Vec<SessionInfo>, IdentityError> {
        let Some(credentials) = self.credentials(account_id).await? else { return Ok(Vec::new()) };
        let found = self.found(account_id).await?;
        let now = self.now();
        let live = found.into_iter().filter(|(_, entry)| entry.value.is_live(credentials.epoch, now));
        let info = |(id, Entry { value, .. }): Found| SessionInfo {
            id,
            device_label: value.label,
            created_at: value.created_at,
            last_used_at: value.last_used_at,
            expires_at: value.expires_at,
        };
        let mut sessions: Vec<SessionInfo> = live.map(info).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.last_used_at));
        Ok(sessions)
    }

    /// A session that is live, with the credentials of its account.
    pub(crate) async fn session(&self, who: AccountSession) -> Result<Option<(Entry<Session>, Credentials)>, IdentityError> {
        let Some(session) = self.vault().get::<Session>(&name(who)).await? else { return Ok(None) };
        let Some(credentials) = self.credentials(who.account_id).await? else { return Ok(None) };
        let live = session.value.is_live(credentials.epoch, self.now());
        Ok(live.then_some((session, credentials)))
    }

    /// The credentials of who logged in a short while ago: they may change how to log in. Who has found an open browser may not.
    pub(crate) async fn recent(&self, who: AccountSession) -> Result<Credentials, IdentityError> {
        let (session, credentials) = self.session(who).await?.ok_or(IdentityRefusal::SessionEnded)?;
        if session.value.created_at + RECENT < self.now() {
            return Err(IdentityRefusal::LoginTooOld.into());
        }
        Ok(credentials)
    }

    async fn found(&self, account_id: AccountId) -> Result<Vec<Found>, IdentityError> {
        let prefix = format!("session/{}.", account_id.0.simple());
        let entries = self.vault().list::<Session>(&prefix, None, PAGE).await?;
        Ok(entries.into_iter().filter_map(|(name, entry)| Some((name.strip_prefix(&prefix)?.parse().ok()?, entry))).collect())
    }

    /// Tells the log of sessions that a death has left marked, and ends the oldest if there is no room for one more.
    async fn make_room(&self, account_id: AccountId, origin: &Origin) -> Result<Option<Position>, IdentityError> {
        let mut position = None;
        let (marked, mut live): (Vec<Found>, Vec<Found>) =
            self.found(account_id).await?.into_iter().partition(|(_, entry)| entry.value.ending.is_some());
        for (id, entry) in marked {
            if let Some(reason) = entry.value.ending {
                position = self.bury(account_id, vec![id], reason, origin).await?.or(position);
            }
        }
        let too_many = (live.len() + 1).saturating_sub(MOST);
        if too_many > 0 {
            live.sort_by_key(|(_, entry)| entry.value.last_used_at);
            let oldest = live.into_iter().take(too_many).map(|(id, _)| id).collect();
            position = self.end(account_id, oldest, SessionEndReason::TooMany, origin).await?.or(position);
        }
        Ok(position)
    }

    /// Tells the log of all sessions that a death has left marked, and answers how many that were.
    pub(crate) async fn bury_marked(&self) -> Result<u64, IdentityError> {
        let (mut after, mut buried) = (None::<String>, 0);
        loop {
            let page = self.vault().list::<Session>("session/", after.as_deref(), PAGE).await?;
            for (name, entry) in &page {
                let Some((reason, who)) = entry.value.ending.zip(who_of(name)) else { continue };
                self.bury(who.account_id, vec![who.session_id], reason, &Origin::default()).await?;
                buried += 1;
            }
            match page.into_iter().next_back() {
                Some((last, _)) => after = Some(last),
                None => return Ok(buried),
            }
        }
    }

    /// Marks sessions, tells the log, and removes them.
    async fn end(
        &self,
        account_id: AccountId,
        sessions: Vec<Uuid>,
        reason: SessionEndReason,
        origin: &Origin,
    ) -> Result<Option<Position>, IdentityError> {
        let mut marked = Vec::with_capacity(sessions.len());
        for session_id in sessions {
            if self.mark(AccountSession { account_id, session_id }, reason).await? {
                marked.push(session_id);
            }
        }
        self.shared.cache.forget_account(account_id);
        self.bury(account_id, marked, reason, origin).await
    }

    /// Whether it was there and is marked now.
    async fn mark(&self, who: AccountSession, reason: SessionEndReason) -> Result<bool, IdentityError> {
        for _ in 0..CHANGES {
            let Some(Entry { mut value, version, expires_at }) = self.vault().get::<Session>(&name(who)).await? else {
                return Ok(false);
            };
            // The first reason stands.
            value.ending.get_or_insert(reason);
            match self.vault().put(&name(who), Some(version), &value, expires_at).await {
                Ok(_) => return Ok(true),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::overloaded())
    }

    /// Tells the log of sessions that are marked, and removes them.
    async fn bury(
        &self,
        account_id: AccountId,
        session_ids: Vec<Uuid>,
        reason: SessionEndReason,
        origin: &Origin,
    ) -> Result<Option<Position>, IdentityError> {
        if session_ids.is_empty() {
            return Ok(None);
        }
        let command = AccountCommand::EndSessions { session_ids: session_ids.clone(), reason };
        let written = self.submit(ChangeAccount { account_id, command }, origin, None).await?;
        for session_id in session_ids {
            self.vault().remove(&name(AccountSession { account_id, session_id })).await?;
        }
        Ok(written.position)
    }

    /// Tells the log which sessions ended with an epoch, and removes them.
    pub(crate) async fn record_ended_before(
        &self,
        account_id: AccountId,
        before: u32,
        reason: SessionEndReason,
        owed: &Owed,
        origin: &Origin,
    ) -> Result<Option<Position>, IdentityError> {
        self.shared.cache.forget_account(account_id);
        let over = self.found(account_id).await?.into_iter().filter(|(_, entry)| entry.value.epoch < before);
        let session_ids: Vec<Uuid> = over.map(|(id, _)| id).collect();
        if session_ids.is_empty() {
            return Ok(None);
        }
        let command = AccountCommand::EndSessions { session_ids: session_ids.clone(), reason };
        let position = self.record(account_id, command, owed, origin).await?;
        for session_id in session_ids {
            self.vault().remove(&name(AccountSession { account_id, session_id })).await?;
        }
        Ok(position)
    }

    /// A new refresh token, and its hash.
    fn refresh_token(&self, who: AccountSession, generation: u64) -> (String, String) {
        let AccountSession { account_id, session_id } = who;
        let (account, session) = (account_id.0.simple(), session_id.simple());
        let body = format!("{account}_{session}_{generation}_{}", secret::random_hex());
        let token = format!("dbr_{body}_{}", self.vault().blind("refresh token", &body));
        let hash = secret::hash(&token);
        (token, hash)
    }

    /// Which session a refresh token of ours is for.
    fn read_refresh_token(&self, token: &str) -> Option<RefreshToken> {
        let (body, fingerprint) = token.strip_prefix("dbr_")?.rsplit_once('_')?;
        if !secret::same(&self.vault().blind("refresh token", body), fingerprint) {
            return None;
        }
        let mut parts = body.split('_');
        let account_id = AccountId(Uuid::try_parse(parts.next()?).ok()?);
        let session_id = Uuid::try_parse(parts.next()?).ok()?;
        let generation = parts.next()?.parse().ok()?;
        Some(RefreshToken { who: AccountSession { account_id, session_id }, generation })
    }
}

impl Session {
    /// Whether it counts in this epoch of its account.
    pub fn is_live(&self, epoch: u32, now: Timestamp) -> bool {
        self.ending.is_none() && self.epoch == epoch && self.expires_at > now
    }
}

fn name(who: AccountSession) -> String {
    format!("session/{}.{}", who.account_id.0.simple(), who.session_id.simple())
}

/// Whose session a document is.
fn who_of(name: &str) -> Option<AccountSession> {
    let (account, session) = name.strip_prefix("session/")?.split_once('.')?;
    Some(AccountSession { account_id: account.parse().ok()?, session_id: session.parse().ok()? })
}
