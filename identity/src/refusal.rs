//! Why a flow did not do what was asked.

use std::time::Duration;

use domain::{AccountRefusal, Refusal};
use engine::CommandError;
use event_schemas::Timestamp;
use vault::{PersonError, VaultError};

use crate::{KeyError, ProofError};

/// Why a flow did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A rule forbids it. The caller reads its message.
    #[error(transparent)]
    Refused(#[from] IdentityRefusal),
    /// Too much is going on. Nothing was done; try again after the given time.
    #[error("too many logins are under way; try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// How long to wait before trying again.
        retry_after: Duration,
    },
    /// The operator's business: a store, the engine or a provider fails. The message is not for callers.
    #[error("{0}")]
    Unavailable(String),
}

/// A rule that a flow broke. The caller reads its message, so it never says whether a stranger's account exists.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IdentityRefusal {
    /// Not an address that mail can be sent to.
    #[error("this is not an e-mail address")]
    EmailInvalid,
    /// The name is too long or has control characters.
    #[error("a name has at most 100 characters and no control characters")]
    DisplayNameInvalid,
    /// Fewer than 12 characters.
    #[error("a password has at least 12 characters")]
    PasswordTooShort {
        /// The field of the request.
        field: &'static str,
    },
    /// More than 128 characters.
    #[error("a password has at most 128 characters")]
    PasswordTooLong {
        /// The field of the request.
        field: &'static str,
    },
    /// One of those that are tried first, a repetition, or little beside words of the shop and of the e-mail address.
    #[error("this password is too easy to guess")]
    PasswordTooCommon {
        /// The field of the request.
        field: &'static str,
    },
    /// No such account, or another password: which one is not told.
    #[error("the e-mail address or the password is wrong, or the address was not verified yet")]
    CredentialsInvalid,
    /// The password is not this.
    #[error("the password is wrong")]
    PasswordWrong {
        /// The field of the request.
        field: &'static str,
    },
    /// Too many failed logins.
    #[error("there were too many failed logins; try again after {}", until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))]
    LoginLocked {
        /// When the next login is tried.
        until: Timestamp,
    },
    /// Staff has disabled the account.
    #[error("the account is disabled")]
    AccountDisabled,
    /// A code of a mail or link that is unknown, used or too old.
    #[error("the code is wrong, was used before, or is too old")]
    CodeInvalid,
    /// The code of the second factor is wrong or was used before.
    #[error("the code is wrong or was used before")]
    SecondFactorInvalid,
    /// What was begun is unknown, done or too old.
    #[error("this was not begun, is done, or is too old; begin again")]
    ChallengeInvalid,
    /// The second factor is on.
    #[error("the account has a second factor already")]
    SecondFactorOn,
    /// The second factor is off.
    #[error("the account has no second factor")]
    SecondFactorOff,
    /// The login is too long ago for what was asked.
    #[error("log in again first: for this, the login must be less than 15 minutes ago")]
    LoginTooOld,
    /// The refresh token is unknown, used, too old, or its session was ended.
    #[error("the session has ended; log in again")]
    SessionEnded,
    /// The account has no such session.
    #[error("the account has no such session")]
    SessionNotFound,
    /// The passkey is not one of this shop, or what the browser answered does not hold.
    #[error("the passkey was not accepted")]
    PasskeyInvalid,
    /// Browsers offer no passkeys at the shop's public URL.
    #[error("this shop has no passkeys: they need a public URL with a host name and https")]
    PasskeysOff,
    /// The account has no such passkey.
    #[error("the account has no such passkey")]
    PasskeyNotFound,
    /// 1 to 100 characters.
    #[error("a label has 1 to 100 characters and no control characters")]
    LabelInvalid,
    /// Not the name of a role.
    #[error("the name of a role has 1 to 32 of a-z, 0-9 and `-`, beginning with a letter")]
    RoleNameInvalid,
    /// There is no other place to log in at.
    #[error("this shop has no login elsewhere")]
    OidcOff,
    /// The provider did not confirm the login.
    #[error("the login elsewhere was not confirmed")]
    OidcFailed,
    /// The provider does not vouch for an e-mail address.
    #[error("the provider does not vouch for an e-mail address")]
    OidcEmailMissing,
    /// The account must be linked by its owner, logged in.
    #[error("an account with this e-mail address must be linked by its owner: log in and link it there")]
    OidcLinkNeeded,
    /// The account is linked to no login of that issuer.
    #[error("the account has no login with this issuer")]
    OidcNotLinked,
    /// That login belongs to another account.
    #[error("this login elsewhere belongs to another account")]
    OidcLinkedElsewhere,
    /// Told only to who holds the code for the first admin.
    #[error("an account with this e-mail address exists")]
    EmailTaken,
    /// Who asks would give or take what they do not have themselves. No code of its own: it is told as any missing permission.
    #[error("you do not have the permission `{permission}` yourself")]
    Beyond {
        /// The name of a permission that they lack.
        permission: String,
    },
    /// A rule of the shop.
    #[error(transparent)]
    Rule(#[from] Refusal),
}

