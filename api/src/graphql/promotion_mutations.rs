//! What staff do with promotions.

use async_graphql::{Context, Error, ID, Object};
use domain::{CreatePromotion, EndPromotion};
use event_schemas::{CommerceEvent, Position, PromotionCreated, PromotionEffect, PromotionEvent, PromotionId, Timestamp};

use crate::{
    access::{Permission, sees},
    graphql::{
        changed::promotion_at,
        command::{carry_out, input, payload, read_back},
        global_id::{self, Kind},
        money::MoneyInput,
        promotion::Promotion,
        read_input,
        scalar::Long,
        user_error::UserError,
        warning::Warning,
    },
};

input! {
    /// A promotion with a coupon code.
    PromotionCreateInput {
        /// What staff call it.
        name: String,
        /// The code that shoppers enter, in any case.
        code: String,
        /// A share of the goods, in parts per million: 100000 is 10 %. This or `amountOff`.
        percent_off_ppm: Option<u32>,
        /// A fixed amount, for carts in its currency. This or `percentOffPpm`.
        amount_off: Option<MoneyInput>,
        /// From when; at once unless given.
        starts_at: Option<Timestamp>,
        /// Until when (exclusive); without end unless given.
        ends_at: Option<Timestamp>,
        /// How many orders may use it; any number unless given.
        usage_limit: Option<u32>,
    }
}

input! {
    /// A promotion to end by hand.
    PromotionEndInput of Promotion(promotion_id) {
        /// The promotion.
        promotion_id: ID,
    }
}

payload! {
    /// A promotion after a change.
    PromotionPayload {
        /// The promotion's id; null when nothing was done.
        promotion_id: ID,
        /// The promotion; null when nothing was done, or when the views need longer than two seconds to show it.
        promotion: Promotion,
    }
}

fn create(input: PromotionCreateInput, id: PromotionId) -> Result<CreatePromotion, UserError> {
    let effect = match (input.percent_off_ppm, &input.amount_off) {
        (Some(ppm), None) => PromotionEffect::PercentOff { ppm },
        (None, Some(amount)) => PromotionEffect::AmountOff { amount: read_input::money(amount, &["amountOff"])? },
        _ => return Err(UserError::invalid(&["percentOffPpm"], "give `percentOffPpm` or `amountOff`, one of them")),
    };
    let promotion = PromotionCreated {
        promotion_id: id,
        code: read_input::name(&input.code.trim().to_uppercase(), &["code"])?,
        name: input.name,
        effect,
        starts_at: input.starts_at,
        ends_at: input.ends_at,
        usage_limit: input.usage_limit,
    };
    Ok(CreatePromotion { promotion })
}

/// A promotion as a mutation left it.
async fn changed(ctx: &Context<'_>, id: Option<PromotionId>, position: Position) -> Result<PromotionPayload, Error> {
    let shown = read_back(ctx, position).await;
    let promotion = if shown { promotion_at(ctx, id).await? } else { None };
    let (promotion_id, warnings) = (id.map(|id| global_id::encode(Kind::Promotion, id)), Warning::unless_shown(shown));
    Ok(PromotionPayload { promotion_id, promotion, position: Long::of(position), warnings, ..Default::default() })
}

#[derive(Default)]
pub(crate) struct PromotionMutation;

#[Object]
impl PromotionMutation {
    /// Sets up a promotion with a coupon code.
    #[graphql(guard = "Permission::EditPromotions", visible = "sees::edit_promotions")]
    async fn promotion_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its terms.")] input: PromotionCreateInput,
    ) -> Result<PromotionPayload, Error> {
        let outcome = carry_out(ctx, "promotionCreate", input, |input, outside| create(input, PromotionId(outside.new_id())));
        let outcome = match outcome.await? {
            Ok(outcome) => outcome,
            Err(refused) => return Ok(refused.into()),
        };
        let created = outcome.changes.iter().find_map(|change| match &change.event {
            CommerceEvent::Promotion(PromotionEvent::PromotionCreated(promotion)) => Some(promotion.promotion_id),
            _ => None,
        });
        changed(ctx, created, outcome.position).await
    }

    /// Ends a promotion by hand; its coupon code becomes free.
    #[graphql(guard = "Permission::EditPromotions", visible = "sees::edit_promotions")]
    async fn promotion_end(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The promotion.")] input: PromotionEndInput,
    ) -> Result<PromotionPayload, Error> {
        let id = global_id::decode(Kind::Promotion, &input.promotion_id);
        let outcome = carry_out(ctx, "promotionEnd", input, |input, _| {
            let promotion_id = read_input::id(Kind::Promotion, &input.promotion_id, &["promotionId"])?;
            Ok(EndPromotion { promotion_id })
        });
        match outcome.await? {
            Ok(outcome) => changed(ctx, id, outcome.position).await,
            Err(refused) => Ok(refused.into()),
        }
    }
}
