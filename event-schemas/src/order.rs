//! What can happen to an order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Address, CartId, CategoryId, CountryCode, CouponCode, Currency, CustomerId, FulfilmentId, LocationId, Money, OrderId,
    PaymentId, Personal, ProductId, PromotionId, ReturnId, Sku, Timestamp, VariantId,
};

event! {
    /// Units of a line that come from one location.
    StockAllocation {
        /// The location.
        pub location: LocationId,
        /// How many units.
        pub quantity: u32,
    }
}

event! {
    /// A line as it was bought: nothing that later happens to the product changes it. Amounts are minor units of the
    /// order's currency.
    OrderLine {
        /// The product.
        pub product_id: ProductId,
        /// The variant.
        pub variant_id: VariantId,
        /// The variant's SKU; an order has at most one line per SKU and price.
        pub sku: Sku,
        /// Product and variant name when it was bought.
        pub title: String,
        /// The category that the sale counts under.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub category_id: Option<CategoryId>,
        /// How many units.
        pub quantity: u32,
        /// The price of one unit, as shown to the shopper (with tax in a tax-inclusive store).
        pub unit_price_minor: i64,
        /// The line's share of discounts, positive, in the same terms as the unit price.
        pub discount_minor: i64,
        /// Tax rate in parts per million: 200000 is 20 %.
        pub tax_rate_ppm: u32,
        /// Without tax, after discount.
        pub net_minor: i64,
        /// Tax.
        pub tax_minor: i64,
        /// Net plus tax: what the buyer owes for the line.
        pub gross_minor: i64,
        /// Who sold it, on a market place with several sellers; none when it is the shop itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub seller: Option<String>,
        /// Where the units come from; empty when stock is not tracked for them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub allocations: Vec<StockAllocation>,
    }
}

/// What a charge on an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeKind {
    /// Shipping and handling.
    Shipping,
    /// A fee, such as for gift wrapping, a market place or a bank.
    Fee,
    /// A discount on the whole order, entered by hand (negative).
    Discount,
    /// Any other amount entered by hand.
    Manual,
}

event! {
    /// An amount on an order that is not goods. Amounts are minor units of the order's currency.
    OrderCharge {
        /// What it is for.
        pub kind: ChargeKind,
        /// Its code, such as the shipping method.
        pub code: String,
        /// What the buyer reads.
        pub description: String,
        /// Tax rate in parts per million.
        pub tax_rate_ppm: u32,
        /// Without tax.
        pub net_minor: i64,
        /// Tax.
        pub tax_minor: i64,
        /// Net plus tax.
        pub gross_minor: i64,
    }
}

event! {
    /// A promotion that the order used.
    AppliedDiscount {
        /// The promotion.
        pub promotion_id: PromotionId,
        /// The coupon code that the buyer entered.
        pub code: CouponCode,
        /// The discount, positive, in minor units of the order's currency.
        pub amount_minor: i64,
    }
}

event! {
    /// The sums of an order, in minor units of its currency. `gross = net + tax`, over lines and charges.
    OrderTotals {
        /// Lines before discount, as shown to the shopper.
        pub subtotal_minor: i64,
        /// All discounts on lines, positive.
        pub discount_minor: i64,
        /// Charges of kind shipping, gross.
        pub shipping_minor: i64,
        /// Everything without tax.
        pub net_minor: i64,
        /// All tax.
        pub tax_minor: i64,
        /// What the buyer owes.
        pub gross_minor: i64,
    }
}

/// Where rounding to the minor unit happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoundingLevel {
    /// Tax is rounded per line, and totals are sums of rounded lines.
    Line,
    /// Tax is rounded once per order and rate, and spread over the lines.
    Order,
}

event! {
    /// How the amounts were computed, so that replay never recomputes them under newer rules.
    PricingBasis {
        /// Whether unit prices include tax.
        pub prices_include_tax: bool,
        /// Where rounding happened; the mode is half to even.
        pub rounding: RoundingLevel,
    }
}

/// Where an order came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SalesChannel {
    /// The shop's own storefront.
    Storefront,
    /// Brought in from another system's past.
    Import,
}

