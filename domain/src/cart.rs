//! A shopping cart, from its first line to the order that it becomes, or to its expiry.

use event_schemas::{
    Address, CartCheckedOut, CartCreated, CartDetailsSet, CartEvent, CartExpired, CartLineRemoved, CartLineSet, CountryCode,
    CouponCode, Currency, CustomerId, Money, OrderId, Personal, Sku, Timestamp,
};
use serde::{Deserialize, Serialize};

/// The most units of one line.
pub const MAX_LINE_QUANTITY: u32 = 9_999;
/// The most lines of one cart.
pub const MAX_CART_LINES: usize = 100;
/// The most coupon codes of one cart.
pub const MAX_COUPONS: usize = 10;

/// What can be asked of a cart. `now` is the time of asking: a cart that has run out by then refuses, whether or not its
/// expiry is recorded yet.
#[derive(Debug, Clone, PartialEq)]
pub enum CartCommand {
    /// Begin it.
    Create(CartCreated),
    /// Put a variant in, or change its quantity or price; the line as it is to be.
    SetLine {
        /// The line.
        line: CartLineSet,
        /// The time of asking.
        now: Timestamp,
    },
    /// Take a line out.
    RemoveLine {
        /// The line's SKU.
        sku: Sku,
        /// When the cart expires then.
        expires_at: Timestamp,
        /// The time of asking.
        now: Timestamp,
    },
    /// Say who buys and where the parcel goes.
    SetDetails {
        /// The details; absent ones stay as they are.
        details: Box<CartDetailsSet>,
        /// The time of asking.
        now: Timestamp,
    },
    /// Turn it into an order.
    CheckOut {
        /// The order.
        order_id: OrderId,
        /// The time of asking.
        now: Timestamp,
    },
    /// Close it because nothing happened to it for too long.
    Expire {
        /// The time of asking.
        now: Timestamp,
    },
}

/// Why a command to a cart was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CartRefusal {
    /// There is no such cart.
    #[error("there is no such cart")]
    NotFound,
    /// The id is in use.
    #[error("the cart exists already")]
    AlreadyExists,
    /// The cart ran out.
    #[error("the cart has expired")]
    Expired,
    /// The cart is an order already.
    #[error("the cart has become order {order_id}")]
    CheckedOut {
        /// The order.
        order_id: OrderId,
    },
    /// A line has at least one unit and at most [`MAX_LINE_QUANTITY`].
    #[error("the quantity must be between 1 and {MAX_LINE_QUANTITY}, not {quantity}")]
    InvalidQuantity {
        /// What was asked for.
        quantity: u64,
    },
    /// A cart has at most [`MAX_CART_LINES`].
    #[error("a cart has at most {MAX_CART_LINES} lines")]
    TooManyLines,
    /// The cart has no line of this SKU.
    #[error("the cart has no line of {sku}")]
    LineNotFound {
        /// The SKU.
        sku: Sku,
    },
    /// All prices of a cart are in its currency.
    #[error("the cart is in {cart}, not in {price}")]
    CurrencyMismatch {
        /// The cart's currency.
        cart: Currency,
        /// The currency that was asked for.
        price: Currency,
    },
    /// The sum of the lines does not fit in minor units.
    #[error("the total is too large")]
    TotalTooLarge,
    /// There are too many codes, or one twice.
    #[error("a cart takes at most {MAX_COUPONS} different coupon codes")]
    InvalidCoupons,
    /// It is too early to expire the cart.
    #[error("the cart does not expire before {until}")]
    NotDue {
        /// When it expires.
        until: Timestamp,
    },
}

impl CartRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "CART_NOT_FOUND",
            Self::AlreadyExists => "CART_EXISTS",
            Self::Expired => "CART_EXPIRED",
            Self::CheckedOut { .. } => "CART_CHECKED_OUT",
            Self::InvalidQuantity { .. } => "INVALID_QUANTITY",
            Self::TooManyLines => "TOO_MANY_LINES",
            Self::LineNotFound { .. } => "CART_LINE_NOT_FOUND",
            Self::CurrencyMismatch { .. } => "CURRENCY_MISMATCH",
            Self::TotalTooLarge => "TOTAL_TOO_LARGE",
            Self::InvalidCoupons => "INVALID_COUPONS",
            Self::NotDue { .. } => "NOT_DUE",
        }
    }
}

