//! Carts: what a shopper is about to buy.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, Error, ID, Object, OutputType as _, SimpleObject};
use domain::pricing::{self, Item};
use event_schemas::{CartId, Currency, PricingBasis, ProductId, Timestamp, VariantId};

use crate::{
    access::{Caller, Permission},
    graphql::{
        actions::{CartAction, CartActions, available},
        address::Address,
        as_of::{self, AsOf},
        global_id::{self, Kind},
        histories::{CartHistory, of},
        loader::{CartLinesOf, OrderById, ProductById, VariantById, load},
        money::{Money, TaxedMoney},
        order::Order,
        personal::opened,
        problem,
        product::Product,
        scalar::{CurrencyCode, Long},
        variant::Variant,
    },
    shop::Shop,
};

/// What became of a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::CartState")]
pub(crate) enum CartState {
    /// It can be filled.
    Open,
    /// It became an order.
    CheckedOut,
    /// Nothing happened to it for too long.
    Expired,
}

/// A shopping cart. One that a customer began is theirs; a guest's can be used by whoever knows its id.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Cart {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
    /// What became of it.
    state: CartState,
    /// The currency of all its prices.
    currency: CurrencyCode,
    /// How many units are in it.
    quantity: Long,
    /// The chosen shipping method's code.
    shipping_method: Option<String>,
    /// The coupon codes; what they take off shows on the order.
    coupon_codes: Vec<String>,
    /// When it was begun.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// When it expires unless something happens to it.
    expires_at: Timestamp,
    #[graphql(skip)]
    row: projections::Cart,
    /// Its lines, when it is shown as it was.
    #[graphql(skip)]
    past_lines: Option<Vec<projections::CartLine>>,
}

/// A way to get the parcel to the buyer.
#[derive(SimpleObject)]
pub(crate) struct ShippingMethod {
    /// Its code, for `cartUpdate`.
    code: String,
    /// What the buyer reads.
    name: String,
    /// Its price for this cart, as shown to the shopper.
    price: Money,
}

impl Cart {
    /// A cart of the views.
    pub(crate) fn new(row: projections::Cart) -> Self {
        Self {
            id: global_id::encode(Kind::Cart, row.cart_id),
            version: Long::of(row.version),
            state: row.state.into(),
            currency: CurrencyCode(row.currency),
            quantity: Long(row.units),
            shipping_method: row.shipping_method.clone(),
            coupon_codes: row.coupon_codes.iter().map(ToString::to_string).collect(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            expires_at: row.expires_at,
            row,
            past_lines: None,
        }
    }

    /// A cart as it was, with its lines then.
    pub(crate) fn past(row: projections::Cart, mut lines: Vec<projections::CartLine>) -> Self {
        lines.sort_by(|one, other| (one.added_at, &one.sku).cmp(&(other.added_at, &other.sku)));
        Self { past_lines: Some(lines), ..Self::new(row) }
    }

    async fn line_rows(&self, ctx: &Context<'_>) -> Result<Vec<projections::CartLine>, Error> {
        match &self.past_lines {
            Some(lines) => Ok(lines.clone()),
            None => Ok(load(ctx, CartLinesOf(self.row.cart_id)).await?.unwrap_or_default()),
        }
    }

    /// Its lines with their tax where the parcel goes; without tax while that is not known.
    async fn priced(&self, ctx: &Context<'_>) -> Result<Vec<CartLine>, Error> {
        let shop = ctx.data::<Arc<Shop>>()?;
        let rows = self.line_rows(ctx).await?;
        let products = futures::future::try_join_all(rows.iter().map(|row| load(ctx, ProductById(row.product_id)))).await?;
        // A cart of the past is taxed as when it last changed.
        let now = if self.past_lines.is_some() { self.row.updated_at } else { shop.today() };
        let rate = |product: &Option<projections::Product>| match (&self.row.country, product) {
            (Some(country), Some(product)) => shop.config.tax_rate_ppm(country, &product.tax_category, now),
            _ => 0,
        };
        let items: Vec<Item> = rows
            .iter()
            .zip(&products)
            .map(|(row, product)| Item {
                unit_price_minor: row.unit_price_minor,
                quantity: row.quantity,
                tax_rate_ppm: rate(product),
            })
            .collect();
        let basis = PricingBasis { prices_include_tax: shop.config.prices_include_tax, rounding: shop.config.rounding };
        let amounts = pricing::amounts(&items, &[], &basis).map_err(|error| problem::fault(&error))?;
        let currency = self.row.currency;
        Ok(rows.into_iter().zip(amounts).map(|(row, amounts)| CartLine::new(row, amounts, currency)).collect())
    }
}

#[ComplexObject]
impl Cart {
    /// E-mail for the confirmation; null also when the person was erased.
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        opened(ctx, self.row.email.as_ref()).await
    }

    /// Where the parcel goes; null also when the person was erased.
    async fn shipping_address(&self, ctx: &Context<'_>) -> Result<Option<Address>, Error> {
        Ok(opened(ctx, self.row.shipping_address.as_ref()).await?.map(Address::from))
    }