impl IdentityRefusal {
    /// Every code of this crate's own rules, in alphabetical order; those of [`Refusal::CODES`] come on top.
    pub const CODES: &[&str] = &[
        "ACCOUNT_DISABLED",
        "CHALLENGE_INVALID",
        "CODE_INVALID",
        "CREDENTIALS_INVALID",
        "DISPLAY_NAME_INVALID",
        "EMAIL_INVALID",
        "EMAIL_TAKEN",
        "LABEL_INVALID",
        "LOGIN_LOCKED",
        "LOGIN_TOO_OLD",
        "OIDC_EMAIL_MISSING",
        "OIDC_FAILED",
        "OIDC_LINKED_ELSEWHERE",
        "OIDC_LINK_NEEDED",
        "OIDC_NOT_LINKED",
        "OIDC_OFF",
        "PASSKEYS_OFF",
        "PASSKEY_INVALID",
        "PASSKEY_NOT_FOUND",
        "PASSWORD_TOO_COMMON",
        "PASSWORD_TOO_LONG",
        "PASSWORD_TOO_SHORT",
        "PASSWORD_WRONG",
        "ROLE_NAME_INVALID",
        "SECOND_FACTOR_INVALID",
        "SECOND_FACTOR_OFF",
        "SECOND_FACTOR_ON",
        "SESSION_ENDED",
        "SESSION_NOT_FOUND",
    ];

    /// The stable code of the rule. Clients rely on it; it never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmailInvalid => "EMAIL_INVALID",
            Self::DisplayNameInvalid => "DISPLAY_NAME_INVALID",
            Self::PasswordTooShort { .. } => "PASSWORD_TOO_SHORT",
            Self::PasswordTooLong { .. } => "PASSWORD_TOO_LONG",
            Self::PasswordTooCommon { .. } => "PASSWORD_TOO_COMMON",
            Self::CredentialsInvalid => "CREDENTIALS_INVALID",
            Self::PasswordWrong { .. } => "PASSWORD_WRONG",
            Self::LoginLocked { .. } => "LOGIN_LOCKED",
            Self::AccountDisabled => "ACCOUNT_DISABLED",
            Self::CodeInvalid => "CODE_INVALID",
            Self::SecondFactorInvalid => "SECOND_FACTOR_INVALID",
            Self::ChallengeInvalid => "CHALLENGE_INVALID",
            Self::SecondFactorOn => "SECOND_FACTOR_ON",
            Self::SecondFactorOff => "SECOND_FACTOR_OFF",
            Self::LoginTooOld => "LOGIN_TOO_OLD",
            Self::SessionEnded => "SESSION_ENDED",
            Self::SessionNotFound => "SESSION_NOT_FOUND",
            Self::PasskeyInvalid => "PASSKEY_INVALID",
            Self::PasskeysOff => "PASSKEYS_OFF",
            Self::PasskeyNotFound => "PASSKEY_NOT_FOUND",
            Self::LabelInvalid => "LABEL_INVALID",
            Self::RoleNameInvalid => "ROLE_NAME_INVALID",
            Self::OidcOff => "OIDC_OFF",
            Self::OidcFailed => "OIDC_FAILED",
            Self::OidcEmailMissing => "OIDC_EMAIL_MISSING",
            Self::OidcLinkNeeded => "OIDC_LINK_NEEDED",
            Self::OidcLinkedElsewhere => "OIDC_LINKED_ELSEWHERE",
            Self::OidcNotLinked => "OIDC_NOT_LINKED",
            Self::EmailTaken => "EMAIL_TAKEN",
            Self::Beyond { .. } => "FORBIDDEN",
            Self::Rule(refusal) => refusal.code(),
        }
    }

    /// The part of the request that the refusal is about, in the words of the API, where there is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::EmailInvalid | Self::EmailTaken => Some("email"),
            Self::DisplayNameInvalid => Some("displayName"),
            Self::PasswordTooShort { field } | Self::PasswordTooLong { field } | Self::PasswordTooCommon { field } => Some(field),
            Self::PasswordWrong { field } => Some(field),
            Self::CodeInvalid | Self::SecondFactorInvalid => Some("code"),
            Self::SessionNotFound => Some("sessionId"),
            Self::PasskeyNotFound => Some("passkeyId"),
            Self::OidcNotLinked => Some("issuer"),
            Self::LabelInvalid => Some("label"),
            Self::RoleNameInvalid => Some("role"),
            Self::Rule(refusal) => refusal.field(),
            _ => None,
        }
    }

    /// When to come again, if the refusal is only that it is too early.
    pub fn not_before(&self) -> Option<Timestamp> {
        match self {
            Self::LoginLocked { until } => Some(*until),
            Self::Rule(refusal) => refusal.not_before(),
            _ => None,
        }
    }
}

impl IdentityError {
    /// Hashing or mails: they do not take more at once than is good.
    pub(crate) fn overloaded() -> Self {
        Self::Overloaded { retry_after: Duration::from_secs(1) }
    }

    /// There is no such account, in the words of the rules.
    pub(crate) fn no_account() -> Self {
        Self::Refused(IdentityRefusal::Rule(AccountRefusal::NotFound.into()))
    }
}

impl From<ProofError> for IdentityError {
    /// Of proofs that are not refused: whoever checks one maps its refusal first.
    fn from(error: ProofError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<CommandError> for IdentityError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => Self::Refused(refusal.into()),
            CommandError::Overloaded { retry_after } => Self::Overloaded { retry_after },
            CommandError::IdempotencyKeyReused => Self::Unavailable("an idempotency key of accounts was used twice".to_owned()),
            CommandError::Fault(fault) => Self::Unavailable(fault.to_string()),
        }
    }
}

impl From<VaultError> for IdentityError {
    fn from(error: VaultError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<PersonError> for IdentityError {
    fn from(error: PersonError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<KeyError> for IdentityError {
    fn from(error: KeyError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