/// A cart that can be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenCart {
    /// The currency of all its prices.
    pub currency: Currency,
    /// The customer, if known.
    pub customer_id: Option<CustomerId>,
    /// When it expires unless something happens to it.
    pub expires_at: Timestamp,
    /// Its lines, one per SKU, in the order in which they came.
    pub lines: Vec<CartLineSet>,
    /// E-mail for the confirmation.
    pub email: Option<Personal<String>>,
    /// Where the parcel goes.
    pub shipping_address: Option<Personal<Address>>,
    /// Where the bill goes, if elsewhere.
    pub billing_address: Option<Personal<Address>>,
    /// The country of the shipping address.
    pub country: Option<CountryCode>,
    /// The chosen shipping method's code.
    pub shipping_method: Option<String>,
    /// The coupon codes.
    pub coupon_codes: Vec<CouponCode>,
}

impl OpenCart {
    /// The line of a SKU.
    pub fn line(&self, sku: &Sku) -> Option<&CartLineSet> {
        self.lines.iter().find(|line| line.sku == *sku)
    }

    fn put(&mut self, line: CartLineSet) {
        match self.lines.iter_mut().find(|old| old.sku == line.sku) {
            Some(old) => *old = line,
            None => self.lines.push(line),
        }
    }

    fn must_take(&self, line: &CartLineSet) -> Result<(), CartRefusal> {
        if !(1..=MAX_LINE_QUANTITY).contains(&line.quantity) {
            return Err(CartRefusal::InvalidQuantity { quantity: line.quantity.into() });
        }
        if line.unit_price.currency != self.currency {
            return Err(CartRefusal::CurrencyMismatch { cart: self.currency, price: line.unit_price.currency });
        }
        let others = || self.lines.iter().filter(|other| other.sku != line.sku);
        if others().count() >= MAX_CART_LINES {
            return Err(CartRefusal::TooManyLines);
        }
        subtotal_minor(others().chain([line])).map(|_| ())
    }

    fn set_details(&mut self, details: &CartDetailsSet) {
        let CartDetailsSet { email, shipping_address, billing_address, country, shipping_method, coupon_codes, expires_at } =
            details;
        let keep = |old: &mut Option<_>, new: &Option<_>| new.iter().for_each(|new| *old = Some(Clone::clone(new)));
        keep(&mut self.shipping_address, shipping_address);
        keep(&mut self.billing_address, billing_address);
        if email.is_some() {
            self.email.clone_from(email);
        }
        if country.is_some() {
            self.country.clone_from(country);
        }
        if shipping_method.is_some() {
            self.shipping_method.clone_from(shipping_method);
        }
        if let Some(codes) = coupon_codes {
            self.coupon_codes.clone_from(codes);
        }
        self.expires_at = *expires_at;
    }
}

/// A cart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Cart {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Can be changed.
    Open(Box<OpenCart>),
    /// Became an order.
    CheckedOut {
        /// The order.
        order_id: OrderId,
        /// The customer, if known.
        customer_id: Option<CustomerId>,
    },
    /// Ran out.
    Expired {
        /// The customer, if known.
        customer_id: Option<CustomerId>,
    },
}

impl Cart {
    /// The customer that it belongs to, whatever became of it; none if it is a guest's or does not exist.
    pub fn customer_id(&self) -> Option<&CustomerId> {
        match self {
            Self::Absent => None,
            Self::Open(cart) => cart.customer_id.as_ref(),
            Self::CheckedOut { customer_id, .. } | Self::Expired { customer_id } => customer_id.as_ref(),
        }
    }

