//! What shoppers decide about their carts.

use std::{collections::BTreeMap, sync::Arc};

use event_schemas::{
    Address, CartCreated, CartDetailsSet, CartId, CartLineSet, CountryCode, CouponCode, Currency, CustomerId, Personal,
    ProductId, Sku, StockId, Timestamp,
};

use crate::{
    Cart, CartCommand, CartRefusal, Change, CheckoutRefusal, Claim, ClaimName, Decision, Product, ProductRefusal, Refusal,
    Shortage, Stock, StoreConfig, World, coupon::find_coupon, stream_of,
};

fn cart_changes(world: &World<'_>, id: CartId, command: CartCommand) -> Result<Vec<Change>, Refusal> {
    Ok(Change::all(stream_of::<Cart>(id), world.get::<Cart>(id).decide(command)?))
}

/// Begin a cart.
#[derive(Debug, Clone)]
pub struct CreateCart {
    /// The new cart.
    pub cart_id: CartId,
    /// The currency of all its prices.
    pub currency: Currency,
    /// The customer, if known.
    pub customer_id: Option<CustomerId>,
    /// The time of asking.
    pub now: Timestamp,
    /// The store's configuration.
    pub config: Arc<StoreConfig>,
}

impl Decision for CreateCart {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { cart_id, currency, customer_id, .. } = self.clone();
        if !self.config.currencies.contains(&currency) {
            return Err(CheckoutRefusal::CurrencyNotOffered { currency }.into());
        }
        let expires_at = self.config.cart_expiry(self.now);
        cart_changes(world, cart_id, CartCommand::Create(CartCreated { cart_id, currency, customer_id, expires_at }))
    }
}

/// How a line's quantity changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantityChange {
    /// This many units more.
    Add(u32),
    /// This many units in all; zero takes the line out.
    Set(u32),
}

/// A change of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CartLineChange {
    /// The line's SKU.
    pub sku: Sku,
    /// How its quantity changes.
    pub quantity: QuantityChange,
}

/// Add, change and take out lines, all of them or none, at the prices of the moment.
#[derive(Debug, Clone)]
pub struct SetCartLines {
    /// The cart.
    pub cart_id: CartId,
    /// The changes, in order.
    pub lines: Vec<CartLineChange>,
    /// The time of asking.
    pub now: Timestamp,
    /// The store's configuration.
    pub config: Arc<StoreConfig>,
}

impl Decision for SetCartLines {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        // All reads come first, so that what is missing is brought in one go.
        let products: Vec<_> = self.lines.iter().map(|line| product_of(world, &line.sku)).collect();
        let mut cart = world.get::<Cart>(self.cart_id).clone();
        let mut changes = Vec::new();
        for (change, product) in self.lines.iter().zip(products) {
            let events = cart.decide(self.command(&cart, change, product)?)?;
            events.iter().for_each(|event| cart.evolve(event));
            changes.extend(Change::all(stream_of::<Cart>(self.cart_id), events));
        }
        Ok(changes)
    }
}

/// The product that carries a SKU, if any does.
fn product_of<'a>(world: &World<'a>, sku: &Sku) -> Option<(ProductId, &'a Product)> {
    let holder = world.get::<Claim>(ClaimName::Sku(sku.clone())).holder()?;
    let product_id: ProductId = holder.aggregate_id.parse().ok()?;
    Some((product_id, world.get::<Product>(product_id)))
}

impl SetCartLines {
    fn command(
        &self,
        cart: &Cart,
        change: &CartLineChange,
        product: Option<(ProductId, &Product)>,
    ) -> Result<CartCommand, Refusal> {
        let open = cart.open_at(self.now)?;
        let (sku, now, expires_at) = (change.sku.clone(), self.now, self.config.cart_expiry(self.now));
        let before = open.line(&sku).map_or(0, |line| line.quantity);
        let quantity = match change.quantity {
            QuantityChange::Set(0) => return Ok(CartCommand::RemoveLine { sku, expires_at, now }),
            QuantityChange::Set(quantity) => quantity,
            QuantityChange::Add(0) => return Err(CartRefusal::InvalidQuantity { quantity: 0 }.into()),
            QuantityChange::Add(more) => before.saturating_add(more),
        };
        let (product_id, product) = product.ok_or_else(|| ProductRefusal::NotForSale { sku: sku.clone() })?;
        let offer = product.offer(&sku, open.currency, now)?;
        let (variant_id, title, unit_price) = (offer.variant_id, offer.title, offer.unit_price);
        let line = CartLineSet { product_id, variant_id, sku, title, quantity, unit_price, expires_at };
        Ok(CartCommand::SetLine { line, now })
    }
}

/// As [`SetCartLines`], but a line takes at most what can be sold of its SKU now. Of what cannot be sold at all, no line is
/// made: that is refused.
#[derive(Debug, Clone)]
pub struct SetAvailableLines(pub SetCartLines);

