//! Time travel: the rows as they were, by the same folds over a few events in memory.
//!
//! The events are those of the aggregate's stream up to the moment asked for, in log order; for an order, those of its
//! payments too if the state of its money should tell what is held.

use event_schemas::Recorded;

use crate::{
    CARTS, Cart, CartLine, Decoded, FoldError, Fulfilment, InMemory, ORDERS, Order, OrderChargeRow, OrderDiscountRow,
    OrderLineRow, OrderReturn, PAYMENTS, PRODUCTS, Payment, Product, Projection, Refund, RowCache, Rows, STOCK, StockLevel,
    Variant, VariantPrice,
};

/// Why the past cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum AsOfError {
    /// An event cannot be read.
    #[error(transparent)]
    Decode(#[from] event_schemas::DecodeError),
    /// An event cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// Folds events into rows that are nowhere but in the cache.
///
/// # Errors
/// If an event cannot be read or folded.
pub fn fold_in_memory(projection: &Projection, events: &[Recorded]) -> Result<RowCache, AsOfError> {
    let mut cache = RowCache::over_empty_tables();
    for recorded in events {
        let decoded = Decoded::new(recorded.clone())?;
        for fact in decoded.facts() {
            (projection.fold)(&mut Rows::new(&mut cache, &InMemory, fact.position), &fact)?;
        }
    }
    Ok(cache)
}

/// An order as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderAsOf {
    /// The order.
    pub order: Order,
    /// Its lines.
    pub lines: Vec<OrderLineRow>,
    /// Its charges.
    pub charges: Vec<OrderChargeRow>,
    /// The promotions that it used.
    pub discounts: Vec<OrderDiscountRow>,
    /// Its parcels.
    pub fulfilments: Vec<Fulfilment>,
    /// What came back.
    pub returns: Vec<OrderReturn>,
}

/// The order of these events; none before it was placed.
///
/// # Errors
/// If an event cannot be read or folded.
pub fn order(events: &[Recorded]) -> Result<Option<OrderAsOf>, AsOfError> {
    let rows = fold_in_memory(&ORDERS, events)?;
    Ok(rows.held::<Order>().pop().map(|order| OrderAsOf {
        order,
        lines: rows.held(),
        charges: rows.held(),
        discounts: rows.held(),
        fulfilments: rows.held(),
        returns: rows.held(),
    }))
}

/// A product as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductAsOf {
    /// The product.
    pub product: Product,
    /// Its variants.
    pub variants: Vec<Variant>,
    /// Their prices.
    pub prices: Vec<VariantPrice>,
}

/// The product of these events; none before it was created.
///
/// # Errors
/// If an event cannot be read or folded.
pub fn product(events: &[Recorded]) -> Result<Option<ProductAsOf>, AsOfError> {
    let rows = fold_in_memory(&PRODUCTS, events)?;
    let product = rows.held::<Product>().pop();
    Ok(product.map(|product| ProductAsOf { product, variants: rows.held(), prices: rows.held() }))
}

/// A cart as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct CartAsOf {
    /// The cart.
    pub cart: Cart,
    /// Its lines.
    pub lines: Vec<CartLine>,
}

/// The cart of these events; none before it was created.
///
/// # Errors
/// If an event cannot be read or folded.
pub fn cart(events: &[Recorded]) -> Result<Option<CartAsOf>, AsOfError> {
    let rows = fold_in_memory(&CARTS, events)?;
    Ok(rows.held::<Cart>().pop().map(|cart| CartAsOf { cart, lines: rows.held() }))
}

/// The stock level of these events; none before anything happened to it.
///
/// # Errors
/// If an event cannot be read or folded.
pub fn stock(events: &[Recorded]) -> Result<Option<StockLevel>, AsOfError> {
    Ok(fold_in_memory(&STOCK, events)?.held::<StockLevel>().pop())
}

/// A payment as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentAsOf {
    /// The payment.
    pub payment: Payment,
    /// Its refunds.
    pub refunds: Vec<Refund>,
}

/// The payment of these events; none before it was opened.
///
/// # Errors
/// If an event cannot be read or folded.
pub fn payment(events: &[Recorded]) -> Result<Option<PaymentAsOf>, AsOfError> {
    let rows = fold_in_memory(&PAYMENTS, events)?;
    Ok(rows.held::<Payment>().pop().map(|payment| PaymentAsOf { payment, refunds: rows.held() }))
}
