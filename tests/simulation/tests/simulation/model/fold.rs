//! How the model takes in what the log holds: JSON as it was recorded, read by field name.

use domain::GatewayOutcome;
use serde_json::Value;
use uuid::Uuid;

use super::{Attempt, Cart, Model, Off, OpenCart, Order, Payment, Product, Promotion, Refund, Share};

fn number(value: &Value, field: &str) -> i64 {
    value.pointer(field).and_then(Value::as_i64).unwrap_or_else(|| panic!("{field} in {value}"))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.pointer(field).and_then(Value::as_str).unwrap_or_else(|| panic!("{field} in {value}"))
}

fn id(value: &Value, field: &str) -> Uuid {
    text(value, field).parse().unwrap()
}

/// A moment in microseconds, if it is there.
fn moment(value: &Value, field: &str) -> Option<i64> {
    let moment = value.pointer(field)?.as_str()?;
    Some(chrono::DateTime::parse_from_rfc3339(moment).unwrap().timestamp_micros())
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(field).and_then(Value::as_array).into_iter().flatten()
}

impl Model {
    /// Takes in one event.
    pub fn fold(&mut self, aggregate: &str, stream: &str, kind: &str, event: &Value) {
        match aggregate {
            "stock" => self.fold_stock(stream, kind, event),
            "product" => self.fold_product(stream.parse().unwrap(), kind, event),
            "cart" => self.fold_cart(stream.parse().unwrap(), kind, event),
            "promotion" => self.fold_promotion(stream.parse().unwrap(), kind, event),
            "order" => self.orders.entry(stream.parse().unwrap()).or_default().fold(kind, event),
            "payment" => self.payments.entry(stream.parse().unwrap()).or_default().fold(kind, event),
            _ => {}
        }
    }

    fn fold_stock(&mut self, stream: &str, kind: &str, event: &Value) {
        let (sku, place) = stream.split_once('@').unwrap();
        let stock = self.shelves.entry((sku.to_owned(), place.to_owned())).or_default();
        match kind {
            "StockReceived" | "StockTransferredIn" | "StockReturned" => stock.on_hand += number(event, "/quantity"),
            "StockTransferredOut" => stock.on_hand -= number(event, "/quantity"),
            "StockAdjusted" => stock.on_hand += number(event, "/delta"),
            "StockCounted" => stock.on_hand = number(event, "/counted"),
            "StockPolicySet" => {
                stock.safety = number(event, "/safety_stock");
                stock.backorder = number(event, "/backorder_limit");
            }
            "StockReserved" => {
                let paid = event.get("expires_at").is_none_or(Value::is_null);
                stock.held.entry(id(event, "/order_id")).or_insert((0, paid)).0 += number(event, "/quantity");
            }
            "ReservationCommitted" => {
                stock.held.entry(id(event, "/order_id")).and_modify(|(_, paid)| *paid = true);
            }
            "ReservationReleased" | "StockShipped" => {
                let (order, units) = (id(event, "/order_id"), number(event, "/quantity"));
                if kind == "StockShipped" {
                    stock.on_hand -= units;
                }
                let left = stock.held.get(&order).map_or(0, |(held, _)| held - units);
                stock.held.entry(order).and_modify(|(held, _)| *held = left);
                if left <= 0 {
                    stock.held.remove(&order);
                }
            }
            other => panic!("the model does not know {other}"),
        }
    }

    fn fold_product(&mut self, product: Uuid, kind: &str, event: &Value) {
        match kind {
            "VariantAdded" => {
                let (variant, sku) = (id(event, "/variant_id"), text(event, "/sku").to_owned());
                self.products.insert(product, Product { variant, sku, price: 0, on_sale: false });
            }
            "VariantPriceSet" => {
                let minor = number(event, "/price/minor");
                self.products.entry(product).and_modify(|product| product.price = minor);
            }
            "ProductPublished" => {
                self.products.entry(product).and_modify(|product| product.on_sale = true);
            }
            _ => {}
        }
    }

