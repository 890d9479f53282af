//! What can happen to a shopping cart.

use crate::{
    Address, CartId, CountryCode, CouponCode, Currency, CustomerId, Money, OrderId, Personal, ProductId, Sku, Timestamp,
    VariantId,
};

event! {
    /// A shopper began to fill a cart.
    CartCreated {
        /// The new cart.
        pub cart_id: CartId,
        /// The currency of all its prices.
        pub currency: Currency,
        /// The customer, if known; a guest's cart has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub customer_id: Option<CustomerId>,
        /// When it expires unless something happens to it.
        pub expires_at: Timestamp,
    }
}

event! {
    /// A variant was put in the cart, or its quantity or price snapshot changed; the line as it is now.
    CartLineSet {
        /// The product.
        pub product_id: ProductId,
        /// The variant.
        pub variant_id: VariantId,
        /// The variant's SKU: a cart has one line per SKU.
        pub sku: Sku,
        /// Product and variant name at this moment.
        pub title: String,
        /// How many units.
        pub quantity: u32,
        /// The price of one unit at this moment.
        pub unit_price: Money,
        /// When the cart expires now.
        pub expires_at: Timestamp,
    }
}

event! {
    /// A line was taken out of the cart.
    CartLineRemoved {
        /// The line's SKU.
        pub sku: Sku,
        /// When the cart expires now.
        pub expires_at: Timestamp,
    }
}

event! {
    /// The shopper said who they are and where the parcel goes; absent fields stay as they were.
    CartDetailsSet {
        /// E-mail for the confirmation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub email: Option<Personal<String>>,
        /// Where the parcel goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub shipping_address: Option<Personal<Address>>,
        /// Where the bill goes, if elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub billing_address: Option<Personal<Address>>,
        /// The country of the shipping address, which tax and shipping are decided by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub country: Option<CountryCode>,
        /// The chosen shipping method's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub shipping_method: Option<String>,
        /// All coupon codes now; absent when they stay as they were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub coupon_codes: Option<Vec<CouponCode>>,
        /// When the cart expires now.
        pub expires_at: Timestamp,
    }
}

event! {
    /// The cart became an order.
    CartCheckedOut {
        /// The order.
        pub order_id: OrderId,
    }
}

event! {
    /// Nothing happened to the cart for too long.
    CartExpired {}
}

events! {
    /// Everything that can happen to a cart.
    CartEvent of "cart" {
        CartCreated = 1,
        CartLineSet = 1,
        CartLineRemoved = 1,
        CartDetailsSet = 2,
        CartCheckedOut = 1,
        CartExpired = 1,
    }
}
