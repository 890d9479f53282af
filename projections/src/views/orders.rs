//! What was ordered, by whom, and how do its money and its goods stand? (The reads are in `order_reads.rs`.)

use event_schemas::{
    Address, CartId, CategoryId, CommerceEvent, CountryCode, Currency, CustomerId, FulfilmentId, FulfilmentStatus, OrderEvent,
    OrderFacts, OrderId, OrderPaymentStatus, OrderPlaced, OrderStatus, PaymentEvent, PaymentId, PersonId, Personal, ProductId,
    ReturnId, SalesChannel, Sku, SkuQuantity, Timestamp, VariantId,
};

use crate::{Fact, FoldError, Projection, Row as _, Rows};

text_column!(OrderStatus, OrderPaymentStatus, FulfilmentStatus, SalesChannel);
json_columns!(OrderFacts, Vec<SkuQuantity>);

row! {
    /// An order. Amounts are minor units of its currency.
    Order in "orders" {
        key {
            /// The order.
            order_id: OrderId,
        }
        /// The number that people use for it.
        number: String,
        /// Where it came from.
        channel: SalesChannel,
        /// Where it stands.
        status: OrderStatus,
        /// How far its money has come.
        payment_status: OrderPaymentStatus,
        /// How far its goods have come.
        fulfilment_status: FulfilmentStatus,
        /// The cart that it was.
        cart_id: Option<CartId>,
        /// The payment that was opened with it.
        payment_id: Option<PaymentId>,
        /// The customer, if known.
        customer_id: Option<CustomerId>,
        /// Whom its personal data is about, by the id of a key.
        person_id: Option<PersonId>,
        /// E-mail for the confirmation: personal, sealed.
        email: Option<Personal<String>>,
        /// Where the parcel goes: personal, sealed.
        shipping_address: Option<Personal<Address>>,
        /// Where the bill goes, if elsewhere: personal, sealed.
        billing_address: Option<Personal<Address>>,
        /// The country that tax, shipping and reports go by.
        country: Option<CountryCode>,
        /// The currency of all amounts.
        currency: Currency,
        /// Units ordered.
        units: i64,
        /// Lines before discount, as shown to the shopper.
        subtotal_minor: i64,
        /// All discounts on lines, positive.
        discount_minor: i64,
        /// Shipping, gross.
        shipping_minor: i64,
        /// Everything without tax.
        net_minor: i64,
        /// All tax.
        tax_minor: i64,
        /// What the buyer owes.
        gross_minor: i64,
        /// What came in.
        received_minor: i64,
        /// What went back.
        refunded_minor: i64,
        /// When it was placed.
        placed_at: Timestamp,
        /// When it expires unless paid.
        pay_by: Option<Timestamp>,
        /// When it was wholly paid.
        paid_at: Option<Timestamp>,
        /// When it was cancelled or expired; null again once it is reinstated.
        closed_at: Option<Timestamp>,
        /// Why it was cancelled.
        cancel_reason: Option<String>,
        /// What staff last wrote down about it: personal, sealed. Its history has all notes.
        note: Option<Personal<String>>,
        /// When it last changed.
        updated_at: Timestamp,
        /// What its status follows from, as JSON.
        facts: OrderFacts,
    }
    version of "order";
    index "number";
    index "placed_at, order_id";
    index "customer_id, placed_at, order_id";
    index "person_id";
    index "status, placed_at, order_id";
    index "payment_status, placed_at, order_id";
    index "fulfilment_status, placed_at, order_id";
    index "country, placed_at, order_id";
    index "currency, placed_at, order_id";
    index "updated_at, order_id";
    index "gross_minor, order_id";
}

row! {
    /// A line of an order as it was bought. Amounts are minor units of the order's currency.
    OrderLineRow in "order_lines" {
        key {
            /// The order.
            order_id: OrderId,
            /// The number of the line, from 1.
            line: u32,
        }
        /// The SKU.
        sku: Sku,
        /// The product.
        product_id: ProductId,
        /// The variant.
        variant_id: VariantId,
        /// Product and variant name when it was bought.
        title: String,
        /// The category that the sale counts under.
        category_id: Option<CategoryId>,
        /// Who sold it, on a market place with several sellers.
        seller: Option<String>,
        /// How many units.
        quantity: u32,
        /// The price of one unit, as shown to the shopper.
        unit_price_minor: i64,
        /// The line's share of discounts, positive.
        discount_minor: i64,
        /// Tax rate in parts per million.
        tax_rate_ppm: u32,
        /// Without tax, after discount.
        net_minor: i64,
        /// Tax.
        tax_minor: i64,
        /// Net plus tax.
        gross_minor: i64,
    }
}

