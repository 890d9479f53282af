//! A coupon: the code that a shopper enters, and the promotion behind it.

use event_schemas::{CouponCode, Currency, PromotionCreated, PromotionEffect, PromotionId, Timestamp};

use crate::{
    Change, CheckoutRefusal, Claim, ClaimName, Decision, Promotion, PromotionCommand, PromotionRefusal, Refusal, World,
    product_decisions::{release, take},
    stream_of,
};

/// A coupon that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Coupon {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The code.
    pub code: CouponCode,
    /// What it takes off.
    pub effect: PromotionEffect,
}

/// The coupon of a code, if it can be used now for a cart in this currency.
pub(crate) fn find_coupon(
    world: &World<'_>,
    code: &CouponCode,
    now: Timestamp,
    currency: Currency,
) -> Result<Coupon, CheckoutRefusal> {
    let refused = |reason| CheckoutRefusal::Coupon { code: code.clone(), reason };
    let holder = world.get::<Claim>(ClaimName::Coupon(code.clone())).holder();
    let promotion_id = holder.and_then(|stream| stream.aggregate_id.parse::<PromotionId>().ok());
    let promotion_id = promotion_id.ok_or_else(|| refused(PromotionRefusal::NotFound))?;
    let effect = world.get::<Promotion>(promotion_id).effect_at(now, currency).map_err(refused)?.clone();
    Ok(Coupon { promotion_id, code: code.clone(), effect })
}

/// Set up a promotion; its coupon code must be free.
#[derive(Debug, Clone)]
pub struct CreatePromotion {
    /// Its terms.
    pub promotion: PromotionCreated,
}

impl Decision for CreatePromotion {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let stream = stream_of::<Promotion>(self.promotion.promotion_id);
        let claim = take(world, ClaimName::Coupon(self.promotion.code.clone()), &stream);
        let promotion = world.get::<Promotion>(self.promotion.promotion_id);
        let events = promotion.decide(PromotionCommand::Create(self.promotion.clone()))?;
        let mut changes = Change::all(stream, events);
        changes.extend(claim?);
        Ok(changes)
    }
}

/// End a promotion by hand; its coupon code becomes free.
#[derive(Debug, Clone)]
pub struct EndPromotion {
    /// The promotion.
    pub promotion_id: PromotionId,
}

impl Decision for EndPromotion {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let stream = stream_of::<Promotion>(self.promotion_id);
        let promotion = world.get::<Promotion>(self.promotion_id);
        let mut changes = Change::all(stream.clone(), promotion.decide(PromotionCommand::End)?);
        if let Some(terms) = promotion.terms() {
            changes.extend(release(world, &ClaimName::Coupon(terms.code.clone()), &stream)?);
        }
        Ok(changes)
    }
}
