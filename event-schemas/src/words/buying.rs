//! Carts and orders in words.

use crate::{CancelledBy, CartDetailsSet, CartEvent, CustomerId, Money, OrderEvent, OrderPlaced, SkuAllocation, SkuQuantity};

use super::{also, because, counted, listed, units, until};

pub(super) fn cart(event: &CartEvent, of: &str) -> String {
    match event {
        CartEvent::CartCreated(event) => {
            format!("began {of} of {} in {}", whose(event.customer_id.as_ref()), event.currency)
        }
        CartEvent::CartLineSet(event) => {
            let (quantity, title, sku, price) = (event.quantity, &event.title, &event.sku, event.unit_price);
            format!("put {quantity} × “{title}” ({sku}) into {of}, at {price} each")
        }
        CartEvent::CartLineRemoved(event) => format!("took {} out of {of}", event.sku),
        CartEvent::CartDetailsSet(event) => format!("gave {} for {of}", listed(details(event))),
        CartEvent::CartCheckedOut(event) => format!("made {of} order {}", event.order_id),
        CartEvent::CartExpired(_) => format!("let {of} expire, because nothing happened to it for too long"),
    }
}

fn whose(customer: Option<&CustomerId>) -> String {
    customer.map_or("a guest".to_owned(), |customer| format!("customer {customer}"))
}

fn details(event: &CartDetailsSet) -> Vec<String> {
    let given = |what: &str, is_given: bool| is_given.then(|| what.to_owned());
    [
        given("an e-mail address", event.email.is_some()),
        given("a shipping address", event.shipping_address.is_some()),
        given("a billing address", event.billing_address.is_some()),
        event.country.as_ref().map(|country| format!("country {country}")),
        event.shipping_method.as_ref().map(|method| format!("shipping by {method}")),
        event.coupon_codes.as_ref().map(|codes| format!("coupon codes {}", listed(codes))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn order(event: &OrderEvent, of: &str) -> String {
    match event {
        OrderEvent::OrderPlaced(event) => placed(event),
        OrderEvent::OrderPaymentReceived(event) => {
            format!("recorded that {} arrived for {of} (payment {})", event.amount, event.payment_id)
        }
        OrderEvent::OrderRefunded(event) => {
            format!("recorded that {} of {of} went back to the buyer (payment {})", event.amount, event.payment_id)
        }
        OrderEvent::OrderCancelled(event) => {
            let by = match event.by {
                CancelledBy::Customer => "for the buyer",
                CancelledBy::Staff => "for the shop",
                CancelledBy::System => "as a process",
            };
            format!("cancelled {of} {by}{}", because(&event.reason))
        }
        OrderEvent::OrderExpired(_) => format!("let {of} expire, because it was not paid in time"),
        OrderEvent::OrderReinstated(event) => {
            let from = |item: &SkuAllocation| format!("{} × {} from {}", item.quantity, item.sku, item.location);
            let allocated = listed(event.allocations.iter().map(from));
            format!("took {of} up again, because it was paid after all, with {allocated}")
        }
        OrderEvent::OrderProcessingStarted(_) => format!("began to prepare {of}"),
        OrderEvent::OrderNoteAdded(_) => format!("put a note on {of}"),
        OrderEvent::OrderFulfilled(event) => {
            let tracking = also(", tracking ", event.tracking.as_ref());
            format!("shipped {} of {of} (parcel {}{tracking})", items(&event.items), event.fulfilment_id)
        }
        OrderEvent::FulfilmentDelivered(event) => format!("recorded that parcel {} of {of} arrived", event.fulfilment_id),
        OrderEvent::OrderItemsReturned(event) => {
            let why = because(&event.reason);
            format!("took back {} of {of}{why} (return {})", items(&event.items), event.return_id)
        }
    }
}

fn items(items: &[SkuQuantity]) -> String {
    listed(items.iter().map(|item| counted(item.quantity, item.sku.as_str())))
}

fn placed(event: &OrderPlaced) -> String {
    let lines = listed(event.lines.iter().map(|line| counted(line.quantity, line.sku.as_str())));
    let gross = Money::new(event.totals.gross_minor, event.currency);
    let bought = units(event.lines.iter().fold(0, |sum, line| sum.saturating_add(line.quantity)));
    let (buyer, pay_by) = (whose(event.customer_id.as_ref()), until(", to be paid by ", event.pay_by));
    format!("placed order {} of {buyer}: {bought} for {gross} ({lines}){pay_by}", event.number)
}
