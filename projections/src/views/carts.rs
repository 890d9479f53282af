//! What is in each cart, and what does it come to before shipping?

use std::collections::BTreeMap;

use event_schemas::{
    Address, CartDetailsSet, CartEvent, CartId, CartLineSet, CommerceEvent, CountryCode, CouponCode, Currency, CustomerId,
    OrderId, PersonId, Personal, ProductId, Sku, Timestamp, VariantId,
};

use crate::{
    Fact, FoldError, Projection, Reader, Row as _, Rows, ViewError,
    projection::{add, subtract},
};

text_enum! {
    /// What became of a cart.
    CartState {
        /// It can be filled.
        Open = "open",
        /// It became an order.
        CheckedOut = "checked_out",
        /// Nothing happened to it for too long.
        Expired = "expired",
    }
}

row! {
    /// A shopping cart. Amounts are minor units of its currency.
    Cart in "carts" {
        key {
            /// The cart.
            cart_id: CartId,
        }
        /// What became of it.
        state: CartState,
        /// The order that it became.
        order_id: Option<OrderId>,
        /// The customer, if known.
        customer_id: Option<CustomerId>,
        /// The currency of all its prices.
        currency: Currency,
        /// How many lines it has.
        lines: i64,
        /// How many units are in it.
        units: i64,
        /// What the goods come to, before discounts and shipping.
        subtotal_minor: i64,
        /// Whom its personal data is about, by the id of a key.
        person_id: Option<PersonId>,
        /// E-mail for the confirmation: personal, sealed.
        email: Option<Personal<String>>,
        /// Where the parcel goes: personal, sealed.
        shipping_address: Option<Personal<Address>>,
        /// Where the bill goes, if elsewhere: personal, sealed.
        billing_address: Option<Personal<Address>>,
        /// The country of the shipping address.
        country: Option<CountryCode>,
        /// The chosen shipping method's code.
        shipping_method: Option<String>,
        /// Coupon codes, as a JSON list.
        coupon_codes: Vec<CouponCode>,
        /// When it was begun.
        created_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
        /// When it expires unless something happens to it.
        expires_at: Timestamp,
    }
    version of "cart";
    index "customer_id";
    index "person_id";
}

row! {
    /// A line of a cart. Amounts are minor units of the cart's currency.
    CartLine in "cart_lines" {
        key {
            /// The cart.
            cart_id: CartId,
            /// What is bought: one line per SKU.
            sku: Sku,
        }
        /// The product.
        product_id: ProductId,
        /// The variant.
        variant_id: VariantId,
        /// Product and variant name when it was put in.
        title: String,
        /// How many units.
        quantity: u32,
        /// The price of one unit when it was put in.
        unit_price_minor: i64,
        /// Quantity times unit price.
        total_minor: i64,
        /// When the SKU was first put in.
        added_at: Timestamp,
    }
}

/// The carts.
pub const CARTS: Projection =
    Projection { name: "carts", version: 3, tables: &[Cart::TABLE, CartLine::TABLE], for_analysts: true, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Cart(event) = fact.event else { return Ok(()) };
    let cart_id: CartId = fact.stream.aggregate_id.parse()?;
    match event {
        CartEvent::CartCreated(created) => Ok(rows.put(Cart {
            cart_id,
            state: CartState::Open,
            order_id: None,
            customer_id: created.customer_id.clone(),
            currency: created.currency,
            lines: 0,
            units: 0,
            subtotal_minor: 0,
            person_id: None,
            email: None,
            shipping_address: None,
            billing_address: None,
            country: None,
            shipping_method: None,
            coupon_codes: Vec::new(),
            created_at: fact.occurred_at,
            updated_at: fact.occurred_at,
            expires_at: created.expires_at,
            version: fact.sequence,
            position: fact.position,
        })?),
        CartEvent::CartLineSet(line) => set_line(rows, fact, cart_id, line),
        CartEvent::CartLineRemoved(removed) => {
            let key = (cart_id, removed.sku.clone());
            let old = rows.get::<CartLine>(&key)?.cloned();
            rows.delete::<CartLine>(&key)?;
            count(rows, fact, cart_id, old.as_ref(), None, removed.expires_at)
        }
        CartEvent::CartDetailsSet(details) => change(rows, fact, cart_id, |cart| set_details(cart, details)),
        CartEvent::CartCheckedOut(checked_out) => change(rows, fact, cart_id, |cart| {
            (cart.state, cart.order_id) = (CartState::CheckedOut, Some(checked_out.order_id));
        }),
        CartEvent::CartExpired(_) => change(rows, fact, cart_id, |cart| cart.state = CartState::Expired),
    }
}

