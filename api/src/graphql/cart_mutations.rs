//! The storefront's way from an empty cart to an order.

use async_graphql::{Context, Error, ID, InputObject, Object};
use domain::{CartLineChange, Checkout, CreateCart, InTurn, QuantityChange, SetCartDetails, SetCartLines};
use event_schemas::{CartId, CommerceEvent, CouponCode, OrderEvent, OrderId, PaymentEvent, PaymentId, Personal};

use crate::{
    access::Permission,
    graphql::{
        address::AddressInput,
        cart::{self, Cart},
        changed::{order_at, payment_at},
        command::{Outside, carry_out, input, payload, read_back},
        global_id::Kind,
        order::Order,
        own::{Reaching, Thing},
        payment::Payment,
        read_input,
        scalar::{CurrencyCode, Long},
        user_error::UserError,
    },
};

input! {
    /// A cart to begin.
    CartCreateInput {
        /// The currency of all its prices; the store's own unless given.
        currency: Option<CurrencyCode>,
        /// Lines to put in at once.
        lines: Option<Vec<CartLineInput>>,
    }
}

/// A variant and how many units of it.
#[derive(Debug, InputObject)]
pub(crate) struct CartLineInput {
    /// The variant's SKU.
    sku: String,
    /// How many units.
    quantity: Long,
}

input! {
    /// Units to put in a cart, beside what is in it.
    CartLinesAddInput {
        /// The cart.
        cart_id: ID,
        /// What to add: all of it or, if one line is refused, nothing.
        lines: Vec<CartLineInput>,
    }
}

input! {
    /// New quantities for lines of a cart, at the prices of the moment.
    CartLinesUpdateInput {
        /// The cart.
        cart_id: ID,
        /// The lines with their quantity in all; 0 takes a line out.
        lines: Vec<CartLineInput>,
    }
}

input! {
    /// Lines to take out of a cart.
    CartLinesRemoveInput {
        /// The cart.
        cart_id: ID,
        /// The lines' SKUs.
        skus: Vec<String>,
    }
}

input! {
    /// Who buys, and where the parcel goes; absent fields stay as they are.
    CartUpdateInput {
        /// The cart.
        cart_id: ID,
        /// E-mail for the confirmation.
        email: Option<String>,
        /// Where the parcel goes; its country decides tax and shipping.
        shipping_address: Option<AddressInput>,
        /// Where the bill goes, if elsewhere.
        billing_address: Option<AddressInput>,
        /// The chosen shipping method's code.
        shipping_method: Option<String>,
        /// All coupon codes; they replace those entered before.
        coupon_codes: Option<Vec<String>>,
    }
}

input! {
    /// A cart to turn into an order.
    CartCheckoutInput {
        /// The cart.
        cart_id: ID,
    }
}

payload! {
    /// A cart after a change.
    CartPayload {
        /// The cart; null when nothing was done, or when the views need longer than two seconds to show it.
        cart: Cart,
    }
}

payload! {
    /// The order that a cart became, and the payment that was opened with it.
    CartCheckoutPayload {
        /// The order; null when nothing was done, or when the views need longer than two seconds to show it.
        order: Order,
        /// The payment, to be confirmed with `paymentConfirm`; null when the order costs nothing.
        payment: Payment,
    }
}

/// Reads the lines of an input, each with its path.
fn lines(lines: &[CartLineInput], change: fn(u32) -> QuantityChange) -> Result<Vec<CartLineChange>, UserError> {
    let line = |(index, line): (usize, &CartLineInput)| {
        let index = index.to_string();
        let sku = read_input::name(&line.sku, &["lines", &index, "sku"])?;
        let quantity = read_input::quantity(line.quantity, &["lines", &index, "quantity"])?;
        Ok(CartLineChange { sku, quantity: change(quantity) })
    };
    lines.iter().enumerate().map(line).collect()
}

fn set_lines(
    outside: &Outside<'_>,
    cart_id: &ID,
    lines: Result<Vec<CartLineChange>, UserError>,
) -> Result<Reaching<SetCartLines>, UserError> {
    let cart_id = read_input::id(Kind::Cart, cart_id, &["cartId"])?;
    let set = SetCartLines { cart_id, lines: lines?, now: outside.now, config: outside.config.clone() };
    Ok(outside.reaching(Permission::EditOrders, Thing::Cart(cart_id), set))
}

fn email(text: &str) -> Result<Personal<String>, UserError> {
    let (name, host) = text.rsplit_once('@').unwrap_or_default();
    let printable = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if name.is_empty() || host.is_empty() || !printable || text.len() > 254 {
        return Err(UserError::invalid(&["email"], "this is not an e-mail address"));
    }
    Ok(Personal(text.to_owned()))
}

/// A cart as it was before or after the mutation, by the id in its input.
async fn changed<I, D>(
    ctx: &Context<'_>,
    operation: &'static str,
    cart_id: ID,
    input: I,
    decision: impl FnOnce(I, &Outside<'_>) -> Result<D, UserError>,
) -> Result<CartPayload, Error>
where
    I: crate::graphql::command::MutationInput,
    D: domain::Decision,
{
    let outcome = match carry_out(ctx, operation, input, decision).await? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(refused.into()),
    };
    let id = crate::graphql::global_id::decode::<CartId>(Kind::Cart, &cart_id);
    let cart = match id {
        Some(id) if read_back(ctx, outcome.position).await => cart::find(ctx, id).await?,
        _ => None,
    };
    Ok(CartPayload { cart, position: Long::of(outcome.position), user_errors: Vec::new() })
}

#[derive(Default)]
pub(crate) struct CartMutation;

