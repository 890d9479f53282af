//! Who the caller is to the shop.

use async_graphql::{Context, Object, SimpleObject};

use crate::access::{Caller, Role};

/// The caller, as the shop knows it.
#[derive(SimpleObject)]
pub(crate) struct Me {
    /// What the caller is to the shop.
    role: Role,
    /// Who the caller is, if the token says so.
    subject: Option<String>,
    /// How the log records what the caller does.
    actor: String,
}

#[derive(Default)]
pub(crate) struct MeQuery;

#[Object]
impl MeQuery {
    /// Who the caller is to the shop: a shopper unless a token says otherwise.
    async fn me(&self, ctx: &Context<'_>) -> async_graphql::Result<Me> {
        let caller = ctx.data::<Caller>()?;
        Ok(Me { role: caller.role, subject: caller.subject.clone(), actor: caller.actor() })
    }
}