impl Decision for SetAvailableLines {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let SetCartLines { cart_id, lines, now, config } = &self.0;
        let sellable = |sku: &Sku| {
            let at = |location: &event_schemas::LocationId| StockId { sku: sku.clone(), location: location.clone() };
            let stocks = config.locations.iter().map(|location| world.get::<Stock>(at(location)));
            stocks.fold(0_u64, |sum, stock| sum.saturating_add(stock.sellable()))
        };
        let sellable: Vec<u64> = lines.iter().map(|line| sellable(&line.sku)).collect();
        let cart = world.get::<Cart>(*cart_id);
        let mut wanted: BTreeMap<&Sku, u32> = BTreeMap::new();
        let mut fitting = Vec::new();
        for (change, available) in lines.iter().zip(sellable) {
            let held = || cart.open_at(*now).ok().and_then(|cart| cart.line(&change.sku)).map_or(0, |line| line.quantity);
            let before = wanted.get(&change.sku).copied().unwrap_or_else(held);
            let requested = match change.quantity {
                QuantityChange::Add(more) => before.saturating_add(more),
                QuantityChange::Set(quantity) => quantity,
            };
            let quantity = requested.min(u32::try_from(available).unwrap_or(u32::MAX));
            if quantity == 0 && requested > 0 {
                let shortages = vec![Shortage { sku: change.sku.clone(), available, requested }];
                return Err(CheckoutRefusal::InsufficientStock { shortages }.into());
            }
            wanted.insert(&change.sku, quantity);
            let as_asked = quantity == requested;
            fitting.push(if as_asked { change.clone() } else { change.clone().to(QuantityChange::Set(quantity)) });
        }
        let fitting = SetCartLines { cart_id: *cart_id, lines: fitting, now: *now, config: config.clone() };
        fitting.decide(world)
    }
}

impl CartLineChange {
    fn to(self, quantity: QuantityChange) -> Self {
        Self { quantity, ..self }
    }
}

/// Say who buys and where the parcel goes; absent fields stay as they are.
#[derive(Debug, Clone)]
pub struct SetCartDetails {
    /// The cart.
    pub cart_id: CartId,
    /// E-mail for the confirmation.
    pub email: Option<Personal<String>>,
    /// Where the parcel goes.
    pub shipping_address: Option<Personal<Address>>,
    /// Where the bill goes, if elsewhere.
    pub billing_address: Option<Personal<Address>>,
    /// The country of the shipping address, which decides tax and shipping: given with the address, which nothing here can
    /// read.
    pub country: Option<CountryCode>,
    /// The chosen shipping method's code.
    pub shipping_method: Option<String>,
    /// All coupon codes.
    pub coupon_codes: Option<Vec<CouponCode>>,
    /// The time of asking.
    pub now: Timestamp,
    /// The store's configuration.
    pub config: Arc<StoreConfig>,
}

impl Decision for SetCartDetails {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let cart = world.get::<Cart>(self.cart_id).open_at(self.now)?;
        let codes = self.coupon_codes.iter().flatten();
        let coupons: Vec<_> = codes.map(|code| find_coupon(world, code, self.now, cart.currency)).collect();
        coupons.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.must_be_served(cart.country.as_ref(), self.country.as_ref())?;
        let details = CartDetailsSet {
            email: self.email.clone(),
            shipping_address: self.shipping_address.clone(),
            billing_address: self.billing_address.clone(),
            country: self.country.clone(),
            shipping_method: self.shipping_method.clone(),
            coupon_codes: self.coupon_codes.clone(),
            expires_at: self.config.cart_expiry(self.now),
        };
        cart_changes(world, self.cart_id, CartCommand::SetDetails { details: Box::new(details), now: self.now })
    }
}

impl SetCartDetails {
    /// A method that is chosen now must exist and serve the country, as far as that is known.
    fn must_be_served(
        &self,
        old: Option<&event_schemas::CountryCode>,
        new: Option<&event_schemas::CountryCode>,
    ) -> Result<(), CheckoutRefusal> {
        let Some(code) = &self.shipping_method else { return Ok(()) };
        let country = new.or(old);
        let method = self.config.shipping_method(code);
        let serves = method.is_some_and(|method| country.is_none_or(|country| method.serves(country)));
        if serves { Ok(()) } else { Err(CheckoutRefusal::ShippingUnavailable { method: code.clone() }) }
    }
}

/// Close a cart that nothing happened to for too long.
#[derive(Debug, Clone)]
pub struct ExpireCart {
    /// The cart.
    pub cart_id: CartId,
    /// The time of asking.
    pub now: Timestamp,
}

impl Decision for ExpireCart {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        cart_changes(world, self.cart_id, CartCommand::Expire { now: self.now })
    }
}
