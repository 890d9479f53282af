//! The parts of an order: lines as bought, charges, discounts, parcels and returns.

use async_graphql::{ComplexObject, Context, Error, ID, SimpleObject};
use event_schemas::{Currency, FulfilmentId, OrderId, ProductId, SkuQuantity, Timestamp, VariantId};

use crate::graphql::{
    actions::{FulfilmentAction, FulfilmentActions, ReturnAction, ReturnActions, available},
    global_id::{self, Kind},
    loader::{ProductById, VariantById, load},
    money::{Money, TaxedMoney},
    order_status::ChargeKind,
    product::Product,
    scalar::Long,
    variant::Variant,
};

/// A line of an order as it was bought: nothing that later happens to the product changes it.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderLine {
    /// The number of the line, from 1.
    line: u32,
    /// The SKU.
    sku: String,
    /// Product and variant name when it was bought.
    title: String,
    /// How many units.
    quantity: Long,
    /// The price of one unit, as shown to the shopper.
    unit_price: Money,
    /// The line's share of discounts, positive.
    discount: Money,
    /// Tax rate in parts per million: 200000 is 20 %.
    tax_rate_ppm: u32,
    /// What the buyer owes for the line, after discount.
    total: TaxedMoney,
    /// Who sold it, on a market place with several sellers.
    seller: Option<String>,
    #[graphql(skip)]
    product_id: ProductId,
    #[graphql(skip)]
    variant_id: VariantId,
}

impl OrderLine {
    /// A line of the views, in the order's currency.
    pub(crate) fn new(row: projections::OrderLineRow, currency: Currency) -> Self {
        Self {
            line: row.line,
            sku: row.sku.to_string(),
            title: row.title,
            quantity: Long(row.quantity.into()),
            unit_price: Money::new(row.unit_price_minor, currency),
            discount: Money::new(row.discount_minor, currency),
            tax_rate_ppm: row.tax_rate_ppm,
            total: TaxedMoney::new(row.net_minor, row.tax_minor, row.gross_minor, currency),
            seller: row.seller,
            product_id: row.product_id,
            variant_id: row.variant_id,
        }
    }
}

#[ComplexObject]
impl OrderLine {
    /// The product as it is now; null when shoppers no longer see it.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>, Error> {
        Product::visible(ctx, load(ctx, ProductById(self.product_id)).await?)
    }

    /// The variant as it is now; null when it is gone.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>, Error> {
        Ok(load(ctx, VariantById(self.variant_id)).await?.map(|row| Variant::new(row, None)))
    }
}

/// An amount on an order that is not goods, such as shipping.
#[derive(SimpleObject)]
pub(crate) struct OrderCharge {
    /// What it is for.
    kind: ChargeKind,
    /// Its code, such as the shipping method.
    code: String,
    /// What the buyer reads.
    description: String,
    /// How much.
    total: TaxedMoney,
}

impl OrderCharge {
    /// A charge of the views, in the order's currency.
    pub(crate) fn new(row: projections::OrderChargeRow, currency: Currency) -> Self {
        Self {
            kind: row.kind.into(),
            code: row.code,
            description: row.description,
            total: TaxedMoney::new(row.net_minor, row.tax_minor, row.gross_minor, currency),
        }
    }
}

/// A promotion that an order used.
#[derive(SimpleObject)]
pub(crate) struct OrderDiscount {
    /// The coupon code.
    code: String,
    /// The discount, positive.
    amount: Money,
}

impl OrderDiscount {
    /// A discount of the views, in the order's currency.
    pub(crate) fn new(row: projections::OrderDiscountRow, currency: Currency) -> Self {
        Self { code: row.code.to_string(), amount: Money::new(row.amount_minor, currency) }
    }
}

/// How many units of one SKU.
#[derive(SimpleObject)]
pub(crate) struct Item {
    /// The SKU.
    sku: String,
    /// How many units.
    quantity: Long,
}

impl From<SkuQuantity> for Item {
    fn from(item: SkuQuantity) -> Self {
        Self { sku: item.sku.to_string(), quantity: Long(item.quantity.into()) }
    }
}

/// A parcel of an order.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Fulfilment {
    /// Its id.
    id: ID,
    /// What is in it.
    items: Vec<Item>,
    /// The carrier's tracking number.
    tracking: Option<String>,
    /// When it left the house.
    shipped_at: Timestamp,
    /// When it arrived.
    delivered_at: Option<Timestamp>,
    #[graphql(skip)]
    key: (OrderId, FulfilmentId),
}

impl From<projections::Fulfilment> for Fulfilment {
    fn from(row: projections::Fulfilment) -> Self {
        Self {
            id: global_id::encode(Kind::Fulfilment, row.fulfilment_id),
            items: row.items.into_iter().map(Item::from).collect(),
            tracking: row.tracking,
            shipped_at: row.shipped_at,
            delivered_at: row.delivered_at,
            key: (row.order_id, row.fulfilment_id),
        }
    }
}

#[ComplexObject]
impl Fulfilment {
    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<FulfilmentAction>, Error> {
        available(ctx, FulfilmentActions(self.key)).await
    }
}

/// Goods of an order that came back.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct OrderReturn {
    /// What came back.
    items: Vec<Item>,
    /// The document of the return, or the reason.
    reason: String,
    /// When it came back.
    returned_at: Timestamp,
    #[graphql(skip)]
    order_id: OrderId,
}

impl From<projections::OrderReturn> for OrderReturn {
    fn from(row: projections::OrderReturn) -> Self {
        let projections::OrderReturn { order_id, reason, returned_at, .. } = row;
        Self { items: row.items.into_iter().map(Item::from).collect(), reason, returned_at, order_id }
    }
}

#[ComplexObject]
impl OrderReturn {
    /// What the caller can do about it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<ReturnAction>, Error> {
        available(ctx, ReturnActions(self.order_id)).await
    }
}
