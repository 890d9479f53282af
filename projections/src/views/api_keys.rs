//! Which keys may services call the API by, and what does each permit? The keys themselves are not here.

use event_schemas::{ApiKeyEvent, ApiKeyId, CommerceEvent, Timestamp};

use crate::{Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError, conditions::Conditions, page::Order};

row! {
    /// A key by which a service calls the API.
    ApiKey in "api_keys" {
        key {
            /// The key's id.
            api_key_id: ApiKeyId,
        }
        /// What it is for.
        label: String,
        /// What it permits, sorted, as a JSON list.
        permissions: Vec<String>,
        /// When it was issued.
        issued_at: Timestamp,
        /// When it stops working; never if absent.
        expires_at: Option<Timestamp>,
        /// When it was revoked.
        revoked_at: Option<Timestamp>,
    }
    index "issued_at, api_key_id";
}

/// The API keys.
pub const API_KEYS: Projection = Projection { name: "api_keys", version: 1, tables: &[ApiKey::TABLE], for_analysts: false, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::ApiKey(event) = fact.event else { return Ok(()) };
    match event {
        ApiKeyEvent::ApiKeyIssued(issued) => Ok(rows.put(ApiKey {
            api_key_id: issued.api_key_id,
            label: issued.label.clone(),
            permissions: issued.permissions.clone(),
            issued_at: fact.occurred_at,
            expires_at: issued.expires_at,
            revoked_at: None,
            position: fact.position,
        })?),
        ApiKeyEvent::ApiKeyRevoked(_) => {
            let id: ApiKeyId = fact.stream.aggregate_id.parse()?;
            let key = rows.edit::<ApiKey>(&(id,))?.ok_or_else(|| FoldError::unknown("API key", id))?;
            key.revoked_at = Some(fact.occurred_at);
            Ok(())
        }
    }
}

impl Reader<'_> {
    /// The API key of an id, revoked or not.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, ViewError> {
        self.row(&(id,))
    }

    /// API keys, the one issued last first; the revoked ones too.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn api_keys(&self, page: &Page) -> Result<Listed<ApiKey>, ViewError> {
        self.page(&Conditions::default(), Order::new("issued", &["t.issued_at", "t.api_key_id"], true), page)
    }
}