row! {
    /// An amount on an order that is not goods, such as shipping. Amounts are minor units of the order's currency.
    OrderChargeRow in "order_charges" {
        key {
            /// The order.
            order_id: OrderId,
            /// The number of the charge, from 1.
            charge: u32,
        }
        /// What it is for: `shipping`, `fee`, `discount` or `manual`.
        kind: event_schemas::ChargeKind,
        /// Its code, such as the shipping method.
        code: String,
        /// What the buyer reads.
        description: String,
        /// Tax rate in parts per million.
        tax_rate_ppm: u32,
        /// Without tax.
        net_minor: i64,
        /// Tax.
        tax_minor: i64,
        /// Net plus tax.
        gross_minor: i64,
    }
}
text_column!(event_schemas::ChargeKind);

row! {
    /// A promotion that an order used. The amount is minor units of the order's currency.
    OrderDiscountRow in "order_discounts" {
        key {
            /// The order.
            order_id: OrderId,
            /// The coupon code.
            code: event_schemas::CouponCode,
        }
        /// The discount, positive.
        amount_minor: i64,
    }
}

row! {
    /// A parcel of an order.
    Fulfilment in "fulfilments" {
        key {
            /// The order.
            order_id: OrderId,
            /// The parcel.
            fulfilment_id: FulfilmentId,
        }
        /// What is in it, as a JSON list of SKU and quantity.
        items: Vec<SkuQuantity>,
        /// The carrier's tracking number.
        tracking: Option<String>,
        /// When it left the house.
        shipped_at: Timestamp,
        /// When it arrived.
        delivered_at: Option<Timestamp>,
    }
}

row! {
    /// Goods of an order that came back.
    OrderReturn in "order_returns" {
        key {
            /// The order.
            order_id: OrderId,
            /// The return.
            return_id: ReturnId,
        }
        /// What came back, as a JSON list of SKU and quantity.
        items: Vec<SkuQuantity>,
        /// The document of the return, or the reason.
        reason: String,
        /// When it came back.
        returned_at: Timestamp,
    }
}

row! {
    /// Which order a payment is for.
    OrderPayment in "order_payments" {
        key {
            /// The payment.
            payment_id: PaymentId,
        }
        /// The order.
        order_id: OrderId,
    }
}

/// The orders.
pub const ORDERS: Projection = Projection {
    name: "orders",
    version: 3,
    tables: &[
        Order::TABLE,
        OrderLineRow::TABLE,
        OrderChargeRow::TABLE,
        OrderDiscountRow::TABLE,
        Fulfilment::TABLE,
        OrderReturn::TABLE,
        OrderPayment::TABLE,
    ],
    for_analysts: true,
    fold,
};

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    match fact.event {
        CommerceEvent::Order(event @ OrderEvent::OrderPlaced(placed)) => {
            let mut facts = OrderFacts::default();
            facts.evolve(event);
            place(rows, fact, placed, facts)
        }
        CommerceEvent::Order(event) => fold_order(rows, fact, event),
        CommerceEvent::Payment(event) => fold_payment(rows, fact, event),
        _ => Ok(()),
    }
}

fn place(rows: &mut Rows<'_>, fact: &Fact<'_>, placed: &OrderPlaced, facts: OrderFacts) -> Result<(), FoldError> {
    let order_id = placed.order_id;
    put_details(rows, placed)?;
    Ok(rows.put(Order {
        order_id,
        number: placed.number.clone(),
        channel: placed.channel,
        status: facts.status(),
        payment_status: facts.payment_status(),
        fulfilment_status: facts.fulfilment_status(),
        cart_id: placed.cart_id,
        payment_id: placed.payment_id,
        customer_id: placed.customer_id.clone(),
        person_id: placed
            .email
            .as_ref()
            .and_then(Personal::person)
            .or_else(|| placed.shipping_address.as_ref().and_then(Personal::person)),
        email: placed.email.clone(),
        shipping_address: placed.shipping_address.clone(),
        billing_address: placed.billing_address.clone(),
        country: placed.country.clone(),
        currency: placed.currency,
        units: placed.lines.iter().map(|line| i64::from(line.quantity)).sum(),
        subtotal_minor: placed.totals.subtotal_minor,
        discount_minor: placed.totals.discount_minor,
        shipping_minor: placed.totals.shipping_minor,
        net_minor: placed.totals.net_minor,
        tax_minor: placed.totals.tax_minor,
        gross_minor: placed.totals.gross_minor,
        received_minor: 0,
        refunded_minor: 0,
        placed_at: fact.occurred_at,
        pay_by: placed.pay_by,
        paid_at: facts.is_paid().then_some(fact.occurred_at),
        closed_at: None,
        cancel_reason: None,
        note: None,
        updated_at: fact.occurred_at,
        facts,
        version: fact.sequence,
        position: fact.position,
    })?)
}

