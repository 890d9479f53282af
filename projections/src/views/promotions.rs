//! Which promotions are there, what does each take off, and how often was it used?

use event_schemas::{
    CommerceEvent, CouponCode, Currency, PromotionCreated, PromotionEffect, PromotionEvent, PromotionId, Timestamp,
};

use crate::{
    Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError,
    conditions::Conditions,
    projection::{add, subtract},
};

row! {
    /// A promotion with a coupon code.
    Promotion in "promotions" {
        key {
            /// The promotion.
            promotion_id: PromotionId,
        }
        /// What staff call it.
        name: String,
        /// The code that shoppers enter; free for another promotion once this one has ended.
        code: CouponCode,
        /// The share of the goods that it takes off, in parts per million; absent when it takes off an amount.
        percent_off_ppm: Option<u32>,
        /// The amount that it takes off, in minor units of its currency; absent when it takes off a share.
        amount_off_minor: Option<i64>,
        /// The currency of the amount.
        currency: Option<Currency>,
        /// From when it can be used; at once if absent.
        starts_at: Option<Timestamp>,
        /// Until when (exclusive); without end if absent.
        ends_at: Option<Timestamp>,
        /// How many orders may use it; any number if absent.
        usage_limit: Option<u32>,
        /// How many orders use it.
        uses: i64,
        /// Whether it was ended by hand.
        ended: bool,
        /// When it was set up.
        created_at: Timestamp,
        /// When it was last used, given back or ended.
        updated_at: Timestamp,
    }
    version of "promotion";
    index "code";
    index "created_at, promotion_id";
    index "ended, created_at, promotion_id";
    index "updated_at, promotion_id";
    index "uses, promotion_id";
}

/// The promotions.
pub const PROMOTIONS: Projection =
    Projection { name: "promotions", version: 1, tables: &[Promotion::TABLE], for_analysts: true, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Promotion(event) = fact.event else { return Ok(()) };
    let promotion_id: PromotionId = fact.stream.aggregate_id.parse()?;
    if let PromotionEvent::PromotionCreated(created) = event {
        return create(rows, fact, created);
    }
    let key = (promotion_id,);
    let promotion = rows.edit::<Promotion>(&key)?.ok_or_else(|| FoldError::unknown("promotion", promotion_id))?;
    promotion.updated_at = fact.occurred_at;
    match event {
        PromotionEvent::PromotionCreated(_) => {}
        PromotionEvent::PromotionRedeemed(_) => promotion.uses = add(promotion.uses, 1)?,
        PromotionEvent::PromotionRestored(_) => promotion.uses = subtract(promotion.uses, 1)?,
        PromotionEvent::PromotionEnded(_) => promotion.ended = true,
    }
    Ok(())
}

fn create(rows: &mut Rows<'_>, fact: &Fact<'_>, created: &PromotionCreated) -> Result<(), FoldError> {
    let (percent_off_ppm, amount_off) = match &created.effect {
        PromotionEffect::PercentOff { ppm } => (Some(*ppm), None),
        PromotionEffect::AmountOff { amount } => (None, Some(*amount)),
    };
    Ok(rows.put(Promotion {
        promotion_id: created.promotion_id,
        name: created.name.clone(),
        code: created.code.clone(),
        percent_off_ppm,
        amount_off_minor: amount_off.map(|amount| amount.minor),
        currency: amount_off.map(|amount| amount.currency),
        starts_at: created.starts_at,
        ends_at: created.ends_at,
        usage_limit: created.usage_limit,
        uses: 0,
        ended: false,
        created_at: fact.occurred_at,
        updated_at: fact.occurred_at,
        version: fact.sequence,
        position: fact.position,
    })?)
}

/// Which promotions to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PromotionFilter {
    /// Only of this code, those that have ended among them.
    pub code: Option<CouponCode>,
    /// Only those that were ended by hand (or only those that were not).
    pub ended: Option<bool>,
    /// Only set up at or after.
    pub from: Option<Timestamp>,
    /// Only set up before.
    pub to: Option<Timestamp>,
}

sortings! {
    /// How to sort promotions.
    PromotionSort {
        /// By when they were set up.
        Created "created": "t.created_at", "t.promotion_id";
        /// By when they were last used, given back or ended.
        Updated "updated": "t.updated_at", "t.promotion_id";
        /// By how many orders use them.
        Uses "uses": "t.uses", "t.promotion_id";
    }
}

impl Reader<'_> {
    /// The promotion of an id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn promotion(&self, id: PromotionId) -> Result<Option<Promotion>, ViewError> {
        self.row(&(id,))
    }

    /// Promotions.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn promotions(
        &self,
        filter: &PromotionFilter,
        sort: PromotionSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Promotion>, ViewError> {
        let in_order = sort == PromotionSort::Created;
        let mut conditions = Conditions::default();
        conditions.few(filter.code.as_ref(), "t.code");
        conditions.many(filter.ended.as_ref(), "t.ended", in_order);
        conditions.between("t.created_at", filter.from.as_ref(), filter.to.as_ref(), in_order);
        self.page(&conditions, sort.order(descending), page)
    }
}