    fn fold_cart(&mut self, cart: Uuid, kind: &str, event: &Value) {
        match kind {
            "CartCreated" => {
                let expires_at = moment(event, "/expires_at").unwrap();
                self.carts.insert(cart, Cart::Open(OpenCart { expires_at, ..OpenCart::default() }));
                return;
            }
            "CartCheckedOut" | "CartExpired" => {
                let end = if kind == "CartExpired" { Cart::Expired } else { Cart::CheckedOut };
                self.carts.insert(cart, end);
                return;
            }
            _ => {}
        }
        let Some(Cart::Open(open)) = self.carts.get_mut(&cart) else { return };
        open.expires_at = moment(event, "/expires_at").unwrap();
        match kind {
            "CartLineSet" => {
                let sku = text(event, "/sku").to_owned();
                let (units, price) = (number(event, "/quantity"), number(event, "/unit_price/minor"));
                match open.lines.iter_mut().find(|(known, ..)| *known == sku) {
                    Some(line) => *line = (sku, units, price),
                    None => open.lines.push((sku, units, price)),
                }
            }
            "CartLineRemoved" => open.lines.retain(|(known, ..)| known != text(event, "/sku")),
            _ => {
                open.email |= event.get("email").is_some();
                open.address |= event.get("shipping_address").is_some();
                if let Some(method) = event.get("shipping_method").and_then(Value::as_str) {
                    open.method = Some(method.to_owned());
                }
                if event.get("coupon_codes").is_some() {
                    open.coupons = list(event, "/coupon_codes").map(|code| code.as_str().unwrap().to_owned()).collect();
                }
            }
        }
    }

    fn fold_promotion(&mut self, promotion: Uuid, kind: &str, event: &Value) {
        if kind == "PromotionCreated" {
            let ppm = event.pointer("/effect/percent_off/ppm").and_then(Value::as_i64);
            let off = ppm.map_or_else(|| Off::Minor(number(event, "/effect/amount_off/amount/minor")), Off::Ppm);
            let limit = event.get("usage_limit").and_then(Value::as_i64);
            let code = text(event, "/code").to_owned();
            self.promotions.insert(promotion, Promotion { code, off, limit, uses: 0, ended: false });
            return;
        }
        let Some(promotion) = self.promotions.get_mut(&promotion) else { return };
        match kind {
            "PromotionRedeemed" => promotion.uses += 1,
            "PromotionRestored" => promotion.uses -= 1,
            _ => promotion.ended = true,
        }
    }
}

impl Order {
    fn fold(&mut self, kind: &str, event: &Value) {
        let minor = || number(event, "/amount/minor");
        match kind {
            "OrderPlaced" => self.place(event),
            "OrderPaymentReceived" => {
                self.received += minor();
                self.paid |= self.received - self.refunded >= self.due;
            }
            "OrderRefunded" => self.refunded += minor(),
            "OrderCancelled" => self.cancelled = true,
            "OrderExpired" => self.expired = true,
            "OrderReinstated" => {
                self.expired = false;
                let share = |from: &Value| Share {
                    shelf: (text(from, "/sku").to_owned(), text(from, "/location").to_owned()),
                    quantity: number(from, "/quantity"),
                    shipped: 0,
                };
                self.shares = list(event, "/allocations").map(share).collect();
            }
            "OrderProcessingStarted" => self.processing = true,
            "OrderFulfilled" => {
                let mut units = 0;
                for item in list(event, "/items") {
                    let (sku, mut left) = (text(item, "/sku").to_owned(), number(item, "/quantity"));
                    units += left;
                    *self.shipped.entry(sku.clone()).or_default() += left;
                    for share in self.shares.iter_mut().filter(|share| share.shelf.0 == sku) {
                        let taken = left.min(share.quantity - share.shipped);
                        share.shipped += taken;
                        left -= taken;
                    }
                }
                self.parcels.insert(id(event, "/fulfilment_id"), (units, false));
            }
            "FulfilmentDelivered" => {
                self.parcels.entry(id(event, "/fulfilment_id")).and_modify(|(_, arrived)| *arrived = true);
            }
            "OrderItemsReturned" => {
                for item in list(event, "/items") {
                    *self.returned.entry(text(item, "/sku").to_owned()).or_default() += number(item, "/quantity");
                }
            }
            "OrderNoteAdded" => {}
            other => panic!("the model does not know {other}"),
        }
    }

    fn place(&mut self, event: &Value) {
        self.due = number(event, "/totals/gross_minor");
        self.paid = self.due <= 0;
        self.pay_by = moment(event, "/pay_by");
        self.payment = event.get("payment_id").map(|_| id(event, "/payment_id"));
        self.promotions = list(event, "/discounts").map(|off| id(off, "/promotion_id")).collect();
        for line in list(event, "/lines") {
            let sku = text(line, "/sku");
            *self.ordered.entry(sku.to_owned()).or_default() += number(line, "/quantity");
            for from in list(line, "/allocations") {
                let shelf = (sku.to_owned(), text(from, "/location").to_owned());
                self.shares.push(Share { shelf, quantity: number(from, "/quantity"), shipped: 0 });
            }
        }
    }
}

