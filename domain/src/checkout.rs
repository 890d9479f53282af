//! Checkout: one decision over cart, products, stock, promotions, order and payment. All of it happens, or nothing.

use std::sync::Arc;

use event_schemas::{
    CartId, CouponCode, Currency, LocationId, Money, OrderId, OrderPlaced, PaymentId, PaymentOpened, Personal, SalesChannel, Sku,
    StockAllocation, StockId, Timestamp,
};

use crate::{
    Cart, CartCommand, Change, Coupon, Decision, Offer, OpenCart, OrderCommand, PaymentCommand, Product, Promotion,
    PromotionCommand, PromotionRefusal, Quote, Refusal, Shortage, Stock, StockCommand, StoreConfig, Terms, World,
    coupon::find_coupon, order_decisions::order_changes, payment_decisions::payment_changes, pricing::TotalTooLarge, quote,
    stock_decisions::stock_changes, stream_of,
};

/// A price that is no longer what the cart says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceChange {
    /// The line's SKU.
    pub sku: Sku,
    /// The price of one unit when it was put in the cart.
    pub old: Money,
    /// The price of one unit now.
    pub new: Money,
}

/// Why a cart could not become an order.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CheckoutRefusal {
    /// There is nothing to buy.
    #[error("the cart is empty")]
    EmptyCart,
    /// The store does not sell in this currency.
    #[error("the shop does not sell in {currency}")]
    CurrencyNotOffered {
        /// The currency.
        currency: Currency,
    },
    /// The confirmation needs an address.
    #[error("an e-mail address is needed")]
    EmailMissing,
    /// The parcel needs an address.
    #[error("a shipping address is needed")]
    ShippingAddressMissing,
    /// The parcel needs a way.
    #[error("a shipping method is needed")]
    ShippingMethodMissing,
    /// The method does not exist, or does not go there, or not with this parcel, or not in this currency.
    #[error("the shipping method `{method}` is not available for this cart")]
    ShippingUnavailable {
        /// The method's code.
        method: String,
    },
    /// Some lines can no longer be bought.
    #[error("no longer for sale: {}", list(skus))]
    NotForSale {
        /// The lines' SKUs.
        skus: Vec<Sku>,
    },
    /// Some prices are no longer what the cart says: the buyer has to agree first.
    #[error("the price has changed: {}", list(&changes.iter().map(|c| format!("{} from {} to {}", c.sku, c.old, c.new)).collect::<Vec<_>>()))]
    PriceChanged {
        /// The lines, with old and new price.
        changes: Vec<PriceChange>,
    },
    /// Some lines ask for more than can be sold.
    #[error("{}", list(shortages))]
    InsufficientStock {
        /// The lines, with what can be sold.
        shortages: Vec<Shortage>,
    },
    /// A coupon code cannot be used.
    #[error("coupon {code}: {reason}")]
    Coupon {
        /// The code.
        code: CouponCode,
        /// Why.
        reason: PromotionRefusal,
    },
    /// The amounts do not fit in minor units.
    #[error(transparent)]
    TotalTooLarge(#[from] TotalTooLarge),
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl CheckoutRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyCart => "CART_EMPTY",
            Self::CurrencyNotOffered { .. } => "CURRENCY_NOT_OFFERED",
            Self::EmailMissing => "EMAIL_REQUIRED",
            Self::ShippingAddressMissing => "SHIPPING_ADDRESS_REQUIRED",
            Self::ShippingMethodMissing => "SHIPPING_METHOD_REQUIRED",
            Self::ShippingUnavailable { .. } => "SHIPPING_METHOD_UNAVAILABLE",
            Self::NotForSale { .. } => "NOT_FOR_SALE",
            Self::PriceChanged { .. } => "PRICE_CHANGED",
            Self::InsufficientStock { .. } => "INSUFFICIENT_STOCK",
            Self::Coupon { reason: PromotionRefusal::NotFound, .. } => "COUPON_NOT_FOUND",
            Self::Coupon { reason, .. } => reason.code(),
            Self::TotalTooLarge(_) => "TOTAL_TOO_LARGE",
        }
    }
}

/// Turn a cart into an order: set its stock aside, use its coupons and open its payment. An order that costs nothing is paid
/// as it is placed, and has no payment.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// The cart.
    pub cart_id: CartId,
    /// The new order.
    pub order_id: OrderId,
    /// The number that people use for the order.
    pub number: String,
    /// The new payment.
    pub payment_id: PaymentId,
    /// The time of asking.
    pub now: Timestamp,
    /// The store's configuration.
    pub config: Arc<StoreConfig>,
}

