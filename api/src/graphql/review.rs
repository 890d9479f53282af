//! Reviews: what buyers say of their orders.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, ID, InputObject, Object, OutputType as _, SimpleObject};
use event_schemas::{OrderId, Personal, ReviewId, Timestamp};
use projections::ReviewFilter;

use crate::{
    access::{Caller, Permission, sees},
    graphql::{
        as_of::{self, AsOf},
        global_id::{self, Kind},
        histories::{ReviewHistory, of},
        loader::{OrderById, load},
        order::Order,
        page::{self, List, Narrowing, Paging, sorting},
        personal::opened,
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
    /// When it was written.
    submitted_at: Timestamp,
    #[graphql(skip)]
    title: Option<Personal<String>>,
    #[graphql(skip)]
    comment: Option<Personal<String>>,
    #[graphql(skip)]
    review_id: ReviewId,
    #[graphql(skip)]
    order_id: OrderId,
}

impl Review {
    fn new(row: projections::Review) -> Self {
        Self {
            id: global_id::encode(Kind::Review, row.review_id),
            rating: row.rating,
            title: row.title,
            comment: row.comment,
            submitted_at: row.submitted_at,
            review_id: row.review_id,
            order_id: row.order_id,
        }
    }
}

impl Review {
    /// The review of a row, if it is there for the caller: a customer's for them and for staff, a guest's for whoever knows its
    /// id.
    pub(crate) fn visible(ctx: &Context<'_>, row: Option<projections::Review>) -> Result<Option<Self>, Error> {
        let caller = ctx.data::<Caller>()?;
        Ok(row.filter(|row| caller.reaches(row.customer_id.as_ref(), Permission::ViewOrders)).map(Self::new))
    }
}

#[ComplexObject]
impl Review {
    /// Its title; null also when the person was erased.
    async fn title(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        opened(ctx, self.title.as_ref()).await
    }

    /// Its text; null also when the person was erased.
    async fn comment(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        opened(ctx, self.comment.as_ref()).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> ReviewHistory {
        ReviewHistory(of::<domain::Review>(self.review_id))
    }

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
    Review::visible(ctx, row)
}

/// Which reviews to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct ReviewFilterInput {
    /// Only of this order.
    order_id: Option<ID>,
    /// Only with this rating.
    rating: Option<u8>,
    /// Only written at or after.
    from: Option<Timestamp>,
    /// Only written before.
    to: Option<Timestamp>,
}

impl Narrowing for ReviewFilterInput {
    type Filter = ReviewFilter;

    fn read(self) -> Result<ReviewFilter, Error> {
        let Self { order_id, rating, from, to } = self;
        let order_id = order_id.map(|id| global_id::decode(Kind::Order, &id).ok_or_else(|| problem::bad_id("orderId")));
        Ok(ReviewFilter { order_id: order_id.transpose()?, rating, from, to })
    }
}

sorting! {
    /// How to sort reviews.
    ReviewSortInput by ReviewSortKey of ReviewSort as "projections::ReviewSort", descending = true {
        /// By when they were written.
        Submitted,
        /// By the rating, then by when they were written.
        Rating,
    }
}

#[derive(Default)]
pub(crate) struct ReviewQuery;

#[Object]
impl ReviewQuery {
    /// A review: a customer's for them and for staff, a guest's for whoever knows its id; as it was at a moment, if asked.
    async fn review(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<Review>, Error> {
        let id = global_id::decode(Kind::Review, &id).ok_or_else(|| problem::bad_id("id"))?;
        match as_of {
            Some(as_of) => as_of::review(ctx, id, as_of).await,
            None => review_at(ctx, Some(id)).await,
        }
    }

    /// Reviews, the newest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ViewOrders", visible = "sees::orders")]
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    async fn reviews(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only with this rating: the same as in `filter`.")] rating: Option<u8>,
        #[graphql(desc = "Which of them; all unless given.")] filter: Option<ReviewFilterInput>,
        #[graphql(desc = "In which order.")] sort: Option<ReviewSortInput>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<Review>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let filter = filter.unwrap_or_default();
        let filter = ReviewFilterInput { rating: rating.or(filter.rating), ..filter }.read()?;
        let (by, descending) = ReviewSortInput::of(sort);
        let listed = views.read(move |reader| reader.reviews(&filter, by, descending, &page)).await.map_err(problem::view)?;
        Ok(page::list(listed, Review::new))
    }
}
