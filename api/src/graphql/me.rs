//! Who the caller is to the shop.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, Json, Object, SimpleObject};
use projections::OrderFilter;

use crate::{
    access::{Caller, Permission, Role},
    graphql::{
        account::{Account, account_at},
        order::Order,
        order_query::{OrderFilterInput, OrderSortInput},
        page::{self, List, Narrowing as _, Paging},
        person::own_data,
        problem,
    },
    shop::Shop,
};

/// The caller, as the shop knows it.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Me {
    /// The built-in role that says most about the caller; `roles` and `permissions` say it all.
    role: Role,
    /// The names of the caller's roles, the shop's own among them; none for an API key.
    roles: Vec<String>,
    /// What the caller may do that not everyone may.
    permissions: Vec<Permission>,
    /// Who the caller is, if the token says so: an account, an API key, or the name that the token was made for.
    subject: Option<String>,
    /// How the log records what the caller does.
    actor: String,
}

#[ComplexObject]
impl Me {
    /// The account that the caller is signed in to; null for everyone else.
    async fn account(&self, ctx: &Context<'_>) -> Result<Option<Account>, Error> {
        account_at(ctx, ctx.data::<Caller>()?.account().map(|(id, _)| id)).await
    }

    /// Everything that is kept about the caller, for them to read: their account, and every event of their carts, orders,
    /// payments and reviews. Null for who is no customer.
    async fn export_data(&self, ctx: &Context<'_>) -> Result<Option<Json<serde_json::Value>>, Error> {
        own_data(ctx).await
    }

    /// The caller's own orders, the newest first unless `sort` says otherwise; none for a guest, whose orders are found by
    /// their ids.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them; all unless given.")] filter: Option<OrderFilterInput>,
        #[graphql(desc = "In which order.")] sort: Option<OrderSortInput>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<Order>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let Some(customer_id) = ctx.data::<Caller>()?.customer_id() else {
            return Ok(page::connection([], false, false, Some(0)));
        };
        // Whoever else's orders are asked for: there are only one's own.
        let filter = OrderFilter { customer_id: Some(customer_id), ..filter.unwrap_or_default().read()? };
        let (by, descending) = OrderSortInput::of(sort);
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let listed = views.read(move |reader| reader.orders(&filter, by, descending, &page)).await;
        Ok(page::list(listed.map_err(problem::view)?, Order::new))
    }
}

#[derive(Default)]
pub(crate) struct MeQuery;

#[Object]
impl MeQuery {
    /// Who the caller is to the shop: a customer unless a token says otherwise.
    async fn me(&self, ctx: &Context<'_>) -> Result<Me, Error> {
        let caller = ctx.data::<Caller>()?;
        Ok(Me {
            role: caller.role(),
            roles: caller.roles().to_vec(),
            permissions: caller.permissions().iter().collect(),
            subject: caller.subject(),
            actor: caller.actor(),
        })
    }
}