fn change<T>(rows: &mut Rows<'_>, fact: &Fact<'_>, cart_id: CartId, change: impl FnOnce(&mut Cart) -> T) -> Result<T, FoldError> {
    let cart = rows.edit::<Cart>(&(cart_id,))?.ok_or_else(|| FoldError::unknown("cart", cart_id))?;
    cart.updated_at = fact.occurred_at;
    Ok(change(cart))
}

fn set_line(rows: &mut Rows<'_>, fact: &Fact<'_>, cart_id: CartId, line: &CartLineSet) -> Result<(), FoldError> {
    let old = rows.get::<CartLine>(&(cart_id, line.sku.clone()))?.cloned();
    let new = CartLine {
        cart_id,
        sku: line.sku.clone(),
        product_id: line.product_id,
        variant_id: line.variant_id,
        title: line.title.clone(),
        quantity: line.quantity,
        unit_price_minor: line.unit_price.minor,
        total_minor: line.unit_price.minor.checked_mul(line.quantity.into()).ok_or(FoldError::Overflow)?,
        added_at: old.as_ref().map_or(fact.occurred_at, |old| old.added_at),
        position: fact.position,
    };
    count(rows, fact, cart_id, old.as_ref(), Some(&new), line.expires_at)?;
    Ok(rows.put(new)?)
}

/// Takes a line's old amounts out of the cart's sums, and its new ones in.
fn count(
    rows: &mut Rows<'_>,
    fact: &Fact<'_>,
    cart_id: CartId,
    old: Option<&CartLine>,
    new: Option<&CartLine>,
    expires_at: Timestamp,
) -> Result<(), FoldError> {
    change(rows, fact, cart_id, |cart| {
        cart.expires_at = expires_at;
        if let Some(old) = old {
            cart.lines = subtract(cart.lines, 1)?;
            cart.units = subtract(cart.units, old.quantity.into())?;
            cart.subtotal_minor = subtract(cart.subtotal_minor, old.total_minor)?;
        }
        if let Some(new) = new {
            cart.lines = add(cart.lines, 1)?;
            cart.units = add(cart.units, new.quantity.into())?;
            cart.subtotal_minor = add(cart.subtotal_minor, new.total_minor)?;
        }
        Ok(())
    })?
}

fn set_details(cart: &mut Cart, details: &CartDetailsSet) {
    cart.expires_at = details.expires_at;
    set(&mut cart.email, &details.email);
    set(&mut cart.shipping_address, &details.shipping_address);
    set(&mut cart.billing_address, &details.billing_address);
    let address = cart.shipping_address.as_ref().or(cart.billing_address.as_ref());
    let sealed_for = cart.email.as_ref().and_then(Personal::person).or_else(|| address.and_then(Personal::person));
    cart.person_id = sealed_for.or(cart.person_id);
    set(&mut cart.country, &details.country);
    set(&mut cart.shipping_method, &details.shipping_method);
    if let Some(codes) = &details.coupon_codes {
        cart.coupon_codes.clone_from(codes);
    }
}

/// An absent detail stays as it was.
fn set<T: Clone>(held: &mut Option<T>, now: &Option<T>) {
    if now.is_some() {
        held.clone_from(now);
    }
}

impl Reader<'_> {
    /// The cart of an id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn cart(&self, id: CartId) -> Result<Option<Cart>, ViewError> {
        self.row(&(id,))
    }

    /// The lines of each cart in the order in which they were put in, for a batch of carts in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn cart_lines_of(&self, carts: &[CartId]) -> Result<BTreeMap<CartId, Vec<CartLine>>, ViewError> {
        let mut found: BTreeMap<CartId, Vec<CartLine>> = BTreeMap::new();
        for line in self.rows_of::<CartLine, _>("cart_id", carts, "t.cart_id, t.added_at, t.sku")? {
            found.entry(line.cart_id).or_default().push(line);
        }
        Ok(found)
    }
}