    /// Where the bill goes, if elsewhere; null also when the person was erased.
    async fn billing_address(&self, ctx: &Context<'_>) -> Result<Option<Address>, Error> {
        Ok(opened(ctx, self.row.billing_address.as_ref()).await?.map(Address::from))
    }

    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<CartAction>, Error> {
        available(ctx, CartActions(self.row.cart_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> CartHistory {
        CartHistory(of::<domain::Cart>(self.row.cart_id))
    }

    /// Its lines, in the order in which they were put in.
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<CartLine>, Error> {
        self.priced(ctx).await
    }

    /// What its lines come to, before coupons and shipping; without tax while the country is not known.
    async fn subtotal(&self, ctx: &Context<'_>) -> Result<TaxedMoney, Error> {
        let lines = self.priced(ctx).await?;
        let sum = |part: fn(&pricing::Amounts) -> i64| {
            pricing::sum(lines.iter().map(|line| part(&line.amounts))).map_err(|error| problem::fault(&error))
        };
        let (net, tax) = (sum(|amounts| amounts.net_minor)?, sum(|amounts| amounts.tax_minor)?);
        Ok(TaxedMoney::new(net, tax, sum(|amounts| amounts.gross_minor)?, self.row.currency))
    }

    /// The ways to get this cart's parcel to where it goes; to anywhere while that is not known.
    async fn shipping_methods(&self, ctx: &Context<'_>) -> Result<Vec<ShippingMethod>, Error> {
        let rows = self.line_rows(ctx).await?;
        let variants = futures::future::try_join_all(rows.iter().map(|row| load(ctx, VariantById(row.variant_id)))).await?;
        let grams = rows.iter().zip(variants).fold(0_u64, |sum, (row, variant)| {
            let each = variant.map_or(0, |variant| u64::from(variant.weight_grams));
            sum.saturating_add(each.saturating_mul(row.quantity.into()))
        });
        let goods = event_schemas::Money::new(self.row.subtotal_minor, self.row.currency);
        let methods = ctx.data::<Arc<Shop>>()?.config.shipping_methods.iter();
        let serving = methods.filter(|method| self.row.country.as_ref().is_none_or(|country| method.serves(country)));
        let priced = serving.filter_map(|method| {
            let price = Money(method.price(goods, grams)?);
            Some(ShippingMethod { code: method.code.clone(), name: method.name.clone(), price })
        });
        Ok(priced.collect())
    }

    /// The order that it became.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>, Error> {
        match self.row.order_id {
            Some(order) => Order::visible(ctx, load(ctx, OrderById(order)).await?),
            None => Ok(None),
        }
    }
}

/// A line of a cart.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct CartLine {
    /// The SKU: a cart has one line per SKU.
    sku: String,
    /// Product and variant name when it was put in.
    title: String,
    /// How many units.
    quantity: Long,
    /// The price of one unit when it was put in.
    unit_price: Money,
    /// What the line comes to, before coupons; without tax while the country is not known.
    total: TaxedMoney,
    #[graphql(skip)]
    amounts: pricing::Amounts,
    #[graphql(skip)]
    product_id: ProductId,
    #[graphql(skip)]
    variant_id: VariantId,
}

impl CartLine {
    fn new(row: projections::CartLine, amounts: pricing::Amounts, currency: Currency) -> Self {
        Self {
            sku: row.sku.to_string(),
            title: row.title,
            quantity: Long(row.quantity.into()),
            unit_price: Money::new(row.unit_price_minor, currency),
            total: TaxedMoney::new(amounts.net_minor, amounts.tax_minor, amounts.gross_minor, currency),
            amounts,
            product_id: row.product_id,
            variant_id: row.variant_id,
        }
    }
}

#[ComplexObject]
impl CartLine {
    /// The product; null when shoppers no longer see it.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>, Error> {
        Product::visible(ctx, load(ctx, ProductById(self.product_id)).await?)
    }

    /// The variant; null when it is gone.
    async fn variant(&self, ctx: &Context<'_>) -> Result<Option<Variant>, Error> {
        Ok(load(ctx, VariantById(self.variant_id)).await?.map(|row| Variant::new(row, None)))
    }
}

/// A cart of the views, as they are now, if it is there for the caller: a customer's cart is for them and for staff.
pub(crate) async fn find(ctx: &Context<'_>, id: CartId) -> Result<Option<Cart>, Error> {
    let (views, caller) = (&ctx.data::<Arc<Shop>>()?.views, ctx.data::<Caller>()?);
    let row = views.read(move |reader| reader.cart(id)).await.map_err(problem::view)?;
    Ok(row.filter(|row| caller.reaches(row.customer_id.as_ref(), Permission::ViewOrders)).map(Cart::new))
}

#[derive(Default)]
pub(crate) struct CartQuery;

#[Object]
impl CartQuery {
    /// A cart: a customer's for them and for staff, a guest's for whoever knows its id; as it was at a moment, if asked.
    async fn cart(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<Cart>, Error> {
        let id = global_id::decode(Kind::Cart, &id).ok_or_else(|| problem::bad_id("id"))?;
        match as_of {
            Some(as_of) => as_of::cart(ctx, id, as_of).await,
            None => find(ctx, id).await,
        }
    }
}
