//! Reviews: what buyers say of their orders.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, ID, Object, SimpleObject};
use event_schemas::{OrderId, ReviewId, Timestamp};

use crate::{
    access::{Caller, Permission, sees},
    graphql::{
        global_id::{self, Kind},
        loader::{OrderById, load},
        order::Order,
        page::{self, List, Paging},
        problem,
    },
    shop::Shop,
};

/// A review of an order.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Review {
    /// Its id.
    pub(crate) id: ID,
    /// 1 (worst) to 5 (best).
    rating: u8,
    /// Its title.
    title: Option<String>,
    /// Its text.
    comment: Option<String>,
    /// When it was written.
    submitted_at: Timestamp,
    #[graphql(skip)]
    order_id: OrderId,
}

impl Review {
    fn new(row: projections::Review) -> Self {
        Self {
            id: global_id::encode(Kind::Review, row.review_id),
            rating: row.rating,
            title: row.title.map(|title| title.0),
            comment: row.comment.map(|comment| comment.0),
            submitted_at: row.submitted_at,
            order_id: row.order_id,
        }
    }
}

#[ComplexObject]
impl Review {
    /// The order that it is about.
    #[graphql(guard = "Permission::ViewOrders", visible = "sees::orders")]
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>, Error> {
        Order::visible(ctx, load(ctx, OrderById(self.order_id)).await?)
    }
}

/// A review as it is now, if it is there for the caller.
pub(crate) async fn review_at(ctx: &Context<'_>, id: Option<ReviewId>) -> Result<Option<Review>, Error> {
    let Some(id) = id else { return Ok(None) };
    let views = &ctx.data::<Arc<Shop>>()?.views;
    let row = views.read(move |reader| reader.row::<projections::Review>(&(id,))).await.map_err(problem::view)?;
    let caller = ctx.data::<Caller>()?;
    Ok(row.filter(|row| caller.reaches(row.customer_id.as_ref(), Permission::ViewOrders)).map(Review::new))
}

#[derive(Default)]
pub(crate) struct ReviewQuery;

#[Object]
impl ReviewQuery {
    /// Reviews, the newest first.
    #[graphql(guard = "Permission::ViewOrders", visible = "sees::orders")]
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    async fn reviews(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only with this rating.")] rating: Option<u8>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<Review>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let listed = views.read(move |reader| reader.reviews(None, rating, &page)).await.map_err(problem::view)?;
        Ok(page::list(listed, Review::new))
    }
}