impl Payment {
    fn fold(&mut self, kind: &str, event: &Value) {
        let minor = || number(event, "/amount/minor");
        self.refer(kind, event.get("gateway_reference").and_then(Value::as_str));
        match kind {
            "PaymentOpened" => {
                self.order = id(event, "/order_id");
                self.amount = minor();
            }
            "PaymentConfirmationRequested" => self.attempt = Attempt::Asked,
            "PaymentActionRequired" => self.attempt = Attempt::WaitsForBuyer,
            "PaymentAuthorised" => {
                self.authorise(minor());
                self.held_until = moment(event, "/expires_at").or(self.held_until);
            }
            "PaymentCaptureRequested" => self.capturing += minor(),
            "PaymentCaptured" => self.capture(minor()),
            "PaymentVoidRequested" => self.void_requested = true,
            "PaymentVoided" => {
                self.held = self.captured;
                self.void_requested = false;
            }
            "PaymentRefundRequested" => {
                self.refunds.insert(id(event, "/refund_id"), Refund::Pending(minor()));
            }
            "PaymentRefunded" => {
                self.refunded += minor();
                self.refunds.insert(id(event, "/refund_id"), Refund::Done);
            }
            "PaymentRefundFailed" => {
                self.refunds.insert(id(event, "/refund_id"), Refund::Failed);
            }
            "PaymentDeclined" => {
                self.attempt = Attempt::None;
                self.capturing = 0;
            }
            "PaymentExpired" => {
                self.expired = true;
                self.held = self.captured;
            }
            "PaymentDisputed" => self.disputed = minor(),
            "PaymentDisputeClosed" => {
                if event.get("won") == Some(&Value::Bool(false)) {
                    self.charged_back += minor();
                }
                self.disputed = 0;
            }
            other => panic!("the model does not know {other}"),
        }
    }

    fn authorise(&mut self, minor: i64) {
        self.held += minor;
        self.attempt = Attempt::None;
    }

    fn capture(&mut self, minor: i64) {
        self.captured += minor;
        self.capturing = (self.capturing - minor).max(0);
        self.attempt = Attempt::None;
    }

    fn refer(&mut self, kind: &str, reference: Option<&str>) {
        let kinds = ["PaymentActionRequired", "PaymentAuthorised", "PaymentCaptured", "PaymentVoided", "PaymentRefunded"];
        if let (Some(kind), Some(reference)) = (kinds.into_iter().find(|known| *known == kind), reference) {
            self.references.insert((kind, reference.to_owned()));
        }
    }

    /// Takes in what a gateway reports, within one report of several things.
    pub(super) fn hears(&mut self, kind: &'static str, outcome: &GatewayOutcome) {
        match outcome {
            GatewayOutcome::ActionRequired { gateway_reference, .. } => {
                self.refer(kind, Some(gateway_reference));
                self.attempt = Attempt::WaitsForBuyer;
            }
            GatewayOutcome::Authorised { amount, gateway_reference, .. } => {
                self.refer(kind, Some(gateway_reference));
                self.authorise(amount.minor);
            }
            GatewayOutcome::Captured { amount, gateway_reference } => {
                self.refer(kind, Some(gateway_reference));
                self.capture(amount.minor);
            }
            GatewayOutcome::Declined { .. } => {
                self.attempt = Attempt::None;
                self.capturing = 0;
            }
            GatewayOutcome::Voided { gateway_reference } => {
                self.refer(kind, Some(gateway_reference));
                self.held = self.captured;
                self.void_requested = false;
            }
            GatewayOutcome::Refunded { refund_id, amount, gateway_reference } => {
                self.refer(kind, Some(gateway_reference));
                self.refunded += amount.minor;
                self.refunds.insert(refund_id.0, Refund::Done);
            }
            GatewayOutcome::RefundFailed { refund_id, .. } => {
                self.refunds.insert(refund_id.0, Refund::Failed);
            }
            GatewayOutcome::Disputed { amount, .. } => self.disputed = amount.minor,
            GatewayOutcome::DisputeClosed { won } => {
                self.charged_back += if *won { 0 } else { self.disputed };
                self.disputed = 0;
            }
        }
    }
}
