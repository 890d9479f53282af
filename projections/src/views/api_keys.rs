//! Which keys may services call the API by, and what does each permit? The keys themselves are not here.

use event_schemas::{ApiKeyEvent, ApiKeyId, CommerceEvent, Timestamp};

use crate::{Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError, conditions::Conditions};

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
    version of "api_key";
    index "issued_at, api_key_id";
    index "label, api_key_id";
}

/// The API keys.
pub const API_KEYS: Projection = Projection { name: "api_keys", version: 2, tables: &[ApiKey::TABLE], for_analysts: false, fold };

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
            version: fact.sequence,
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

/// Which API keys to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiKeyFilter {
    /// Only those that were revoked (or only those that were not).
    pub revoked: Option<bool>,
    /// Only those that stop working before.
    pub expires_before: Option<Timestamp>,
}

sortings! {
    /// How to sort API keys.
    ApiKeySort {
        /// By when they were issued.
        Issued "issued": "t.issued_at", "t.api_key_id";
        /// By what they are for.
        Label "label": "t.label", "t.api_key_id";
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

    /// API keys; the revoked ones too, unless the filter says otherwise. There are few.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn api_keys(
        &self,
        filter: &ApiKeyFilter,
        sort: ApiKeySort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<ApiKey>, ViewError> {
        let mut conditions = Conditions::default();
        match filter.revoked {
            Some(true) => conditions.check("t.revoked_at IS NOT NULL", Vec::new()),
            Some(false) => conditions.check("t.revoked_at IS NULL", Vec::new()),
            None => {}
        }
        conditions.check_when(filter.expires_before.as_ref(), "t.expires_at < ?");
        self.page(&conditions, sort.order(descending), page)
    }
}
