//! Batches of reads: whatever the number of rows, one statement per kind of thing and level of the query.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::{
    Context, Error,
    dataloader::{DataLoader, Loader},
};
use event_schemas::{CartId, CategoryId, OrderId, PaymentId, ProductId, Sku, VariantId};
use projections::{ViewError, Views};

use crate::{graphql::problem, shop::Shop};

/// How long the first read of a batch waits for the others: what one level of a query asks for arrives within this.
pub(crate) const GATHER: Duration = Duration::from_micros(500);

/// The loaders of one request.
pub(crate) struct Loaders(DataLoader<ViewLoader>);

pub(crate) struct ViewLoader(Views);

impl Loaders {
    /// Loaders over the shop's views.
    pub(crate) fn new(shop: &Shop) -> Self {
        Self(DataLoader::new(ViewLoader(shop.views.clone()), tokio::spawn).delay(GATHER))
    }
}

/// One thing, in a batch with the others of its kind that the query asks for.
///
/// # Errors
/// If the views cannot be read.
pub(crate) async fn load<K>(ctx: &Context<'_>, key: K) -> Result<Option<<ViewLoader as Loader<K>>::Value>, Error>
where
    K: Send + Sync + std::hash::Hash + Eq + Clone + 'static,
    ViewLoader: Loader<K, Error = Arc<ViewError>>,
{
    let loaded = ctx.data::<Loaders>()?.0.load_one(key).await;
    loaded.map_err(|error| problem::view(ViewError::clone(&error)))
}

macro_rules! loaders {
    ($($(#[$meta:meta])* $name:ident($key:ty) -> $value:ty = $read:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub(crate) struct $name(pub(crate) $key);

        impl Loader<$name> for ViewLoader {
            type Value = $value;
            type Error = Arc<ViewError>;

            async fn load(&self, keys: &[$name]) -> Result<HashMap<$name, $value>, Arc<ViewError>> {
                let keys: Vec<$key> = keys.iter().map(|key| key.0.clone()).collect();
                let found = self.0.read(move |reader| reader.$read(&keys)).await?;
                Ok(found.into_iter().map(|(key, value)| ($name(key), value)).collect())
            }
        }
    )+};
}

loaders! {
    /// A category.
    CategoryById(CategoryId) -> projections::Category = categories_by_id;
    /// A product.
    ProductById(ProductId) -> projections::Product = products_by_id;
    /// The price ranges of a product.
    PriceRangesOf(ProductId) -> Vec<projections::ProductPrice> = price_ranges_of;
    /// The variants of a product.
    VariantsOf(ProductId) -> Vec<projections::Variant> = variants_of;
    /// A variant.
    VariantById(VariantId) -> projections::Variant = variants_by_id;
    /// The prices of a variant.
    PricesOf(VariantId) -> Vec<projections::VariantPrice> = prices_of;
    /// What can be sold of a SKU.
    AvailabilityOf(Sku) -> projections::Availability = availability_of;
    /// The stock of a SKU at its locations.
    StockOf(Sku) -> Vec<projections::StockLevel> = stock_of;
    /// The lines of a cart.
    CartLinesOf(CartId) -> Vec<projections::CartLine> = cart_lines_of;
    /// An order.
    OrderById(OrderId) -> projections::Order = orders_by_id;
    /// The lines of an order.
    LinesOf(OrderId) -> Vec<projections::OrderLineRow> = lines_of;
    /// The charges of an order.
    ChargesOf(OrderId) -> Vec<projections::OrderChargeRow> = charges_of;
    /// The promotions that an order used.
    DiscountsOf(OrderId) -> Vec<projections::OrderDiscountRow> = discounts_of;
    /// The parcels of an order.
    FulfilmentsOf(OrderId) -> Vec<projections::Fulfilment> = fulfilments_of;
    /// The returns of an order.
    ReturnsOf(OrderId) -> Vec<projections::OrderReturn> = returns_of;
    /// The payments of an order.
    PaymentsOf(OrderId) -> Vec<projections::Payment> = payments_of;
    /// The refunds of a payment.
    RefundsOf(PaymentId) -> Vec<projections::Refund> = refunds_of;
}

/// The categories directly below a category.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ChildrenOf(pub(crate) CategoryId);

impl Loader<ChildrenOf> for ViewLoader {
    type Value = Vec<projections::Category>;
    type Error = Arc<ViewError>;

    async fn load(&self, _: &[ChildrenOf]) -> Result<HashMap<ChildrenOf, Self::Value>, Arc<ViewError>> {
        let mut below: HashMap<ChildrenOf, Self::Value> = HashMap::new();
        for placed in self.0.read(|reader| reader.categories()).await? {
            if let (Some(parent), false) = (placed.category.parent_id, placed.category.archived) {
                below.entry(ChildrenOf(parent)).or_default().push(placed.category);
            }
        }
        Ok(below)
    }
}