#[Object]
impl CartMutation {
    /// Begins a cart.
    async fn cart_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart.")] input: CartCreateInput,
    ) -> Result<CartPayload, Error> {
        let outcome = carry_out(ctx, "cartCreate", input, |input, outside| {
            let currency = input.currency.map(|code| code.0).or(outside.config.currencies.first().copied());
            let currency = currency.ok_or_else(|| UserError::invalid(&["currency"], "name a currency"))?;
            let lines = lines(&input.lines.unwrap_or_default(), QuantityChange::Add)?;
            let cart_id = CartId(outside.new_id());
            let (now, config) = (outside.now, outside.config.clone());
            let cart = CreateCart { cart_id, currency, customer_id: outside.customer_id.clone(), now, config: config.clone() };
            let lines = if lines.is_empty() { None } else { Some(SetCartLines { cart_id, lines, now, config }) };
            Ok(InTurn { first: cart, second: lines })
        });
        let outcome = match outcome.await? {
            Ok(outcome) => outcome,
            Err(refused) => return Ok(refused.into()),
        };
        let created = outcome.changes.iter().find_map(|change| change.stream.aggregate_id.parse::<CartId>().ok());
        let cart = match created {
            Some(id) if read_back(ctx, outcome.position).await => cart::find(ctx, id).await?,
            _ => None,
        };
        Ok(CartPayload { cart, position: Long::of(outcome.position), user_errors: Vec::new() })
    }

    /// Puts units in a cart, at the prices of the moment.
    async fn cart_lines_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart and the units.")] input: CartLinesAddInput,
    ) -> Result<CartPayload, Error> {
        changed(ctx, "cartLinesAdd", input.cart_id.clone(), input, |input, outside| {
            set_lines(outside, &input.cart_id, lines(&input.lines, QuantityChange::Add))
        })
        .await
    }

    /// Sets the quantities of lines, at the prices of the moment: this is also how a shopper agrees to a new price.
    async fn cart_lines_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart and its lines.")] input: CartLinesUpdateInput,
    ) -> Result<CartPayload, Error> {
        changed(ctx, "cartLinesUpdate", input.cart_id.clone(), input, |input, outside| {
            set_lines(outside, &input.cart_id, lines(&input.lines, QuantityChange::Set))
        })
        .await
    }

    /// Takes lines out of a cart.
    async fn cart_lines_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart and the lines.")] input: CartLinesRemoveInput,
    ) -> Result<CartPayload, Error> {
        changed(ctx, "cartLinesRemove", input.cart_id.clone(), input, |input, outside| {
            let skus = read_input::names(&input.skus, &["skus"])?;
            let gone = skus.into_iter().map(|sku| CartLineChange { sku, quantity: QuantityChange::Set(0) });
            set_lines(outside, &input.cart_id, Ok(gone.collect()))
        })
        .await
    }

    /// Says who buys, where the parcel goes, and which coupons are used.
    async fn cart_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart and its details.")] input: CartUpdateInput,
    ) -> Result<CartPayload, Error> {
        changed(ctx, "cartUpdate", input.cart_id.clone(), input, |input, outside| {
            let upper = |codes: Vec<String>| codes.iter().map(|code| code.trim().to_uppercase()).collect::<Vec<_>>();
            let codes = input.coupon_codes.map(upper);
            let codes = codes.map(|codes| read_input::names::<CouponCode>(&codes, &["couponCodes"])).transpose()?;
            let cart_id = read_input::id(Kind::Cart, &input.cart_id, &["cartId"])?;
            let details = SetCartDetails {
                cart_id,
                email: input.email.as_deref().map(email).transpose()?,
                shipping_address: input.shipping_address.map(|address| address.read("shippingAddress")).transpose()?,
                billing_address: input.billing_address.map(|address| address.read("billingAddress")).transpose()?,
                shipping_method: input.shipping_method,
                coupon_codes: codes,
                now: outside.now,
                config: outside.config.clone(),
            };
            Ok(outside.reaching(Permission::EditOrders, Thing::Cart(cart_id), details))
        })
        .await
    }

    /// Turns a cart into an order: sets its stock aside, uses its coupons and opens its payment, all of it or nothing.
    async fn cart_checkout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart.")] input: CartCheckoutInput,
    ) -> Result<CartCheckoutPayload, Error> {
        let outcome = carry_out(ctx, "cartCheckout", input, |input, outside| {
            let (order_id, cart_id) = (OrderId(outside.new_id()), read_input::id(Kind::Cart, &input.cart_id, &["cartId"])?);
            let checkout = Checkout {
                cart_id,
                order_id,
                number: order_id.number(),
                payment_id: PaymentId(outside.new_id()),
                now: outside.now,
                config: outside.config.clone(),
            };
            Ok(outside.reaching(Permission::EditOrders, Thing::Cart(cart_id), checkout))
        });
        let outcome = match outcome.await? {
            Ok(outcome) => outcome,
            Err(refused) => return Ok(refused.into()),
        };
        let (mut order, mut payment) = (None, None);
        for change in &outcome.changes {
            match &change.event {
                CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) => order = Some(placed.order_id),
                CommerceEvent::Payment(PaymentEvent::PaymentOpened(opened)) => payment = Some(opened.payment_id),
                _ => {}
            }
        }
        let shown = read_back(ctx, outcome.position).await;
        Ok(CartCheckoutPayload {
            order: if shown { order_at(ctx, order).await? } else { None },
            payment: if shown { payment_at(ctx, payment).await? } else { None },
            position: Long::of(outcome.position),
            user_errors: Vec::new(),
        })
    }
}