impl Decision for Checkout {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let cart = world.get::<Cart>(self.cart_id).open_at(self.now)?;
        // All reads come before the first refusal, so that what is missing is brought in one go.
        let offers = self.offers(world, cart);
        let allocations = self.allocations(world, cart);
        let coupons: Vec<_> = cart.coupon_codes.iter().map(|code| find_coupon(world, code, self.now, cart.currency)).collect();
        let (country, method) = self.delivery(cart)?;
        let (offers, allocations) = (offers?, allocations?);
        let coupons = coupons.into_iter().collect::<Result<Vec<Coupon>, _>>()?;
        let terms = Terms {
            offers: &offers,
            coupons: &coupons,
            country: Some(country),
            method: Some(method),
            now: self.now,
            config: &self.config,
        };
        let quote = quote(cart, terms)?;
        self.changes(world, cart, quote, allocations)
    }
}

impl Checkout {
    /// All that stands in its way, by the rules that would refuse it, but what the buyer has only not said yet: to be told
    /// ahead. Nothing for a cart that cannot be changed any more.
    pub fn obstacles(&self, world: &World<'_>) -> Vec<CheckoutRefusal> {
        let Ok(cart) = world.get::<Cart>(self.cart_id).open_at(self.now) else { return Vec::new() };
        let (offers, allocations) = (self.offers(world, cart), self.allocations(world, cart));
        let coupons = cart.coupon_codes.iter().map(|code| find_coupon(world, code, self.now, cart.currency));
        let mut obstacles: Vec<_> = coupons.filter_map(Result::err).collect();
        obstacles.extend(allocations.err());
        if let Some(code) = &cart.shipping_method {
            let serves = |method: &&crate::ShippingMethod| cart.country.as_ref().is_none_or(|country| method.serves(country));
            if self.config.shipping_method(code).filter(serves).is_none() {
                obstacles.push(CheckoutRefusal::ShippingUnavailable { method: code.clone() });
            }
        }
        obstacles.extend(offers.err());
        obstacles
    }

