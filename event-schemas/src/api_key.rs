//! What can happen to a key by which a service calls the API. The key itself is a secret and kept outside the log.

use crate::{ApiKeyId, Timestamp};

event! {
    /// A key was issued.
    ApiKeyIssued {
        /// The new key.
        pub api_key_id: ApiKeyId,
        /// What it permits, each once, sorted.
        pub permissions: Vec<String>,
        /// What it is for, as staff read it.
        pub label: String,
        /// When it stops working; never if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires_at: Option<Timestamp>,
    }
}

event! {
    /// A key was revoked for good.
    ApiKeyRevoked {}
}

events! {
    /// Everything that can happen to an API key.
    ApiKeyEvent of "api_key" {
        ApiKeyIssued = 1,
        ApiKeyRevoked = 1,
    }
}
