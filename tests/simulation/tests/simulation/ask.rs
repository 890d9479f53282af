//! What buyers, staff, gateways and processes ask of the shop, in words of its own: the model reads these, the engine gets
//! the decision that each stands for.

use std::sync::Arc;

use domain::{
    AddOrderNote, AdjustStock, CancelOrder, CartLineChange, Checkout, ConfirmPayment, CountStock, CreateCart, Decision,
    DeliverFulfilment, EndPromotion, FulfilOrder, GatewayOutcome, NewPrice, QuantityChange, ReceiveStock, RecordGatewayOutcomes,
    RequestCapture, RequestRefund, RequestVoid, ReturnItems, SealedText, SetCartDetails, SetCartLines, SetStockPolicy,
    SetVariantPrice, StartProcessing, StoreConfig, TransferStock,
};
use event_schemas::{
    AdjustmentReason, CancelledBy, CartId, CountryCode, CouponCode, Currency, FulfilmentId, LocationId, Money, OrderId,
    PaymentId, PersonId, Personal, ProductId, PromotionId, RefundId, ReturnId, Sku, SkuQuantity, StockId, Timestamp, VariantId,
};
use uuid::Uuid;

/// One SKU at one location.
pub type Shelf = (String, String);

/// What is asked, without who and when.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Whatever opens the shop: products and promotions. The model takes it as it comes.
    Open,
    Receive {
        shelf: Shelf,
        quantity: u32,
    },
    Adjust {
        shelf: Shelf,
        delta: i64,
    },
    Count {
        shelf: Shelf,
        counted: u32,
    },
    Transfer {
        sku: String,
        from: String,
        to: String,
        quantity: u32,
    },
    Policy {
        shelf: Shelf,
        safety: u32,
        backorder: u32,
    },
    NewCart {
        cart: Uuid,
    },
    Lines {
        cart: Uuid,
        lines: Vec<(String, QuantityChange)>,
    },
    Details {
        cart: Uuid,
        email: bool,
        address: bool,
        method: Option<String>,
        coupons: Option<Vec<String>>,
    },
    Checkout {
        cart: Uuid,
        order: Uuid,
        payment: Uuid,
    },
    Confirm {
        payment: Uuid,
        token: String,
        capture: bool,
    },
    Capture {
        payment: Uuid,
        amount: Option<i64>,
    },
    Void {
        payment: Uuid,
    },
    Refund {
        payment: Uuid,
        refund: Uuid,
        amount: Option<i64>,
    },
    Cancel {
        order: Uuid,
        refund: Uuid,
    },
    StartProcessing {
        order: Uuid,
    },
    Ship {
        order: Uuid,
        parcel: Uuid,
        items: Option<Vec<(String, u32)>>,
    },
    Deliver {
        order: Uuid,
        parcel: Uuid,
    },
    Return {
        order: Uuid,
        id: Uuid,
        items: Vec<(String, u32)>,
        restock: Option<String>,
    },
    Note {
        order: Uuid,
        length: usize,
    },
    Price {
        product: Uuid,
        variant: Uuid,
        minor: i64,
    },
    EndPromotion {
        promotion: Uuid,
    },
    /// A gateway's report: the answer to a call, or a webhook.
    Report {
        payment: Uuid,
        outcomes: Vec<GatewayOutcome>,
    },
    // What processes ask by themselves; only the model needs words for it.
    RecordPayment {
        payment: Uuid,
        refund: Uuid,
    },
    VoidHoldOfClosedOrder {
        payment: Uuid,
    },
    GiveBackToClosedOrder {
        payment: Uuid,
        refund: Uuid,
    },
    RecordRefund {
        payment: Uuid,
    },
    CancelUnpaid {
        payment: Uuid,
        refund: Uuid,
    },
    ExpireCart {
        cart: Uuid,
    },
    ExpireOrder {
        order: Uuid,
        refund: Uuid,
    },
    ExpirePayment {
        payment: Uuid,
    },
}

/// A name that the shop accepts, such as a SKU.
fn name<T, E: std::fmt::Debug>(new: impl FnOnce(String) -> Result<T, E>, text: &str) -> T {
    new(text.to_owned()).unwrap()
}

fn sku(text: &str) -> Sku {
    name(Sku::new, text)
}

fn location(text: &str) -> LocationId {
    name(LocationId::new, text)
}

fn stock(shelf: &Shelf) -> StockId {
    StockId { sku: sku(&shelf.0), location: location(&shelf.1) }
}

pub fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").unwrap())
}

fn items(items: &[(String, u32)]) -> Vec<SkuQuantity> {
    items.iter().map(|(name, quantity)| SkuQuantity { sku: sku(name), quantity: *quantity }).collect()
}

/// Something that was sealed; neither rules nor views can tell what.
fn sealed<T>() -> Personal<T> {
    Personal::sealed(PersonId(Uuid::from_u128(1)), &[7; 60])
}

