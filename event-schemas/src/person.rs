//! What can happen to a person, as far as the law is concerned: erasure, and legal holds against it.
//!
//! Nothing here is personal: who it is about is the id of a key, and reasons name a case or a ticket.

use crate::CustomerId;

event! {
    /// Somebody asked that a person be erased: everything about them in events, and their account if they have one.
    PersonErasureRequested {
        /// Who asked, as the metadata names an actor.
        pub by: String,
        /// Why, such as the reference of a case. Not personal: it stays.
        pub reason: String,
        /// The customer that the person is, if they are one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub customer_id: Option<CustomerId>,
    }
}

event! {
    /// A second person agreed that the person be erased.
    PersonErasureApproved {
        /// Who agreed, as the metadata names an actor.
        pub by: String,
    }
}

event! {
    /// A request to erase the person was turned down.
    PersonErasureRejected {
        /// Who turned it down, as the metadata names an actor.
        pub by: String,
        /// Why. Not personal: it stays.
        pub reason: String,
    }
}

event! {
    /// The person is erased: their key is destroyed, so that nothing about them can be read any more, wherever it stands.
    PersonErased {
        /// The customer that the person was, if they were one: their account goes too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub customer_id: Option<CustomerId>,
    }
}

event! {
    /// The person's data must be kept: they cannot be erased until the hold is lifted.
    LegalHoldPlaced {
        /// The hold's name, such as a case's reference; a person has no two of the same name.
        pub name: String,
        /// Why. Not personal: it stays.
        pub reason: String,
    }
}

event! {
    /// A legal hold does not apply any more.
    LegalHoldLifted {
        /// The hold's name.
        pub name: String,
    }
}

events! {
    /// Everything that can happen to a person.
    PersonEvent of "person" {
        PersonErasureRequested = 1,
        PersonErasureApproved = 1,
        PersonErasureRejected = 1,
        PersonErased = 1,
        LegalHoldPlaced = 1,
        LegalHoldLifted = 1,
    }
}
