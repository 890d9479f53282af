//! The field `history` of what is an aggregate: one declaration for each, with who may see it.

use async_graphql::{Context, Error, Object};
use domain::{AggregateRoot, stream_of};
use event_schemas::StreamId;

use crate::{
    access::{Permission, sees},
    graphql::{
        history::{self, HistoryEntry},
        page::{List, Paging},
    },
};

/// The stream that a history is of.
pub(crate) fn of<A: AggregateRoot>(id: impl std::fmt::Display) -> StreamId {
    stream_of::<A>(id)
}

macro_rules! histories {
    ($($name:ident $permission:ident $sees:tt;)+) => {$(
        /// What happened to one thing.
        pub(crate) struct $name(pub(crate) StreamId);

        #[Object]
        impl $name {
            /// What happened to it, the oldest first.
            #[graphql(guard = Permission::$permission, visible = $sees)]
            async fn history(
                &self,
                ctx: &Context<'_>,
                #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
                #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
                #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
                #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
            ) -> Result<List<HistoryEntry>, Error> {
                history::of(ctx, self.0.clone(), Paging { first, after, last, before }).await
            }
        }
    )+};
}

histories! {
    ProductHistory ViewCatalog "sees::catalog";
    CategoryHistory ViewCatalog "sees::catalog";
    PromotionHistory ViewCatalog "sees::catalog";
    StockHistory ViewStock "sees::stock";
    CartHistory ViewOrders "sees::orders";
    OrderHistory ViewOrders "sees::orders";
    PaymentHistory ViewPayments "sees::payments";
    ReviewHistory ViewOrders "sees::orders";
    RoleHistory ManageRoles "sees::roles";
    AccountHistory ManageAccounts "sees::accounts";
    ApiKeyHistory ManageApiKeys "sees::api_keys";
    WebhookHistory ManageWebhooks "sees::webhooks";
}
