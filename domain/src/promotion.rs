//! A promotion with a coupon code: how long it runs and how often it may be used.

use event_schemas::{
    Currency, CustomerId, OrderId, PromotionCreated, PromotionEffect, PromotionEnded, PromotionEvent, PromotionRedeemed,
    PromotionRestored, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::MAX_NAME_CHARS;

/// What can be asked of a promotion.
#[derive(Debug, Clone, PartialEq)]
pub enum PromotionCommand {
    /// Set it up.
    Create(PromotionCreated),
    /// Use it for an order.
    Redeem {
        /// The order.
        order_id: OrderId,
        /// The customer, if known.
        customer_id: Option<CustomerId>,
        /// The order's currency.
        currency: Currency,
        /// The time of asking.
        now: Timestamp,
    },
    /// Give a use back, because its order is off.
    Restore {
        /// The order.
        order_id: OrderId,
    },
    /// End it.
    End,
}

/// Why a command to a promotion was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PromotionRefusal {
    /// There is no such promotion.
    #[error("there is no such promotion")]
    NotFound,
    /// The id is in use.
    #[error("the promotion exists already")]
    AlreadyExists,
    /// It takes off more than nothing and at most everything, from a beginning to a later end.
    #[error("a promotion takes off more than nothing and at most 100 %, and ends after it begins")]
    InvalidTerms,
    /// It has not begun.
    #[error("the promotion begins at {from}")]
    NotStarted {
        /// When it begins.
        from: Timestamp,
    },
    /// It is over.
    #[error("the promotion has ended")]
    Ended,
    /// All its uses are used.
    #[error("the promotion was used {limit} times, as often as it can be")]
    UsedUp {
        /// How often it can be used.
        limit: u32,
    },
    /// It takes an amount off in another currency.
    #[error("the promotion is in {promotion}, not in {cart}")]
    CurrencyMismatch {
        /// Its currency.
        promotion: Currency,
        /// The cart's currency.
        cart: Currency,
    },
}

impl PromotionRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "PROMOTION_NOT_FOUND",
            Self::AlreadyExists => "PROMOTION_EXISTS",
            Self::InvalidTerms => "INVALID_PROMOTION",
            Self::NotStarted { .. } => "PROMOTION_NOT_STARTED",
            Self::Ended => "PROMOTION_ENDED",
            Self::UsedUp { .. } => "PROMOTION_USED_UP",
            Self::CurrencyMismatch { .. } => "CURRENCY_MISMATCH",
        }
    }
}

/// A promotion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    terms: Option<PromotionCreated>,
    uses: u32,
    ended: bool,
}

impl Promotion {
    /// Its terms, unless it does not exist.
    pub fn terms(&self) -> Option<&PromotionCreated> {
        self.terms.as_ref()
    }

    /// What it takes off an order in a currency, if it can be used at `now`.
    ///
    /// # Errors
    /// The rule that forbids using it.
    pub fn effect_at(&self, now: Timestamp, currency: Currency) -> Result<&PromotionEffect, PromotionRefusal> {
        let terms = self.terms.as_ref().ok_or(PromotionRefusal::NotFound)?;
        if self.ended || terms.ends_at.is_some_and(|end| end <= now) {
            return Err(PromotionRefusal::Ended);
        }
        if let Some(from) = terms.starts_at.filter(|from| now < *from) {
            return Err(PromotionRefusal::NotStarted { from });
        }
        if let Some(limit) = terms.usage_limit.filter(|limit| self.uses >= *limit) {
            return Err(PromotionRefusal::UsedUp { limit });
        }
        match &terms.effect {
            PromotionEffect::AmountOff { amount } if amount.currency != currency => {
                Err(PromotionRefusal::CurrencyMismatch { promotion: amount.currency, cart: currency })
            }
            effect => Ok(effect),
        }
    }

    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: PromotionCommand) -> Result<Vec<PromotionEvent>, PromotionRefusal> {
        match command {
            PromotionCommand::Create(_) if self.terms.is_some() => Err(PromotionRefusal::AlreadyExists),
            PromotionCommand::Create(terms) => {
                if are_valid(&terms) {
                    Ok(vec![terms.into()])
                } else {
                    Err(PromotionRefusal::InvalidTerms)
                }
            }
            PromotionCommand::Redeem { order_id, customer_id, currency, now } => {
                self.effect_at(now, currency)?;
                Ok(vec![PromotionRedeemed { order_id, customer_id }.into()])
            }
            PromotionCommand::Restore { .. } if self.uses == 0 => Ok(vec![]),
            PromotionCommand::Restore { order_id } => Ok(vec![PromotionRestored { order_id }.into()]),
            PromotionCommand::End if self.terms.is_none() => Err(PromotionRefusal::NotFound),
            PromotionCommand::End if self.ended => Err(PromotionRefusal::Ended),
            PromotionCommand::End => Ok(vec![PromotionEnded {}.into()]),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &PromotionEvent) {
        match event {
            PromotionEvent::PromotionCreated(terms) => self.terms = Some(terms.clone()),
            PromotionEvent::PromotionRedeemed(_) => self.uses = self.uses.saturating_add(1),
            PromotionEvent::PromotionRestored(_) => self.uses = self.uses.saturating_sub(1),
            PromotionEvent::PromotionEnded(_) => self.ended = true,
        }
    }
}

fn are_valid(terms: &PromotionCreated) -> bool {
    let effect = match &terms.effect {
        PromotionEffect::PercentOff { ppm } => (1..=1_000_000).contains(ppm),
        PromotionEffect::AmountOff { amount } => amount.minor > 0,
    };
    let backwards = matches!((terms.starts_at, terms.ends_at), (Some(from), Some(until)) if until <= from);
    effect && !backwards && terms.usage_limit != Some(0) && terms.name.chars().count() <= MAX_NAME_CHARS
}
