//! How long what is known of somebody is kept who never bought anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::Weak,
    time::Duration,
};

use chrono::TimeDelta;
use domain::{ChangePersons, PersonCommand};
use engine::{Clock as _, CommandError};
use event_schemas::{CartId, Metadata, PersonId, StreamId};
use projections::{Cart, CartState};

use crate::{
    graphql::history,
    persons::{PersonsError, erased_in, eraser, found, without_purge},
    shop::Shop,
};

/// How often it is looked for what has been kept for long enough.
const LOOK: Duration = Duration::from_secs(3_600);
/// How long after a start, so that a process that is started again and again looks too.
const FIRST: Duration = Duration::from_secs(5);
/// Carts that are looked at in one go.
const PAGE: u32 = 500;
/// Who erases.
const ACTOR: &str = "process:retention";

/// A rule of how long something is kept: `cart=90` erases whoever is known only from carts that expired 90 days ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How many days.
    days: u32,
}

/// A text that is no rule of retention.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rule of retention: write cart=DAYS, such as cart=90")]
pub struct RetentionError(String);

impl FromStr for Retention {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Self, RetentionError> {
        let wrong = || RetentionError(text.to_owned());
        let (kind, days) = text.split_once('=').ok_or_else(wrong)?;
        // Orders, and what belongs to them, are kept for as long as the law on books says, and are erased when asked.
        let days = days.parse().ok().filter(|days| kind == "cart" && (1..=36_500).contains(days));
        days.map(|days| Self { days }).ok_or_else(wrong)
    }
}

/// Erases by a rule, from a start on and now and again.
pub(crate) async fn keep_short(shop: Weak<Shop>, retention: Retention) {
    tokio::time::sleep(FIRST).await;
    while let Some(shop) = shop.upgrade() {
        let looked = look(&shop, retention).await;
        // Once for all that were erased; when it fails, the process that looks for erasures tries it again.
        eraser::clean(&shop).await;
        match looked {
            Ok(erased) => tracing::info!(erased, days = retention.days, "persons known from expired carts only were erased"),
            Err(error) => tracing::warn!(%error, "the rule of retention could not be followed yet; it is tried again"),
        }
        drop(shop);
        tokio::time::sleep(LOOK).await;
    }
}

/// Erases whoever is known only from carts that expired long enough ago; how many.
async fn look(shop: &Shop, retention: Retention) -> Result<u64, PersonsError> {
    let (mut after, mut erased): (Option<CartId>, u64) = (None, 0);
    let before = shop.clock.now() - TimeDelta::days(retention.days.into());
    // A legal hold cannot be placed either while somebody cannot be found.
    found::until_all_is_shown(shop).await?;
    loop {
        let page = shop.views.read(move |reader| reader.carts_after(after, PAGE)).await?;
        let Some(last) = page.last() else { return Ok(erased) };
        after = Some(last.cart_id);
        for cart in page {
            let is_old = cart.state == CartState::Expired && cart.updated_at < before && cart.customer_id.is_none();
            let Some(person) = cart.person_id.filter(|_| is_old) else { continue };
            if !shop.persons.is_readable(person).await? {
                continue;
            }
            for person in keys_of(shop, &cart, person).await? {
                if shop.persons.is_readable(person).await? && is_known_from_old_carts_only(shop, person, before).await? {
                    match erase(shop, person, retention).await {
                        Ok(done) => erased += u64::from(done),
                        // It holds up nobody else, and is tried again in the next round.
                        Err(error) => {
                            tracing::warn!(%person, %error, "a person could not be erased yet by the rule of retention")
                        }
                    }
                }
            }
        }
    }
}

/// Every key that something in a cart was ever sealed with. The one by which the cart is found comes last: as long as it is
/// there, the others are looked for again.
async fn keys_of(shop: &Shop, cart: &Cart, last: PersonId) -> Result<Vec<PersonId>, PersonsError> {
    let mut keys = BTreeSet::new();
    for recorded in history::whole(&*shop.log, &StreamId::new("cart", cart.cart_id)).await? {
        keys.extend(found::sealed_in(&recorded)?);
    }
    keys.remove(&last);
    Ok(keys.into_iter().chain([last]).collect())
}

async fn is_known_from_old_carts_only(
    shop: &Shop,
    person: PersonId,
    before: event_schemas::Timestamp,
) -> Result<bool, PersonsError> {
    let kept = shop.views.read(move |reader| reader.kept_of_person(person)).await?;
    let is_old = |cart: &Cart| cart.state == CartState::Expired && cart.updated_at < before;
    Ok(kept.orders.is_empty() && kept.reviews.is_empty() && kept.carts.iter().all(is_old))
}

/// Whether the person was erased: a legal hold keeps them.
async fn erase(shop: &Shop, person: PersonId, retention: Retention) -> Result<bool, PersonsError> {
    let metadata = Metadata {
        actor: ACTOR.to_owned(),
        command_id: shop.engine.ids().next(),
        correlation_id: None,
        causation_id: None,
        trace_id: None,
        idempotency: None,
    };
    let command = PersonCommand::Erase {
        by: ACTOR.to_owned(),
        reason: format!("kept no longer than {} days after a cart expired", retention.days),
        customer_id: None,
        needs_approval: false,
    };
    let outcome =
        match shop.engine.submit(ChangePersons { persons: vec![person], customers: BTreeMap::new(), command }, metadata).await {
            Ok(outcome) => outcome,
            Err(CommandError::Refused(refusal)) => {
                tracing::debug!(%person, %refusal, "a person is kept beyond the rule of retention");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
    // What fails now is done by the process that looks for it.
    without_purge(shop, &erased_in(&outcome.changes)).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_what_it_is_about_and_how_many_days() {
        assert_eq!("cart=90".parse(), Ok(Retention { days: 90 }));
        for text in ["", "cart", "cart=", "cart=0", "cart=-1", "cart=99999", "order=90", "90"] {
            assert_eq!(text.parse::<Retention>(), Err(RetentionError(text.to_owned())));
        }
    }
}
