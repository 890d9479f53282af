//! Who administers the store: one stream for all, so that the last administrator and the first are decided in one place.

use crate::AccountId;

event! {
    /// The account can administer the store: it has the role and is not disabled.
    AdminAdded {
        /// The account.
        pub account_id: AccountId,
    }
}

event! {
    /// The account can no longer administer the store.
    AdminRemoved {
        /// The account.
        pub account_id: AccountId,
    }
}

events! {
    /// Everything that can happen to the roster of administrators.
    RosterEvent of "roster" {
        AdminAdded = 1,
        AdminRemoved = 1,
    }
}