    fn delivery<'a>(
        &'a self,
        cart: &'a OpenCart,
    ) -> Result<(&'a event_schemas::CountryCode, &'a crate::ShippingMethod), CheckoutRefusal> {
        if cart.lines.is_empty() {
            return Err(CheckoutRefusal::EmptyCart);
        }
        // What was entered before personal data was sealed must be entered again: an order never holds it in plain.
        if !cart.email.as_ref().is_some_and(Personal::is_sealed) {
            return Err(CheckoutRefusal::EmailMissing);
        }
        let country = cart.country.as_ref().filter(|_| cart.shipping_address.as_ref().is_some_and(Personal::is_sealed));
        let country = country.ok_or(CheckoutRefusal::ShippingAddressMissing)?;
        let code = cart.shipping_method.as_ref().ok_or(CheckoutRefusal::ShippingMethodMissing)?;
        let method = self.config.shipping_method(code).filter(|method| method.serves(country));
        let method = method.ok_or_else(|| CheckoutRefusal::ShippingUnavailable { method: code.clone() })?;
        Ok((country, method))
    }

    /// What each line is sold as now, if at the price that the cart says.
    fn offers(&self, world: &World<'_>, cart: &OpenCart) -> Result<Vec<Offer>, CheckoutRefusal> {
        let (mut offers, mut gone, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for line in &cart.lines {
            match world.get::<Product>(line.product_id).offer(&line.sku, cart.currency, self.now) {
                Err(_) => gone.push(line.sku.clone()),
                Ok(offer) if offer.unit_price != line.unit_price => {
                    changes.push(PriceChange { sku: line.sku.clone(), old: line.unit_price, new: offer.unit_price });
                }
                Ok(offer) => offers.push(offer),
            }
        }
        if !gone.is_empty() {
            return Err(CheckoutRefusal::NotForSale { skus: gone });
        }
        if changes.is_empty() { Ok(offers) } else { Err(CheckoutRefusal::PriceChanged { changes }) }
    }

    /// Where the units of each line come from.
    fn allocations(&self, world: &World<'_>, cart: &OpenCart) -> Result<Vec<Vec<StockAllocation>>, CheckoutRefusal> {
        let (mut allocations, mut shortages) = (Vec::new(), Vec::new());
        for line in &cart.lines {
            let at = |location: &LocationId| StockId { sku: line.sku.clone(), location: location.clone() };
            let stocks: Vec<_> =
                self.config.locations.iter().map(|location| (location, world.get::<Stock>(at(location)))).collect();
            match split(&stocks, line.quantity) {
                Ok(split) => allocations.push(split),
                Err(available) => {
                    shortages.push(Shortage { sku: line.sku.clone(), available, requested: line.quantity });
                }
            }
        }
        if shortages.is_empty() { Ok(allocations) } else { Err(CheckoutRefusal::InsufficientStock { shortages }) }
    }

    fn changes(
        &self,
        world: &World<'_>,
        cart: &OpenCart,
        mut quote: Quote,
        allocations: Vec<Vec<StockAllocation>>,
    ) -> Result<Vec<Change>, Refusal> {
        for (line, allocations) in quote.lines.iter_mut().zip(allocations) {
            line.allocations = allocations;
        }
        let order = self.order(cart, quote);
        let check_out = CartCommand::CheckOut { order_id: self.order_id, now: self.now };
        let events = world.get::<Cart>(self.cart_id).decide(check_out)?;
        let mut changes = order_changes(world, self.order_id, OrderCommand::Place(Box::new(order.clone())))?;
        changes.extend(Change::all(stream_of::<Cart>(self.cart_id), events));
        let (order_id, expires_at) = (self.order_id, order.pay_by);
        for line in order.lines {
            for StockAllocation { location, quantity } in line.allocations {
                let stock = StockId { sku: line.sku.clone(), location };
                let command = StockCommand::Reserve { sku: line.sku.clone(), order_id, quantity, expires_at };
                changes.extend(stock_changes(world, &stock, command)?);
            }
        }
        for discount in order.discounts {
            let (id, customer_id) = (discount.promotion_id, order.customer_id.clone());
            let command = PromotionCommand::Redeem { order_id, customer_id, currency: cart.currency, now: self.now };
            let events = world.get::<Promotion>(id).decide(command)?;
            changes.extend(Change::all(stream_of::<Promotion>(id), events));
        }
        if let Some(payment_id) = order.payment_id {
            let amount = Money::new(order.totals.gross_minor, cart.currency);
            let gateway = self.config.gateway.clone();
            let opened = PaymentOpened { payment_id, order_id, amount, gateway, method: None };
            changes.extend(payment_changes(world, payment_id, PaymentCommand::Open(opened))?);
        }
        Ok(changes)
    }

    fn order(&self, cart: &OpenCart, quote: Quote) -> OrderPlaced {
        let due = quote.totals.gross_minor > 0;
        OrderPlaced {
            order_id: self.order_id,
            number: self.number.clone(),
            channel: SalesChannel::Storefront,
            cart_id: Some(self.cart_id),
            customer_id: cart.customer_id.clone(),
            email: cart.email.clone(),
            shipping_address: cart.shipping_address.clone(),
            billing_address: cart.billing_address.clone().filter(Personal::is_sealed),
            country: cart.country.clone(),
            currency: cart.currency,
            lines: quote.lines,
            charges: quote.charges,
            discounts: quote.discounts,
            totals: quote.totals,
            pricing: quote.pricing,
            payment_id: due.then_some(self.payment_id),
            pay_by: due.then(|| self.config.pay_by(self.now)),
        }
    }
}

/// Splits a quantity over locations in order: first over what is there, then over what may be sold beyond that.
///
/// # Errors
/// How many units can be sold, when those are fewer.
fn split(stocks: &[(&LocationId, &Stock)], quantity: u32) -> Result<Vec<StockAllocation>, u64> {
    let sellable = stocks.iter().fold(0_u64, |sum, (_, stock)| sum.saturating_add(stock.sellable()));
    if sellable < u64::from(quantity) {
        return Err(sellable);
    }
    let mut left = quantity;
    let mut take = |free: u64| {
        let units = left.min(u32::try_from(free).unwrap_or(u32::MAX));
        left -= units;
        units
    };
    let there: Vec<u32> = stocks.iter().map(|(_, stock)| take(stock.available().min(stock.sellable()))).collect();
    let beyond: Vec<u32> =
        stocks.iter().zip(&there).map(|((_, stock), taken)| take(stock.sellable() - u64::from(*taken))).collect();
    let units = there.iter().zip(beyond).map(|(there, beyond)| there + beyond);
    let parts = stocks.iter().zip(units).filter(|(_, quantity)| *quantity > 0);
    Ok(parts.map(|((location, _), quantity)| StockAllocation { location: (*location).clone(), quantity }).collect())
}
