//! A name that only one thing in the store may carry at a time.

use std::fmt;

use event_schemas::{ClaimEvent, ClaimReleased, ClaimTaken, CouponCode, OrderId, Sku, Slug, StreamId};
use serde::{Deserialize, Serialize};

/// A unique name: the id of its claim stream, written `kind:name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimName {
    /// A variant's SKU.
    Sku(Sku),
    /// A product's name in the URL.
    Slug(Slug),
    /// A category's name in the URL.
    CategorySlug(Slug),
    /// A promotion's coupon code.
    Coupon(CouponCode),
    /// The one review of an order.
    Review(OrderId),
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sku(sku) => write!(f, "sku:{sku}"),
            Self::Slug(slug) => write!(f, "slug:{slug}"),
            Self::CategorySlug(slug) => write!(f, "category-slug:{slug}"),
            Self::Coupon(code) => write!(f, "coupon:{code}"),
            Self::Review(order_id) => write!(f, "review:{order_id}"),
        }
    }
}

/// What can be asked of a unique name.
#[derive(Debug, Clone, PartialEq)]
pub enum ClaimCommand {
    /// Take it.
    Take {
        /// The name, for the refusal to say.
        name: ClaimName,
        /// Who takes it.
        holder: StreamId,
    },
    /// Give it back.
    Release {
        /// Who gives it back.
        holder: StreamId,
    },
}

/// Why a command to a unique name was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClaimRefusal {
    /// Another thing carries the name.
    #[error("`{name}` is already in use")]
    Taken {
        /// The name.
        name: ClaimName,
        /// The stream of the thing that carries it.
        holder: String,
    },
    /// Only the thing that carries a name can give it back.
    #[error("the name is not held by {holder}")]
    NotHolder {
        /// Who wanted to give it back.
        holder: StreamId,
    },
}

impl ClaimRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Taken { name: ClaimName::Sku(_), .. } => "SKU_TAKEN",
            Self::Taken { name: ClaimName::Slug(_) | ClaimName::CategorySlug(_), .. } => "SLUG_TAKEN",
            Self::Taken { name: ClaimName::Coupon(_), .. } => "COUPON_CODE_TAKEN",
            Self::Taken { name: ClaimName::Review(_), .. } => "ALREADY_REVIEWED",
            Self::NotHolder { .. } => "NAME_NOT_HELD",
        }
    }
}

/// A unique name: free, or carried by one thing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Claim {
    /// Never taken, or given back.
    #[default]
    Free,
    /// Carried.
    Held {
        /// The stream of the thing that carries it.
        holder: String,
    },
}

impl Claim {
    /// The stream of the thing that carries the name, if any does.
    pub fn holder(&self) -> Option<StreamId> {
        match self {
            Self::Free => None,
            Self::Held { holder } => holder.parse().ok(),
        }
    }

    /// The rules. Taking what one already holds changes nothing.
    ///
    /// # Errors
    /// The rule that forbids the command.
    pub fn decide(&self, command: ClaimCommand) -> Result<Vec<ClaimEvent>, ClaimRefusal> {
        match (self, command) {
            (Self::Free, ClaimCommand::Take { holder, .. }) => Ok(vec![ClaimTaken { holder: holder.to_string() }.into()]),
            (Self::Held { holder }, ClaimCommand::Take { holder: taker, .. }) if *holder == taker.to_string() => Ok(vec![]),
            (Self::Held { holder }, ClaimCommand::Take { name, .. }) => Err(ClaimRefusal::Taken { name, holder: holder.clone() }),
            (Self::Held { holder }, ClaimCommand::Release { holder: giver }) if *holder == giver.to_string() => {
                Ok(vec![ClaimReleased {}.into()])
            }
            (_, ClaimCommand::Release { holder }) => Err(ClaimRefusal::NotHolder { holder }),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &ClaimEvent) {
        *self = match event {
            ClaimEvent::ClaimTaken(taken) => Self::Held { holder: taken.holder.clone() },
            ClaimEvent::ClaimReleased(_) => Self::Free,
        }
    }
}
