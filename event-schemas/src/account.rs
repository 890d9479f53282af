//! What can happen to an account of a person.
//!
//! Nothing personal and nothing secret is here: the e-mail address, the name, the password and all other credentials are
//! kept outside the log, where they can be deleted. The log says what happened to the account, and who gave it which rights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AccountId, Personal, RoleName};

/// How an account came to another password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasswordChange {
    /// By who knew the one before.
    Changed,
    /// By who had a link that was sent to the account's e-mail address.
    Reset,
}

/// Why sessions were ended before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionEndReason {
    /// Whoever was signed in signed out.
    Logout,
    /// They were ended from elsewhere.
    Revoked,
    /// The password was changed.
    PasswordChanged,
    /// A refresh token came a second time: someone has a copy of it.
    TokenReused,
    /// The account was disabled.
    Disabled,
    /// The account had too many: the oldest made room.
    TooMany,
}

event! {
    /// An account was registered. Its e-mail address is not verified yet.
    AccountRegistered {
        /// The new account.
        pub account_id: AccountId,
    }
}

event! {
    /// Whoever registered the account showed that its e-mail address is theirs.
    AccountVerified {}
}

event! {
    /// The account was given a role.
    AccountRoleGranted {
        /// The role.
        pub role: RoleName,
    }
}

event! {
    /// A role was taken from the account.
    AccountRoleRevoked {
        /// The role.
        pub role: RoleName,
    }
}

event! {
    /// The account was disabled: nobody signs in with it any more.
    AccountDisabled {
        /// Why, in the words of staff.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reason: Option<Personal<String>>,
    }
}

event! {
    /// A disabled account can be used again.
    AccountEnabled {}
}

event! {
    /// The account's password was changed.
    AccountPasswordChanged {
        /// How.
        pub how: PasswordChange,
    }
}

event! {
    /// From now on signing in with the password takes a second factor too.
    AccountSecondFactorAdded {}
}

event! {
    /// The password alone is enough again.
    AccountSecondFactorRemoved {}
}

event! {
    /// A passkey was added to the account.
    AccountPasskeyAdded {
        /// The passkey, by an id of ours.
        pub passkey_id: Uuid,
    }
}

event! {
    /// A passkey was taken from the account.
    AccountPasskeyRemoved {
        /// The passkey.
        pub passkey_id: Uuid,
    }
}

event! {
    /// Sessions of the account were ended before their time.
    AccountSessionsEnded {
        /// The sessions.
        pub session_ids: Vec<Uuid>,
        /// Why.
        pub reason: SessionEndReason,
    }
}

event! {
    /// The account was linked to one at another party, and can be signed into there.
    AccountLinked {
        /// Who vouches for it: the issuer's URL.
        pub issuer: String,
    }
}

event! {
    /// The account was unlinked from one at another party: nobody signs in there any more.
    AccountUnlinked {
        /// Who vouched for it: the issuer's URL.
        pub issuer: String,
    }
}

event! {
    /// The account has another e-mail address, which was verified before.
    AccountEmailChanged {}
}

event! {
    /// The account was removed: it can never be used again, and what was known of the person is forgotten.
    AccountRemoved {}
}

events! {
    /// Everything that can happen to an account.
    AccountEvent of "account" {
        AccountRegistered = 1,
        AccountVerified = 1,
        AccountRoleGranted = 1,
        AccountRoleRevoked = 1,
        AccountDisabled = 2,
        AccountEnabled = 1,
        AccountPasswordChanged = 1,
        AccountSecondFactorAdded = 1,
        AccountSecondFactorRemoved = 1,
        AccountPasskeyAdded = 1,
        AccountPasskeyRemoved = 1,
        AccountSessionsEnded = 1,
        AccountLinked = 1,
        AccountUnlinked = 1,
        AccountEmailChanged = 1,
        AccountRemoved = 1,
    }
}
