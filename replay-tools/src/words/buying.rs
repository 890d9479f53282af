//! Carts and orders in words.

use event_schemas::{
    CancelledBy, CartDetailsSet, CartEvent, CustomerId, Money, OrderEvent, OrderPlaced, SkuAllocation, SkuQuantity,
};

use super::{also, counted, listed, units, until};

pub(super) fn cart(event: &CartEvent) -> String {
    match event {
        CartEvent::CartCreated(event) => format!("{} began a cart in {}", whose(event.customer_id.as_ref()), event.currency),
        CartEvent::CartLineSet(event) => {
            format!("{} × “{}” ({}) at {} each", event.quantity, event.title, event.sku, event.unit_price)
        }
        CartEvent::CartLineRemoved(event) => format!("{} was taken out", event.sku),
        CartEvent::CartDetailsSet(event) => format!("the shopper gave {}", listed(details(event))),
        CartEvent::CartCheckedOut(event) => format!("it became order {}", event.order_id),
        CartEvent::CartExpired(_) => "nothing happened to it for too long, and it expired".to_owned(),
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

pub(super) fn order(event: &OrderEvent) -> String {
    match event {
        OrderEvent::OrderPlaced(event) => placed(event),
        OrderEvent::OrderPaymentReceived(event) => format!("{} arrived (payment {})", event.amount, event.payment_id),
        OrderEvent::OrderRefunded(event) => format!("{} went back to the buyer (payment {})", event.amount, event.payment_id),
        OrderEvent::OrderCancelled(event) => {
            let by = match event.by {
                CancelledBy::Customer => "by the buyer",
                CancelledBy::Staff => "by the shop",
                CancelledBy::System => "by a process",
            };
            format!("it was cancelled {by}: {}", event.reason)
        }
        OrderEvent::OrderExpired(_) => "it was not paid in time, and expired".to_owned(),
        OrderEvent::OrderReinstated(event) => {
            let from = |item: &SkuAllocation| format!("{} × {} from {}", item.quantity, item.sku, item.location);
            format!("it was paid after all and counts again, with {}", listed(event.allocations.iter().map(from)))
        }
        OrderEvent::OrderProcessingStarted(_) => "the warehouse began to prepare it".to_owned(),
        OrderEvent::OrderNoteAdded(event) => format!("staff noted: {}", event.note.0),
        OrderEvent::OrderFulfilled(event) => {
            let tracking = also(", tracking ", event.tracking.as_ref());
            format!("parcel {} left with {}{tracking}", event.fulfilment_id, items(&event.items))
        }
        OrderEvent::FulfilmentDelivered(event) => format!("parcel {} arrived", event.fulfilment_id),
        OrderEvent::OrderItemsReturned(event) => {
            format!("{} came back (return {}): {}", items(&event.items), event.return_id, event.reason)
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
    format!("order {} of {buyer}: {bought} for {gross} ({lines}){pay_by}", event.number)
}
