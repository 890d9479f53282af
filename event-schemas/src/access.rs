//! What was refused at the door, on one day in UTC: the stream is named by the day, such as `2026-11-21`.
//!
//! What repeats is counted and written now and then, so that an attacker cannot fill the log. A caller is named as in
//! [`crate::Metadata::actor`], or `address:` and a keyed hash: an address of the network is personal and never here.

use crate::{AccountId, Timestamp};

event! {
    /// A caller asked for what it may not have.
    AccessDenied {
        /// Who.
        pub caller: String,
        /// The permission that is missing.
        pub permission: String,
        /// What was asked for, such as `Mutation.productCreate`.
        pub operation: String,
        /// How often.
        pub times: u32,
        /// When for the first time of these.
        pub since: Timestamp,
    }
}

event! {
    /// Someone failed to sign in.
    LoginsFailed {
        /// The account; none if there is no such account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub account_id: Option<AccountId>,
        /// How often.
        pub times: u32,
        /// When for the first time of these.
        pub since: Timestamp,
    }
}

event! {
    /// A caller asked more often than its limit allows, and was refused.
    CallerLimited {
        /// Who.
        pub caller: String,
        /// The limit, such as `login`.
        pub limit: String,
        /// How often it was refused.
        pub times: u32,
        /// When for the first time of these.
        pub since: Timestamp,
    }
}

event! {
    /// A caller went on against its limits, and is refused everything for a while.
    CallerBanned {
        /// Who.
        pub caller: String,
        /// Until when.
        pub until: Timestamp,
    }
}

events! {
    /// Everything that can be refused at the door.
    AccessEvent of "access" {
        AccessDenied = 1,
        LoginsFailed = 1,
        CallerLimited = 1,
        CallerBanned = 1,
    }
}
