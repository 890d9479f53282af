//! The webhooks that there are, as the views know them.

use async_trait::async_trait;
use projections::{Cursor, Page, Views, WebhookFilter, WebhookSort};
use webhooks::{Endpoint, EndpointState, WebhookDirectory};

/// Webhooks read at once.
const PAGE: u32 = 100;

/// The webhooks of the views.
pub(crate) struct ViewDirectory(pub(crate) Views);

impl ViewDirectory {
    async fn page(&self, after: Option<Cursor>) -> Result<(Vec<Endpoint>, Option<Cursor>), String> {
        let page = Page { after, ..Page::first(PAGE) };
        let read =
            move |reader: &projections::Reader<'_>| reader.webhooks(&WebhookFilter::default(), WebhookSort::Created, true, &page);
        let listed = self.0.read(read).await.map_err(|error| error.to_string())?;
        let next = if listed.has_next { listed.items.last().map(|(cursor, _)| cursor.clone()) } else { None };
        Ok((listed.items.into_iter().map(|(_, row)| endpoint(row)).collect(), next))
    }
}

#[async_trait]
impl WebhookDirectory for ViewDirectory {
    async fn endpoints(&self) -> Result<Vec<Endpoint>, String> {
        let (mut endpoints, mut next) = self.page(None).await?;
        while let Some(after) = next {
            let page = self.page(Some(after)).await?;
            endpoints.extend(page.0);
            next = page.1;
        }
        Ok(endpoints)
    }
}

fn endpoint(row: projections::Webhook) -> Endpoint {
    let state = if row.paused.is_some() { EndpointState::Paused } else { EndpointState::Active };
    Endpoint { id: row.webhook_id, url: row.url, types: row.types, state, position: row.position }
}