    /// The cart as it can be changed at `now`.
    ///
    /// # Errors
    /// If it does not exist, ran out by then or is an order already.
    pub fn open_at(&self, now: Timestamp) -> Result<&OpenCart, CartRefusal> {
        match self {
            Self::Absent => Err(CartRefusal::NotFound),
            Self::Expired { .. } => Err(CartRefusal::Expired),
            Self::CheckedOut { order_id, .. } => Err(CartRefusal::CheckedOut { order_id: *order_id }),
            Self::Open(cart) if cart.expires_at <= now => Err(CartRefusal::Expired),
            Self::Open(cart) => Ok(cart),
        }
    }

    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: CartCommand) -> Result<Vec<CartEvent>, CartRefusal> {
        use CartCommand::{CheckOut, Create, Expire, RemoveLine, SetDetails, SetLine};
        match command {
            Create(cart) => match self {
                Self::Absent => Ok(vec![cart.into()]),
                _ => Err(CartRefusal::AlreadyExists),
            },
            SetLine { line, now } => {
                self.open_at(now)?.must_take(&line)?;
                Ok(vec![line.into()])
            }
            RemoveLine { sku, expires_at, now } => match self.open_at(now)?.line(&sku) {
                None => Err(CartRefusal::LineNotFound { sku }),
                Some(_) => Ok(vec![CartLineRemoved { sku, expires_at }.into()]),
            },
            SetDetails { details, now } => {
                self.open_at(now)?;
                let codes = details.coupon_codes.iter().flatten();
                let different: std::collections::BTreeSet<_> = codes.clone().collect();
                if different.len() > MAX_COUPONS || different.len() < codes.count() {
                    return Err(CartRefusal::InvalidCoupons);
                }
                Ok(vec![(*details).into()])
            }
            CheckOut { order_id, now } => {
                self.open_at(now)?;
                Ok(vec![CartCheckedOut { order_id }.into()])
            }
            Expire { now } => match self {
                Self::Absent => Err(CartRefusal::NotFound),
                Self::Expired { .. } | Self::CheckedOut { .. } => Ok(vec![]),
                Self::Open(cart) if now < cart.expires_at => Err(CartRefusal::NotDue { until: cart.expires_at }),
                Self::Open(_) => Ok(vec![CartExpired {}.into()]),
            },
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &CartEvent) {
        match (&mut *self, event) {
            (_, CartEvent::CartCreated(e)) => {
                *self = Self::Open(Box::new(OpenCart {
                    currency: e.currency,
                    customer_id: e.customer_id.clone(),
                    expires_at: e.expires_at,
                    lines: Vec::new(),
                    email: None,
                    shipping_address: None,
                    billing_address: None,
                    country: None,
                    shipping_method: None,
                    coupon_codes: Vec::new(),
                }));
            }
            (Self::Open(cart), CartEvent::CartLineSet(line)) => {
                cart.put(line.clone());
                cart.expires_at = line.expires_at;
            }
            (Self::Open(cart), CartEvent::CartLineRemoved(e)) => {
                cart.lines.retain(|line| line.sku != e.sku);
                cart.expires_at = e.expires_at;
            }
            (Self::Open(cart), CartEvent::CartDetailsSet(details)) => cart.set_details(details),
            (_, CartEvent::CartCheckedOut(e)) => {
                *self = Self::CheckedOut { order_id: e.order_id, customer_id: self.customer_id().cloned() };
            }
            (_, CartEvent::CartExpired(_)) => *self = Self::Expired { customer_id: self.customer_id().cloned() },
            (
                Self::Absent | Self::CheckedOut { .. } | Self::Expired { .. },
                CartEvent::CartLineSet(_) | CartEvent::CartLineRemoved(_) | CartEvent::CartDetailsSet(_),
            ) => {}
        }
    }
}

/// The sum of a cart's lines before discounts, tax and shipping.
///
/// # Errors
/// [`CartRefusal::TotalTooLarge`] when it does not fit.
pub fn cart_subtotal(cart: &OpenCart) -> Result<Money, CartRefusal> {
    Ok(Money::new(subtotal_minor(&cart.lines)?, cart.currency))
}

fn subtotal_minor<'a>(lines: impl IntoIterator<Item = &'a CartLineSet>) -> Result<i64, CartRefusal> {
    let add = |sum: i64, line: &CartLineSet| sum.checked_add(line.unit_price.minor.checked_mul(line.quantity.into())?);
    lines.into_iter().try_fold(0, add).ok_or(CartRefusal::TotalTooLarge)
}
