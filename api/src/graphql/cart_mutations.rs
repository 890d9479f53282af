//! The storefront's way from an empty cart to an order.

use async_graphql::{Context, Error, ID, InputObject, Object};
use domain::{
    CartLineChange, Checkout, CreateCart, Decision, InTurn, QuantityChange, SetAvailableLines, SetCartDetails, SetCartLines,
};
use engine::Outcome;
use event_schemas::{
    Address, CartId, CommerceEvent, CountryCode, CouponCode, OrderEvent, OrderId, PaymentEvent, PaymentId, Personal,
};

use crate::{
    access::Permission,
    graphql::{
        address::AddressInput,
        cart::{self, Cart},
        cart_warnings,
        changed::{order_at, payment_at},
        command::{Outside, carry_out, input, payload, read_back},
        global_id::Kind,
        order::Order,
        own::{Reaching, Thing},
        payment::Payment,
        personal::{self, Looked, NotSealed},
        read_input,
        scalar::{CurrencyCode, Long},
        user_error::UserError,
        warning::Warning,
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
        /// Whether a line takes only as many units as can be sold now, with the warning `QUANTITY_REDUCED`. Otherwise it takes
        /// all that is asked for, which a checkout may refuse.
        #[graphql(default)]
        reduce_to_available: bool,
    }
}