fn put_details(rows: &mut Rows<'_>, placed: &OrderPlaced) -> Result<(), FoldError> {
    let order_id = placed.order_id;
    for (line, bought) in (1..).zip(&placed.lines) {
        rows.put(OrderLineRow {
            order_id,
            line,
            sku: bought.sku.clone(),
            product_id: bought.product_id,
            variant_id: bought.variant_id,
            title: bought.title.clone(),
            category_id: bought.category_id,
            seller: bought.seller.clone(),
            quantity: bought.quantity,
            unit_price_minor: bought.unit_price_minor,
            discount_minor: bought.discount_minor,
            tax_rate_ppm: bought.tax_rate_ppm,
            net_minor: bought.net_minor,
            tax_minor: bought.tax_minor,
            gross_minor: bought.gross_minor,
            position: 0,
        })?;
    }
    for (number, charge) in (1..).zip(&placed.charges) {
        rows.put(OrderChargeRow {
            order_id,
            charge: number,
            kind: charge.kind,
            code: charge.code.clone(),
            description: charge.description.clone(),
            tax_rate_ppm: charge.tax_rate_ppm,
            net_minor: charge.net_minor,
            tax_minor: charge.tax_minor,
            gross_minor: charge.gross_minor,
            position: 0,
        })?;
    }
    for discount in &placed.discounts {
        let (code, amount_minor) = (discount.code.clone(), discount.amount_minor);
        rows.put(OrderDiscountRow { order_id, code, amount_minor, position: 0 })?;
    }
    Ok(())
}

/// Changes an order and derives its status again.
fn change(rows: &mut Rows<'_>, fact: &Fact<'_>, order_id: OrderId, change: impl FnOnce(&mut Order)) -> Result<(), FoldError> {
    let order = rows.edit::<Order>(&(order_id,))?.ok_or_else(|| FoldError::unknown("order", order_id))?;
    change(order);
    order.status = order.facts.status();
    order.payment_status = order.facts.payment_status();
    order.fulfilment_status = order.facts.fulfilment_status();
    order.received_minor = order.facts.received_minor;
    order.refunded_minor = order.facts.refunded_minor;
    if order.facts.is_paid() {
        order.paid_at.get_or_insert(fact.occurred_at);
    }
    order.updated_at = fact.occurred_at;
    Ok(())
}

fn fold_order(rows: &mut Rows<'_>, fact: &Fact<'_>, event: &OrderEvent) -> Result<(), FoldError> {
    let order_id: OrderId = fact.stream.aggregate_id.parse()?;
    change(rows, fact, order_id, |order| {
        order.facts.evolve(event);
        match event {
            OrderEvent::OrderCancelled(cancelled) => {
                order.closed_at = Some(fact.occurred_at);
                order.cancel_reason = Some(cancelled.reason.clone());
            }
            OrderEvent::OrderExpired(_) => order.closed_at = Some(fact.occurred_at),
            OrderEvent::OrderNoteAdded(added) => order.note = Some(added.note.clone()),
            OrderEvent::OrderReinstated(_) => order.closed_at = None,
            _ => {}
        }
    })?;
    match event {
        OrderEvent::OrderFulfilled(parcel) => Ok(rows.put(Fulfilment {
            order_id,
            fulfilment_id: parcel.fulfilment_id,
            items: parcel.items.clone(),
            tracking: parcel.tracking.clone(),
            shipped_at: fact.occurred_at,
            delivered_at: None,
            position: fact.position,
        })?),
        OrderEvent::FulfilmentDelivered(delivered) => {
            if let Some(parcel) = rows.edit::<Fulfilment>(&(order_id, delivered.fulfilment_id))? {
                parcel.delivered_at = Some(fact.occurred_at);
            }
            Ok(())
        }
        OrderEvent::OrderItemsReturned(returned) => Ok(rows.put(OrderReturn {
            order_id,
            return_id: returned.return_id,
            items: returned.items.clone(),
            reason: returned.reason.clone(),
            returned_at: fact.occurred_at,
            position: fact.position,
        })?),
        _ => Ok(()),
    }
}

/// An order's own events tell what came in and went back; what is held, only the payment's do.
fn fold_payment(rows: &mut Rows<'_>, fact: &Fact<'_>, event: &PaymentEvent) -> Result<(), FoldError> {
    match event {
        PaymentEvent::PaymentOpened(opened) => {
            let (payment_id, order_id) = (opened.payment_id, opened.order_id);
            Ok(rows.put(OrderPayment { payment_id, order_id, position: fact.position })?)
        }
        PaymentEvent::PaymentAuthorised(_) | PaymentEvent::PaymentVoided(_) | PaymentEvent::PaymentExpired(_) => {
            let payment_id: PaymentId = fact.stream.aggregate_id.parse()?;
            let known = rows.get::<OrderPayment>(&(payment_id,))?;
            let order_id = known.ok_or_else(|| FoldError::unknown("payment", payment_id))?.order_id;
            change(rows, fact, order_id, |order| order.facts.evolve_payment(event))
        }
        _ => Ok(()),
    }
}