event! {
    /// An order was placed and its stock set aside.
    OrderPlaced {
        /// The new order.
        pub order_id: OrderId,
        /// The number that people use for it.
        pub number: String,
        /// Where it came from.
        pub channel: SalesChannel,
        /// The cart it was, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cart_id: Option<CartId>,
        /// The customer, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub customer_id: Option<CustomerId>,
        /// E-mail for the confirmation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub email: Option<Personal<String>>,
        /// Where the parcel goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub shipping_address: Option<Personal<Address>>,
        /// Where the bill goes, if elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub billing_address: Option<Personal<Address>>,
        /// The country that tax, shipping and sales reports go by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub country: Option<CountryCode>,
        /// The currency of all amounts.
        pub currency: Currency,
        /// The lines as bought.
        pub lines: Vec<OrderLine>,
        /// Shipping and other charges.
        pub charges: Vec<OrderCharge>,
        /// The promotions used.
        pub discounts: Vec<AppliedDiscount>,
        /// The sums.
        pub totals: OrderTotals,
        /// How the amounts were computed.
        pub pricing: PricingBasis,
        /// The payment that was opened for it, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub payment_id: Option<PaymentId>,
        /// When the order expires unless paid; none when it was paid as it was placed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub pay_by: Option<Timestamp>,
    }
}

event! {
    /// Money arrived for the order.
    OrderPaymentReceived {
        /// The payment.
        pub payment_id: PaymentId,
        /// How much arrived.
        pub amount: Money,
    }
}

event! {
    /// Money went back to the buyer.
    OrderRefunded {
        /// The payment.
        pub payment_id: PaymentId,
        /// How much went back.
        pub amount: Money,
    }
}

/// Who cancelled an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelledBy {
    /// The buyer.
    Customer,
    /// The shop's staff.
    Staff,
    /// A process, such as after a failed payment.
    System,
}

event! {
    /// The order was called off before shipping.
    OrderCancelled {
        /// Who did it.
        pub by: CancelledBy,
        /// Why, in their words.
        pub reason: String,
    }
}

event! {
    /// The order was not paid in time.
    OrderExpired {}
}

event! {
    /// Units of one SKU that come from one location.
    SkuAllocation {
        /// The SKU.
        pub sku: Sku,
        /// The location.
        pub location: LocationId,
        /// How many units.
        pub quantity: u32,
    }
}

event! {
    /// An expired order was paid after all, and its stock could be set aside again: it counts as if it had not expired.
    OrderReinstated {
        /// Where the units come from now, in place of what the lines said.
        pub allocations: Vec<SkuAllocation>,
    }
}

event! {
    /// The warehouse began to prepare the order.
    OrderProcessingStarted {}
}

event! {
    /// Staff wrote something down about the order.
    OrderNoteAdded {
        /// The note: free text, perhaps about a person.
        pub note: Personal<String>,
    }
}

event! {
    /// How many units of one SKU.
    SkuQuantity {
        /// The SKU.
        pub sku: Sku,
        /// How many units.
        pub quantity: u32,
    }
}

event! {
    /// A parcel left the house.
    OrderFulfilled {
        /// The shipment.
        pub fulfilment_id: FulfilmentId,
        /// What is in the parcel.
        pub items: Vec<SkuQuantity>,
        /// The carrier's tracking number, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tracking: Option<String>,
    }
}

event! {
    /// A parcel arrived.
    FulfilmentDelivered {
        /// The shipment.
        pub fulfilment_id: FulfilmentId,
    }
}

event! {
    /// Goods came back from the buyer.
    OrderItemsReturned {
        /// The return.
        pub return_id: ReturnId,
        /// What came back.
        pub items: Vec<SkuQuantity>,
        /// The document of the return, such as a credit invoice's number, or the reason.
        pub reason: String,
    }
}

events! {
    /// Everything that can happen to an order.
    OrderEvent of "order" {
        OrderPlaced = 2,
        OrderPaymentReceived = 1,
        OrderRefunded = 1,
        OrderCancelled = 1,
        OrderExpired = 1,
        OrderReinstated = 1,
        OrderProcessingStarted = 1,
        OrderNoteAdded = 2,
        OrderFulfilled = 1,
        FulfilmentDelivered = 1,
        OrderItemsReturned = 1,
    }
}