input! {
    /// New quantities for lines of a cart, at the prices of the moment.
    CartLinesUpdateInput {
        /// The cart.
        cart_id: ID,
        /// The lines with their quantity in all; 0 takes a line out.
        lines: Vec<CartLineInput>,
        /// Whether a line takes only as many units as can be sold now, with the warning `QUANTITY_REDUCED`. Otherwise it takes
        /// all that is asked for, which a checkout may refuse.
        #[graphql(default)]
        reduce_to_available: bool,
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
    reduce: bool,
) -> Result<Reaching<Box<dyn Decision>>, UserError> {
    let cart_id = read_input::id(Kind::Cart, cart_id, &["cartId"])?;
    let set = SetCartLines { cart_id, lines: lines?, now: outside.now, config: outside.config.clone() };
    let set: Box<dyn Decision> = if reduce { Box::new(SetAvailableLines(set)) } else { Box::new(set) };
    Ok(outside.reaching(Permission::EditOrders, Thing::Cart(cart_id), set))
}

/// Who buys, and where the parcel goes, sealed.
#[derive(Default)]
struct Buyer {
    email: Option<Personal<String>>,
    shipping_address: Option<Personal<Address>>,
    billing_address: Option<Personal<Address>>,
    country: Option<CountryCode>,
}

impl Buyer {
    /// Checks what was entered, and seals it for the person whose cart it is.
    async fn sealed(ctx: &Context<'_>, input: &CartUpdateInput) -> Result<Self, NotSealed> {
        let email = input.email.as_deref().map(email).transpose()?;
        let address =
            |address: &Option<AddressInput>, field: &str| address.clone().map(|address| address.read(field)).transpose();
        let shipping = address(&input.shipping_address, "shippingAddress")?;
        let billing = address(&input.billing_address, "billingAddress")?;
        let cart_id = read_input::id(Kind::Cart, &input.cart_id, &["cartId"])?;
        if email.is_none() && shipping.is_none() && billing.is_none() {
            return Ok(Self::default());
        }
        // Nobody: the cart is not there for the caller, and is refused below.
        let person = personal::person_of_cart(ctx, cart_id).await?;
        Ok(Self {
            email: personal::sealed_if(ctx, person, email.as_ref()).await?,
            country: shipping.as_ref().map(|address| address.country.clone()),
            shipping_address: personal::sealed_if(ctx, person, shipping.as_ref()).await?,
            billing_address: personal::sealed_if(ctx, person, billing.as_ref()).await?,
        })
    }
}

fn email(text: &str) -> Result<String, UserError> {
    let (name, host) = text.rsplit_once('@').unwrap_or_default();
    let printable = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if name.is_empty() || host.is_empty() || !printable || text.len() > 254 {
        return Err(UserError::invalid(&["email"], "this is not an e-mail address"));
    }
    Ok(text.to_owned())
}

/// A cart after the mutation, by the id in its input; `reduced` are the lines that were asked for if they may have been reduced.
async fn changed<I, D>(
    ctx: &Context<'_>,
    operation: &'static str,
    cart_id: ID,
    input: I,
    reduced: Option<Vec<CartLineChange>>,
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
    let mut payload = answer(ctx, crate::graphql::global_id::decode::<CartId>(Kind::Cart, &cart_id), &outcome).await?;
    let told = payload.cart.is_some() && ctx.look_ahead().field("warnings").exists();
    if let Some(asked) = reduced.filter(|_| told) {
        payload.warnings.extend(cart_warnings::reductions(ctx, &asked, &outcome).await?);
    }
    Ok(payload)
}

/// A cart as a mutation left it, with what it warns of.
async fn answer(ctx: &Context<'_>, id: Option<CartId>, outcome: &Outcome) -> Result<CartPayload, Error> {
    let shown = read_back(ctx, outcome.position).await;
    let mut warnings = Warning::unless_shown(shown);
    let cart = match id {
        Some(id) if shown => cart::find(ctx, id).await?,
        _ => None,
    };
    // What is there for somebody else is not looked into.
    if let (Some(id), true) = (id.filter(|_| cart.is_some()), ctx.look_ahead().field("warnings").exists()) {
        warnings.extend(cart_warnings::of(ctx, id).await?);
    }
    Ok(CartPayload { cart, position: Long::of(outcome.position), warnings, ..Default::default() })
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
            let cart = CreateCart { cart_id, currency, customer_id: outside.buyer(), now, config: config.clone() };
            let lines = if lines.is_empty() { None } else { Some(SetCartLines { cart_id, lines, now, config }) };
            Ok(InTurn { first: cart, second: lines })
        });
        let outcome = match outcome.await? {
            Ok(outcome) => outcome,
            Err(refused) => return Ok(refused.into()),
        };
        let created = outcome.changes.iter().find_map(|change| change.stream.aggregate_id.parse::<CartId>().ok());
        answer(ctx, created, &outcome).await
    }

    /// Puts units in a cart, at the prices of the moment.
    async fn cart_lines_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart and the units.")] input: CartLinesAddInput,
    ) -> Result<CartPayload, Error> {
        let asked = input.reduce_to_available.then(|| lines(&input.lines, QuantityChange::Add).unwrap_or_default());
        changed(ctx, "cartLinesAdd", input.cart_id.clone(), input, asked, |input, outside| {
            set_lines(outside, &input.cart_id, lines(&input.lines, QuantityChange::Add), input.reduce_to_available)
        })
        .await
    }

    /// Sets the quantities of lines, at the prices of the moment: this is also how a shopper agrees to a new price.
    async fn cart_lines_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart and its lines.")] input: CartLinesUpdateInput,
    ) -> Result<CartPayload, Error> {
        let asked = input.reduce_to_available.then(|| lines(&input.lines, QuantityChange::Set).unwrap_or_default());
        changed(ctx, "cartLinesUpdate", input.cart_id.clone(), input, asked, |input, outside| {
            set_lines(outside, &input.cart_id, lines(&input.lines, QuantityChange::Set), input.reduce_to_available)
        })
        .await
    }

    /// Takes lines out of a cart.
    async fn cart_lines_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart and the lines.")] input: CartLinesRemoveInput,
    ) -> Result<CartPayload, Error> {
        changed(ctx, "cartLinesRemove", input.cart_id.clone(), input, None, |input, outside| {
            let skus = read_input::names(&input.skus, &["skus"])?;
            let gone = skus.into_iter().map(|sku| CartLineChange { sku, quantity: QuantityChange::Set(0) });
            set_lines(outside, &input.cart_id, Ok(gone.collect()), false)
        })
        .await
    }

    /// Says who buys, where the parcel goes, and which coupons are used.
    async fn cart_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart and its details.")] input: CartUpdateInput,
    ) -> Result<CartPayload, Error> {
        let buyer = NotSealed::apart(Buyer::sealed(ctx, &input).await)?;
        changed(ctx, "cartUpdate", input.cart_id.clone(), input, None, |input, outside| {
            let upper = |codes: Vec<String>| codes.iter().map(|code| code.trim().to_uppercase()).collect::<Vec<_>>();
            let codes = input.coupon_codes.map(upper);
            let codes = codes.map(|codes| read_input::names::<CouponCode>(&codes, &["couponCodes"])).transpose()?;
            let (cart_id, buyer) = (read_input::id(Kind::Cart, &input.cart_id, &["cartId"])?, buyer?);
            let details = buyer.map(|buyer| SetCartDetails {
                cart_id,
                email: buyer.email,
                shipping_address: buyer.shipping_address,
                billing_address: buyer.billing_address,
                country: buyer.country,
                shipping_method: input.shipping_method,
                coupon_codes: codes,
                now: outside.now,
                config: outside.config.clone(),
            });
            Ok(outside.reaching(Permission::EditOrders, Thing::Cart(cart_id), Looked(details)))
        })
        .await
    }

    /// Turns a cart into an order: sets its stock aside, uses its coupons and opens its payment, all of it or nothing.
    async fn cart_checkout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cart.")] input: CartCheckoutInput,
    ) -> Result<CartCheckoutPayload, Error> {
        let cart_id = crate::graphql::global_id::decode::<CartId>(Kind::Cart, &input.cart_id);
        let missing = match cart_id {
            Some(cart_id) => personal::erased_of_cart(ctx, cart_id).await?,
            None => None,
        };
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
            let checkout = missing.map_or(Ok(checkout), |missing| Err(missing.into()));
            Ok(outside.reaching(Permission::EditOrders, Thing::Cart(cart_id), Looked(checkout)))
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
            warnings: Warning::unless_shown(shown),
            position: Long::of(outcome.position),
            ..Default::default()
        })
    }
}
