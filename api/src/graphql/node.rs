//! Anything that has an id, looked up by it.

use async_graphql::{Context, Error, ID, Interface, Object};

use crate::{
    access::{Caller, Permission},
    graphql::{
        account::{Account, account_at},
        as_of::{self, AsOf, CategoryKey},
        cart::{self, Cart},
        category::Category,
        changed::{api_key_at, payment_at, promotion_at, stock_at, webhook_at},
        global_id::{self, Kind},
        loader::{CategoryById, OrderById, ProductById, VariantById, load},
        order::Order,
        payment::Payment,
        problem,
        product::Product,
        promotion::Promotion,
        review::{Review, review_at},
        rights_query::ApiKey,
        stock::StockLevel,
        variant::Variant,
        webhook::Webhook,
    },
};

/// Anything that has an id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "&ID", desc = "Its id, unique over all kinds of things."))]
#[allow(clippy::large_enum_variant, reason = "a node is built once and resolved at once")]
pub(crate) enum Node {
    /// A product.
    Product(Product),
    /// A variant.
    Variant(Variant),
    /// A category.
    Category(Category),
    /// A cart.
    Cart(Cart),
    /// An order.
    Order(Order),
    /// A payment.
    Payment(Payment),
    /// A stock level.
    StockLevel(StockLevel),
    /// A review.
    Review(Review),
    /// An account.
    Account(Account),
    /// A promotion.
    Promotion(Promotion),
    /// An API key.
    ApiKey(ApiKey),
    /// A webhook.
    Webhook(Webhook),
}

/// The thing of an id: null when there is none, when the caller may not see it, and for kinds that are not nodes.
async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>, Error> {
    let Some((kind, _)) = global_id::parts(id) else { return Err(problem::bad_id("id")) };
    let may = |permission| ctx.data::<Caller>().is_ok_and(|caller| caller.may(permission));
    macro_rules! own {
        () => {
            match global_id::decode(kind, id) {
                Some(own) => own,
                None => return Err(problem::bad_id("id")),
            }
        };
    }
    Ok(match kind {
        Kind::Product => Product::visible(ctx, load(ctx, ProductById(own!())).await?)?.map(Node::Product),
        Kind::Variant => variant(ctx, own!()).await?.map(Node::Variant),
        Kind::Category => Category::visible(ctx, load(ctx, CategoryById(own!())).await?)?.map(Node::Category),
        Kind::Cart => cart::find(ctx, own!()).await?.map(Node::Cart),
        Kind::Order => Order::visible(ctx, load(ctx, OrderById(own!())).await?)?.map(Node::Order),
        Kind::Payment => payment_at(ctx, Some(own!())).await?.map(Node::Payment),
        Kind::Stock if may(Permission::ViewStock) => stock_at(ctx, Some(own!())).await?.map(Node::StockLevel),
        Kind::Account => account_at(ctx, Some(own!())).await?.map(Node::Account),
        Kind::Review => review_at(ctx, Some(own!())).await?.map(Node::Review),
        Kind::Promotion if may(Permission::ViewCatalog) => promotion_at(ctx, Some(own!())).await?.map(Node::Promotion),
        Kind::ApiKey if may(Permission::ManageApiKeys) => api_key_at(ctx, Some(own!())).await?.map(Node::ApiKey),
        Kind::Webhook if may(Permission::ManageWebhooks) => webhook_at(ctx, Some(own!())).await?.map(Node::Webhook),
        Kind::Stock | Kind::Fulfilment | Kind::Promotion | Kind::Session | Kind::Passkey | Kind::ApiKey | Kind::Webhook => None,
    })
}

/// The thing of an id as it was; null when there was none, or the caller may not see it in that state.
async fn past(ctx: &Context<'_>, id: &ID, as_of: AsOf) -> Result<Option<Node>, Error> {
    let Some((kind, _)) = global_id::parts(id) else { return Err(problem::bad_id("id")) };
    let may = |permission| ctx.data::<Caller>().is_ok_and(|caller| caller.may(permission));
    macro_rules! own {
        () => {
            match global_id::decode(kind, id) {
                Some(own) => own,
                None => return Err(problem::bad_id("id")),
            }
        };
    }
    Ok(match kind {
        Kind::Product => as_of::product(ctx, own!(), as_of).await?.map(Node::Product),
        Kind::Category => as_of::category(ctx, CategoryKey::Id(own!()), as_of).await?.map(Node::Category),
        Kind::Cart => as_of::cart(ctx, own!(), as_of).await?.map(Node::Cart),
        Kind::Order => as_of::order(ctx, own!(), as_of).await?.map(Node::Order),
        Kind::Payment => as_of::payment(ctx, own!(), as_of).await?.map(Node::Payment),
        Kind::Stock if may(Permission::ViewStock) => as_of::stock(ctx, &own!(), as_of).await?.map(Node::StockLevel),
        Kind::Account => as_of::account(ctx, own!(), as_of).await?.map(Node::Account),
        Kind::Review => as_of::review(ctx, own!(), as_of).await?.map(Node::Review),
        Kind::Variant => return Err(problem::bad_input("a variant of the past is asked for through its product")),
        Kind::Promotion if may(Permission::ViewCatalog) => as_of::promotion(ctx, own!(), as_of).await?.map(Node::Promotion),
        Kind::ApiKey if may(Permission::ManageApiKeys) => as_of::api_key(ctx, own!(), as_of).await?.map(Node::ApiKey),
        Kind::Webhook if may(Permission::ManageWebhooks) => as_of::webhook(ctx, own!(), as_of).await?.map(Node::Webhook),
        Kind::Stock | Kind::Fulfilment | Kind::Promotion | Kind::Session | Kind::Passkey | Kind::ApiKey | Kind::Webhook => None,
    })
}

/// A variant whose product the caller may see.
async fn variant(ctx: &Context<'_>, id: event_schemas::VariantId) -> Result<Option<Variant>, Error> {
    let Some(row) = load(ctx, VariantById(id)).await? else { return Ok(None) };
    let product = load(ctx, ProductById(row.product_id)).await?;
    Ok(Product::visible(ctx, product)?.map(|_| Variant::new(row, None)))
}

/// The most ids that are looked up at once.
const MOST: usize = 100;

#[derive(Default)]
pub(crate) struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The thing of an id; null when there is none that the caller may see; as it was at a moment, if asked.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<Node>, Error> {
        match as_of {
            Some(as_of) => past(ctx, &id, as_of).await,
            None => find(ctx, &id).await,
        }
    }

    /// The things of ids, in the order asked; null where there is none that the caller may see.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their ids, at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>, Error> {
        if ids.len() > MOST {
            return Err(problem::bad_input(format!("at most {MOST} ids are looked up at once")));
        }
        futures::future::try_join_all(ids.iter().map(|id| find(ctx, id))).await
    }
}
