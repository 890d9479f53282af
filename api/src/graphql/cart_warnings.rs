//! What a shopper should know about a cart although it was changed as they asked: what a checkout of it would run into, by the
//! rules of the checkout itself.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{Context, Error};
use domain::{Cart, CartLineChange, Checkout, QuantityChange};
use engine::Outcome;
use event_schemas::{CartEvent, CartId, CommerceEvent, OrderId, PaymentId, Sku};
use event_store::ReadError;
use uuid::Uuid;

use crate::{
    graphql::{
        history, problem,
        warning::{Warning, WarningCode},
    },
    shop::Shop,
};

/// What stands in the way of a cart's checkout, but what the shopper has only not said yet.
///
/// # Errors
/// If the log cannot be read.
pub(crate) async fn of(ctx: &Context<'_>, cart_id: CartId) -> Result<Vec<Warning>, Error> {
    let shop = ctx.data::<Arc<Shop>>()?;
    let checkout = Checkout {
        cart_id,
        order_id: OrderId(Uuid::nil()),
        number: String::new(),
        payment_id: PaymentId(Uuid::nil()),
        now: shop.engine.clock().now(),
        config: shop.config.clone(),
    };
    let obstacles = engine::look(shop.log.as_ref(), |world| checkout.obstacles(world)).await;
    Ok(obstacles.map_err(|fault| problem::fault(&fault))?.iter().flat_map(Warning::of).collect())
}

/// The lines that took fewer units than were asked for, as the log tells: so a repeated request is told the same.
///
/// # Errors
/// If the log cannot be read.
pub(crate) async fn reductions(ctx: &Context<'_>, asked: &[CartLineChange], outcome: &Outcome) -> Result<Vec<Warning>, Error> {
    let fault = |error: ReadError| problem::fault(&error);
    let Some(change) = outcome.changes.first() else { return Ok(Vec::new()) };
    let log = &ctx.data::<Arc<Shop>>()?.log;
    // The events of one command are next to each other in the log.
    let before = outcome.position.saturating_sub(outcome.changes.len() as u64);
    let mut cart = Cart::default();
    for recorded in history::whole(log.as_ref(), &change.stream).await.map_err(fault)? {
        if recorded.position <= before {
            for event in recorded.decode().map_err(|error| problem::fault(&error))? {
                if let CommerceEvent::Cart(event) = event {
                    cart.evolve(&event);
                }
            }
        }
    }
    let mut requested: BTreeMap<&Sku, u32> = BTreeMap::new();
    let held: BTreeMap<&Sku, u32> = match &cart {
        Cart::Open(open) => open.lines.iter().map(|line| (&line.sku, line.quantity)).collect(),
        Cart::Absent | Cart::CheckedOut { .. } | Cart::Expired { .. } => BTreeMap::new(),
    };
    for change in asked {
        let units = requested.entry(&change.sku).or_insert_with(|| held.get(&change.sku).copied().unwrap_or_default());
        *units = match change.quantity {
            QuantityChange::Add(more) => units.saturating_add(more),
            QuantityChange::Set(quantity) => quantity,
        };
    }
    let taken: BTreeMap<&Sku, u32> = outcome.changes.iter().filter_map(|change| line(&change.event)).collect();
    let reduced = requested.into_iter().filter_map(|(sku, requested)| {
        let taken = taken.get(sku).copied().filter(|taken| *taken < requested)?;
        let message = format!("only {taken} of {sku} can be sold now, and {requested} were asked for");
        Some(Warning::about(WarningCode::QuantityReduced, sku, message))
    });
    Ok(reduced.collect())
}

fn line(event: &CommerceEvent) -> Option<(&Sku, u32)> {
    if let CommerceEvent::Cart(CartEvent::CartLineSet(line)) = event { Some((&line.sku, line.quantity)) } else { None }
}