impl Ask {
    /// The decision that the engine gets.
    ///
    /// # Panics
    /// For what only processes ask.
    pub fn decision(&self, now: Timestamp, config: &Arc<StoreConfig>) -> Box<dyn Decision> {
        match self.clone() {
            Self::Receive { shelf, quantity } => Box::new(ReceiveStock { stock: stock(&shelf), quantity, reference: None }),
            Self::Adjust { shelf, delta } => {
                Box::new(AdjustStock { stock: stock(&shelf), delta, reason: AdjustmentReason::Correction, note: None })
            }
            Self::Count { shelf, counted } => Box::new(CountStock { stock: stock(&shelf), counted }),
            Self::Transfer { sku: name, from, to, quantity } => {
                Box::new(TransferStock { sku: sku(&name), from: location(&from), to: location(&to), quantity })
            }
            Self::Policy { shelf, safety, backorder } => {
                let (safety_stock, backorder_limit) = (safety, backorder);
                Box::new(SetStockPolicy { stock: stock(&shelf), safety_stock, backorder_limit, low_stock_threshold: 1 })
            }
            Self::Price { product, variant, minor } => {
                let price = NewPrice { price: euros(minor), valid_from: None, valid_until: None };
                Box::new(SetVariantPrice { product_id: ProductId(product), variant_id: VariantId(variant), price })
            }
            Self::EndPromotion { promotion } => Box::new(EndPromotion { promotion_id: PromotionId(promotion) }),
            Self::NewCart { .. } | Self::Lines { .. } | Self::Details { .. } | Self::Checkout { .. } => {
                self.buying(now, config.clone())
            }
            Self::Confirm { payment, token, capture } => {
                Box::new(ConfirmPayment { payment_id: PaymentId(payment), token, capture, now })
            }
            Self::Capture { payment, amount } => {
                Box::new(RequestCapture { payment_id: PaymentId(payment), amount: amount.map(euros) })
            }
            Self::Void { payment } => Box::new(RequestVoid { payment_id: PaymentId(payment), reason: "simulated".to_owned() }),
            Self::Refund { payment, refund, amount } => Box::new(RequestRefund {
                payment_id: PaymentId(payment),
                refund_id: RefundId(refund),
                amount: amount.map(euros),
                reason: "simulated".to_owned(),
            }),
            Self::Report { payment, outcomes } => Box::new(RecordGatewayOutcomes { payment_id: PaymentId(payment), outcomes }),
            other => other.fulfilling(),
        }
    }

    fn buying(&self, now: Timestamp, config: Arc<StoreConfig>) -> Box<dyn Decision> {
        match self.clone() {
            Self::NewCart { cart } => {
                let currency = Currency::new("EUR").unwrap();
                Box::new(CreateCart { cart_id: CartId(cart), currency, customer_id: None, now, config })
            }
            Self::Lines { cart, lines } => {
                let lines = lines.iter().map(|(name, quantity)| CartLineChange { sku: sku(name), quantity: *quantity });
                Box::new(SetCartLines { cart_id: CartId(cart), lines: lines.collect(), now, config })
            }
            Self::Details { cart, email, address: known, method, coupons } => Box::new(SetCartDetails {
                cart_id: CartId(cart),
                email: email.then(sealed),
                shipping_address: known.then(sealed),
                billing_address: None,
                country: known.then(|| CountryCode::new("DE").unwrap()),
                shipping_method: method,
                coupon_codes: coupons.map(|codes| codes.iter().map(|code| name(CouponCode::new, code)).collect()),
                now,
                config,
            }),
            Self::Checkout { cart, order, payment } => {
                let (order_id, payment_id) = (OrderId(order), PaymentId(payment));
                Box::new(Checkout { cart_id: CartId(cart), order_id, number: order_id.number(), payment_id, now, config })
            }
            other => panic!("{other:?} is not about buying"),
        }
    }

    fn fulfilling(self) -> Box<dyn Decision> {
        match self {
            Self::Cancel { order, refund } => Box::new(CancelOrder {
                order_id: OrderId(order),
                by: CancelledBy::Customer,
                reason: "simulated".to_owned(),
                refund_id: RefundId(refund),
            }),
            Self::StartProcessing { order } => Box::new(StartProcessing { order_id: OrderId(order) }),
            Self::Ship { order, parcel, items: parts } => Box::new(FulfilOrder {
                order_id: OrderId(order),
                fulfilment_id: FulfilmentId(parcel),
                items: parts.map(|parts| items(&parts)),
                tracking: None,
            }),
            Self::Deliver { order, parcel } => {
                Box::new(DeliverFulfilment { order_id: OrderId(order), fulfilment_id: FulfilmentId(parcel) })
            }
            Self::Return { order, id, items: parts, restock } => Box::new(ReturnItems {
                order_id: OrderId(order),
                return_id: ReturnId(id),
                items: items(&parts),
                reason: "simulated".to_owned(),
                restock: restock.map(|place| location(&place)),
            }),
            Self::Note { order, length } => {
                Box::new(AddOrderNote { order_id: OrderId(order), note: SealedText::new(sealed(), &"n".repeat(length)) })
            }
            other => panic!("{other:?} is asked by processes only"),
        }
    }
}
