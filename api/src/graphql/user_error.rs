//! What the shop refuses: business rules, told with the mutation's payload and never as GraphQL errors.

use std::sync::Arc;

use async_graphql::{Context, Error, Interface, SimpleObject};
use domain::Refusal;

use crate::{
    access::{Caller, history_of},
    graphql::{history::HistoryEntry, money::Money, problem, scalar::Long, user_error_code::UserErrorCode},
    shop::Shop,
};

/// A business rule that forbids the mutation. Nothing was changed.
#[derive(Debug, Interface)]
#[graphql(
    field(name = "code", ty = "&UserErrorCode", desc = "The rule, for programs."),
    field(name = "message", ty = "&String", desc = "The rule, for people."),
    field(
        name = "field",
        ty = "&Option<Vec<String>>",
        desc = "The part of the input it is about, as a path, if it is about one."
    )
)]
pub(crate) enum UserError {
    /// Stock.
    InsufficientStock(InsufficientStock),
    /// Price.
    PriceChanged(PriceChanged),
    /// Version.
    StaleVersion(StaleVersion),
    /// Any other rule.
    GenericUserError(GenericUserError),
}

/// Fewer units can be sold than were asked for.
#[derive(Debug, SimpleObject)]
pub(crate) struct InsufficientStock {
    /// The rule, for programs.
    pub(crate) code: UserErrorCode,
    /// The rule, for people.
    pub(crate) message: String,
    /// The part of the input it is about, as a path, if it is about one.
    pub(crate) field: Option<Vec<String>>,
    /// What there is too little of.
    pub(crate) sku: String,
    /// Units that can be sold now.
    pub(crate) available: Long,
    /// Units that were asked for.
    pub(crate) requested: Long,
}

/// A price is no longer what the cart shows. The cart shows the new one once its line is set again.
#[derive(Debug, SimpleObject)]
pub(crate) struct PriceChanged {
    /// The rule, for programs.
    pub(crate) code: UserErrorCode,
    /// The rule, for people.
    pub(crate) message: String,
    /// The part of the input it is about, as a path, if it is about one.
    pub(crate) field: Option<Vec<String>>,
    /// What has another price.
    pub(crate) sku: String,
    /// The price that the cart shows.
    pub(crate) old_price: Money,
    /// The price now.
    pub(crate) new_price: Money,
}

/// What was to be changed is no longer what was looked at: look again, and decide anew.
#[derive(Debug, SimpleObject)]
pub(crate) struct StaleVersion {
    /// The rule, for programs.
    pub(crate) code: UserErrorCode,
    /// The rule, for people.
    pub(crate) message: String,
    /// The part of the input it is about, as a path, if it is about one.
    pub(crate) field: Option<Vec<String>>,
    /// The version that was looked at.
    pub(crate) expected_version: Long,
    /// The version now.
    pub(crate) version: Long,
    /// What has happened since, the oldest first, at most 50; none if the caller may not see what happens to it.
    pub(crate) events: Vec<HistoryEntry>,
}

/// Any other rule.
#[derive(Debug, SimpleObject)]
pub(crate) struct GenericUserError {
    /// The rule, for programs.
    pub(crate) code: UserErrorCode,
    /// The rule, for people.
    pub(crate) message: String,
    /// The part of the input it is about, as a path, if it is about one.
    pub(crate) field: Option<Vec<String>>,
}

/// The most events that a stale version is told with.
const MOST_EVENTS: usize = 50;

/// What a stale version is told as, with the events since if the caller may see them.
async fn stale(ctx: &Context<'_>, stale: &domain::StaleVersion) -> Result<StaleVersion, Error> {
    let domain::StaleVersion { stream, expected, version } = stale;
    let mut events = Vec::new();
    if ctx.data::<Caller>()?.may(history_of(&stream.aggregate_type)) {
        let log = &ctx.data::<Arc<Shop>>()?.log;
        let read = log.read_stream(stream, *expected, MOST_EVENTS).await.map_err(|error| problem::fault(&error))?;
        events = read.into_iter().map(HistoryEntry::from).collect();
    }
    Ok(StaleVersion {
        code: UserErrorCode::StaleVersion,
        message: stale.to_string(),
        field: Some(vec!["expectedVersion".to_owned()]),
        expected_version: Long::of(*expected),
        version: Long::of(*version),
        events,
    })
}

impl UserError {
    /// The errors that a refusal is told as, with what it takes a look at the log to tell.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(crate) async fn told(ctx: &Context<'_>, refusal: &Refusal) -> Result<Vec<Self>, Error> {
        Ok(match refusal.stale() {
            Some(version) => vec![Self::StaleVersion(stale(ctx, version).await?)],
            None => Self::of(refusal),
        })
    }

    /// The errors that a refusal is told as: one for each SKU that it is about, else one.
    pub(crate) fn of(refusal: &Refusal) -> Vec<Self> {
        let (code, field) = (UserErrorCode::named(refusal.code()), refusal.field().map(|field| vec![field.to_owned()]));
        let shortages = refusal.shortages().iter().map(|shortage| {
            Self::InsufficientStock(InsufficientStock {
                code,
                message: shortage.to_string(),
                field: field.clone(),
                sku: shortage.sku.to_string(),
                available: Long::of(shortage.available),
                requested: Long(shortage.requested.into()),
            })
        });
        let changes = refusal.price_changes().iter().map(|change| {
            Self::PriceChanged(PriceChanged {
                code,
                message: format!("the price of {} has changed from {} to {}", change.sku, change.old, change.new),
                field: field.clone(),
                sku: change.sku.to_string(),
                old_price: Money(change.old),
                new_price: Money(change.new),
            })
        });
        let mut errors: Vec<Self> = shortages.chain(changes).collect();
        if errors.is_empty() {
            errors.push(Self::GenericUserError(GenericUserError { code, message: refusal.to_string(), field }));
        }
        errors
    }

    /// A rule without detail.
    pub(crate) fn new(code: UserErrorCode, message: impl Into<String>) -> Self {
        Self::GenericUserError(GenericUserError { code, message: message.into(), field: None })
    }

    /// A rule without detail, about a part of the input if it is about one.
    pub(crate) fn about(code: UserErrorCode, field: Option<&str>, message: impl Into<String>) -> Self {
        let field = field.map(|field| vec![field.to_owned()]);
        Self::GenericUserError(GenericUserError { code, message: message.into(), field })
    }

    /// A part of the input that is malformed.
    pub(crate) fn invalid(field: &[&str], message: impl Into<String>) -> Self {
        let field = Some(field.iter().map(ToString::to_string).collect());
        Self::GenericUserError(GenericUserError { code: UserErrorCode::InvalidInput, message: message.into(), field })
    }

    /// A number of units that is not possible.
    pub(crate) fn quantity(field: &[&str], quantity: i64) -> Self {
        let field = Some(field.iter().map(ToString::to_string).collect());
        let message = format!("{quantity} is not a possible number of units");
        Self::GenericUserError(GenericUserError { code: UserErrorCode::InvalidQuantity, message, field })
    }
}
