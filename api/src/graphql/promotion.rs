//! Promotions, as staff see them: what they take off, how long they run, how often they were used.

use async_graphql::{ComplexObject, Context, Error, ID, InputObject, Object, OutputType as _, SimpleObject};
use event_schemas::{PromotionId, Timestamp};
use projections::PromotionFilter;

use crate::{
    access::{Permission, sees},
    graphql::{
        actions::{PromotionAction, PromotionActions, available},
        as_of::{self, AsOf},
        changed::promotion_at,
        global_id::{self, Kind},
        histories::{PromotionHistory, of},
        money::Money,
        page::{Narrowing, root_list, sorting},
        problem,
        scalar::Long,
    },
};

/// A promotion with a coupon code.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Promotion {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
    /// What staff call it.
    name: String,
    /// The code that shoppers enter; free for another promotion once this one has ended.
    code: String,
    /// The share of the goods that it takes off, in parts per million; null when it takes off an amount.
    percent_off_ppm: Option<u32>,
    /// The amount that it takes off; null when it takes off a share.
    amount_off: Option<Money>,
    /// From when it can be used; at once if null.
    starts_at: Option<Timestamp>,
    /// Until when (exclusive); without end if null.
    ends_at: Option<Timestamp>,
    /// How many orders may use it; any number if null.
    usage_limit: Option<u32>,
    /// How many orders use it.
    uses: Long,
    /// Whether it was ended by hand.
    ended: bool,
    /// When it was set up.
    created_at: Timestamp,
    /// When it was last used, given back or ended.
    updated_at: Timestamp,
    #[graphql(skip)]
    promotion_id: PromotionId,
}

impl Promotion {
    /// A promotion of the views.
    pub(crate) fn new(row: projections::Promotion) -> Self {
        let amount_off = row.amount_off_minor.zip(row.currency).map(|(minor, currency)| Money::new(minor, currency));
        Self {
            id: global_id::encode(Kind::Promotion, row.promotion_id),
            version: Long::of(row.version),
            name: row.name,
            code: row.code.to_string(),
            percent_off_ppm: row.percent_off_ppm,
            amount_off,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            usage_limit: row.usage_limit,
            uses: Long(row.uses),
            ended: row.ended,
            created_at: row.created_at,
            updated_at: row.updated_at,
            promotion_id: row.promotion_id,
        }
    }
}

#[ComplexObject]
impl Promotion {
    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<PromotionAction>, Error> {
        available(ctx, PromotionActions(self.promotion_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> PromotionHistory {
        PromotionHistory(of::<domain::Promotion>(self.promotion_id))
    }
}

/// Which promotions to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct PromotionFilterInput {
    /// Only of this coupon code, in any case; those that have ended among them.
    code: Option<String>,
    /// Only those that were (or were not) ended by hand.
    ended: Option<bool>,
    /// Only set up at or after.
    from: Option<Timestamp>,
    /// Only set up before.
    to: Option<Timestamp>,
}

impl Narrowing for PromotionFilterInput {
    type Filter = PromotionFilter;

    fn read(self) -> Result<PromotionFilter, Error> {
        let Self { code, ended, from, to } = self;
        let bad = |error: event_schemas::InvalidId| problem::bad_input(error.to_string());
        let code = code.map(|code| code.trim().to_uppercase().parse()).transpose().map_err(bad)?;
        Ok(PromotionFilter { code, ended, from, to })
    }
}

sorting! {
    /// How to sort promotions.
    PromotionSortInput by PromotionSortKey of PromotionSort as "projections::PromotionSort", descending = true {
        /// By when they were set up.
        Created,
        /// By when they were last used, given back or ended.
        Updated,
        /// By how many orders use them.
        Uses,
    }
}

root_list! {
    /// Promotions, the newest first unless `sort` says otherwise; those that have ended too.
    #[graphql(guard = "Permission::ViewCatalog", visible = "sees::catalog")]
    PromotionList: promotions(PromotionFilterInput, PromotionSortInput) -> Promotion by Promotion::new = promotions
}

#[derive(Default)]
pub(crate) struct PromotionQuery;

#[Object]
impl PromotionQuery {
    /// A promotion; null if there is none of this id; as it was at a moment, if asked.
    #[graphql(guard = "Permission::ViewCatalog", visible = "sees::catalog")]
    async fn promotion(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<Promotion>, Error> {
        let id = global_id::decode(Kind::Promotion, &id).ok_or_else(|| problem::bad_id("id"))?;
        match as_of {
            Some(as_of) => as_of::promotion(ctx, id, as_of).await,
            None => promotion_at(ctx, Some(id)).await,
        }
    }
}
