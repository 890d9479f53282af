//! Time travel: a thing as it was, folded from its events up to a moment by the same fold that keeps the views.

use std::sync::Arc;

use async_graphql::{Context, Error, InputObject};
use engine::Clock as _;
use event_schemas::{
    AccountId, ApiKeyId, CartId, CategoryId, OrderId, PaymentId, ProductId, PromotionId, Recorded, ReviewId, Slug, StockId,
    StreamId, Timestamp, WebhookId, rfc3339,
};
use event_store::{Log, Moment, ReadError};
use projections::{Projection, RowCache, fold_in_memory};

use crate::{
    access::{Caller, Permission},
    graphql::{
        account::Account,
        cart::{self, Cart},
        category::Category,
        loader::{OrderById, PaymentsOf, load},
        order::{Order, OrderDetails},
        payment::Payment,
        problem,
        product::Product,
        promotion::Promotion,
        review::Review,
        rights_query::ApiKey,
        scalar::Long,
        stock::StockLevel,
        webhook::Webhook,
    },
    shop::Shop,
};

/// Events of one stream that are read at once.
const CHUNK: usize = 1_000;

/// A moment of the past: a position of the log, or a time; one of them.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct AsOf {
    /// After the event at this position of the log.
    position: Option<Long>,
    /// After the events that the log had written by this time: what one could have known then.
    at: Option<Timestamp>,
    /// After what had happened in the world by this time, whenever the log heard of it: what is known now about then. What was
    /// imported or put right later counts from when it happened.
    occurred_at: Option<Timestamp>,
}

impl AsOf {
    /// The moment, which must be one that the log has come to.
    async fn moment(self, ctx: &Context<'_>) -> Result<Moment, Error> {
        match (self.position, self.at, self.occurred_at) {
            (None, Some(at), None) => that_has_come(ctx, Moment::Recorded(at)),
            (None, None, Some(at)) => that_has_come(ctx, Moment::Occurred(at)),
            (Some(position), None, None) => {
                let head = ctx.data::<Arc<Shop>>()?.log.head().await.map_err(|error| problem::fault(&error))?.position;
                position.position().filter(|position| *position <= head).map(Moment::Position).ok_or_else(|| {
                    problem::bad_input(format!("`asOf` is position {}, and the log goes from 0 to {head}", position.0))
                })
            }
            _ => Err(problem::bad_input("`asOf` is a `position`, a time `at`, or a time `occurredAt`, one of them")),
        }
    }
}

/// A moment that is no time of the future: what will be true then, nobody knows yet.
fn that_has_come(ctx: &Context<'_>, moment: Moment) -> Result<Moment, Error> {
    let now = ctx.data::<Arc<Shop>>()?.clock.now();
    if moment.is_yet_to_come(now) {
        return Err(problem::bad_input(format!("`asOf` is {moment}, which has not come yet: it is {} now", rfc3339(now))));
    }
    Ok(moment)
}

/// Folds streams up to a moment, by themselves, with one projection.
async fn fold(
    ctx: &Context<'_>,
    streams: Vec<StreamId>,
    as_of: AsOf,
    projection: &'static Projection,
) -> Result<RowCache, Error> {
    let moment = as_of.moment(ctx).await?;
    let log = &ctx.data::<Arc<Shop>>()?.log;
    let mut events = Vec::new();
    for whole in wholes(log.as_ref(), streams).await.map_err(|error| problem::fault(&error))? {
        // What begins a thing also names it: before that has happened there is nothing that the rest could be about.
        if whole.first().is_some_and(|first| moment.includes(first)) {
            events.extend(whole.into_iter().filter(|recorded| moment.includes(recorded)));
        }
    }
    events.sort_by_key(|recorded| recorded.position);
    fold_in_memory(projection, events).map_err(|error| problem::fault(&error))
}

/// All events of each of these streams, read together.
async fn wholes(log: &dyn Log, streams: Vec<StreamId>) -> Result<Vec<Vec<Recorded>>, ReadError> {
    let mut wholes: Vec<Vec<Recorded>> = vec![Vec::new(); streams.len()];
    let mut unread: Vec<(usize, StreamId)> = streams.into_iter().enumerate().collect();
    while !unread.is_empty() {
        let after = |place: usize| wholes[place].last().map_or(0, |event| event.event.sequence);
        let asked = unread.iter().map(|(place, stream)| (stream.clone(), after(*place))).collect();
        let mut going_on = Vec::new();
        for ((place, stream), chunk) in unread.into_iter().zip(log.read_streams(asked, CHUNK).await?) {
            if chunk.len() == CHUNK {
                going_on.push((place, stream));
            }
            wholes[place].extend(chunk);
        }
        unread = going_on;
    }
    Ok(wholes)
}

/// A product as it was; null if it did not exist, or the caller may not see it in that state.
pub(crate) async fn product(ctx: &Context<'_>, id: ProductId, as_of: AsOf) -> Result<Option<Product>, Error> {
    let past = fold(ctx, vec![StreamId::new("product", id)], as_of, &projections::PRODUCTS).await?;
    let Some(product) = Product::visible(ctx, past.held::<projections::Product>().pop())? else { return Ok(None) };
    let prices = past.held::<projections::VariantPrice>();
    let variants = past.held::<projections::Variant>().into_iter().map(|variant| {
        let own = prices.iter().filter(|price| price.variant_id == variant.variant_id).cloned().collect();
        (variant, own)
    });
    Ok(Some(product.holding(variants.collect())))
}

/// An order as it was; null if it did not exist, or is not there for the caller.
pub(crate) async fn order(ctx: &Context<'_>, id: OrderId, as_of: AsOf) -> Result<Option<Order>, Error> {
    // An order never loses a payment, so that those of now are all that it had then.
    let payments = load(ctx, PaymentsOf(id)).await?.unwrap_or_default();
    let streams = payments.iter().map(|payment| StreamId::new("payment", payment.payment_id));
    let streams = std::iter::once(StreamId::new("order", id)).chain(streams).collect::<Vec<_>>();
    let orders = fold(ctx, streams.clone(), as_of, &projections::ORDERS).await?;
    let payments = fold(ctx, streams, as_of, &projections::PAYMENTS).await?;
    let Some(row) = orders.held::<projections::Order>().pop() else { return Ok(None) };
    if !ctx.data::<Caller>()?.reaches(row.customer_id.as_ref(), Permission::ViewOrders) {
        return Ok(None);
    }
    let details = OrderDetails {
        lines: orders.held(),
        charges: orders.held(),
        discounts: orders.held(),
        fulfilments: orders.held(),
        returns: orders.held(),
        payments: payments.held(),
    };
    Ok(Some(Order::past(row, details)))
}

/// A payment as it was; null if it did not exist, or is not there for the caller.
pub(crate) async fn payment(ctx: &Context<'_>, id: PaymentId, as_of: AsOf) -> Result<Option<Payment>, Error> {
    let past = fold(ctx, vec![StreamId::new("payment", id)], as_of, &projections::PAYMENTS).await?;
    let Some(row) = past.held::<projections::Payment>().pop() else { return Ok(None) };
    // An order's customer never changes, so that the order as it is now says whose the payment was.
    let order = load(ctx, OrderById(row.order_id)).await?;
    let is_there = Payment::visible(ctx, Some(row.clone()), order.as_ref())?.is_some();
    Ok(is_there.then(|| Payment::past(row, past.held())))
}

/// A stock level as it was; null if there was none.
pub(crate) async fn stock(ctx: &Context<'_>, id: &StockId, as_of: AsOf) -> Result<Option<StockLevel>, Error> {
    let past = fold(ctx, vec![StreamId::new("stock", id)], as_of, &projections::STOCK).await?;
    Ok(past.held::<projections::StockLevel>().pop().map(StockLevel::new))
}

/// A cart as it was, with its lines then; null if it did not exist, or is not there for the caller.
pub(crate) async fn cart(ctx: &Context<'_>, id: CartId, as_of: AsOf) -> Result<Option<Cart>, Error> {
    let past = fold(ctx, vec![StreamId::new("cart", id)], as_of, &projections::CARTS).await?;
    let Some(row) = past.held::<projections::Cart>().pop() else { return Ok(None) };
    // Whose it is now decides: a guest's cart that a customer has taken over since is no longer for whoever knows its id.
    Ok(cart::find(ctx, id).await?.map(|_| Cart::past(row, past.held())))
}

/// How a category is found.
pub(crate) enum CategoryKey {
    /// By its id.
    Id(CategoryId),
    /// By its name in the URL at the moment.
    Slug(Slug),
}

/// A category as it was, in the tree as it was; null if it did not exist, or the caller may not see it in that state.
pub(crate) async fn category(ctx: &Context<'_>, key: CategoryKey, as_of: AsOf) -> Result<Option<Category>, Error> {
    let tree = Arc::new(categories(ctx, as_of).await?);
    let found = tree.iter().find(|row| match &key {
        CategoryKey::Id(id) => row.category_id == *id,
        // A name that was given back and taken again is of the category that was in the shop.
        CategoryKey::Slug(slug) => row.slug == *slug && !row.archived,
    });
    Ok(Category::visible(ctx, found.cloned())?.map(|category| category.within(tree.clone())))
}

/// All categories as they were. A category is never deleted, so that those of now are all that there ever were.
async fn categories(ctx: &Context<'_>, as_of: AsOf) -> Result<Vec<projections::Category>, Error> {
    let now = ctx.data::<Arc<Shop>>()?.views.read(|reader| reader.categories()).await.map_err(problem::view)?;
    let streams = now.iter().map(|placed| StreamId::new("category", placed.category.category_id)).collect();
    let mut past: Vec<projections::Category> = fold(ctx, streams, as_of, &projections::CATEGORIES).await?.held();
    past.sort_by(|one, other| (&one.name, one.category_id).cmp(&(&other.name, other.category_id)));
    Ok(past)
}

/// A review as it was; null if it did not exist, or is not there for the caller.
pub(crate) async fn review(ctx: &Context<'_>, id: ReviewId, as_of: AsOf) -> Result<Option<Review>, Error> {
    let past = fold(ctx, vec![StreamId::new("review", id)], as_of, &projections::REVIEWS).await?;
    Review::visible(ctx, past.held().pop())
}

/// An account as it was, its personal data aside, which is not in the log; null if there was none, or it is not there for the
/// caller.
pub(crate) async fn account(ctx: &Context<'_>, id: AccountId, as_of: AsOf) -> Result<Option<Account>, Error> {
    let caller = ctx.data::<Caller>()?;
    if caller.account().is_none_or(|(own, _)| own != id) && !caller.may(Permission::ManageAccounts) {
        return Ok(None);
    }
    let past = fold(ctx, vec![StreamId::new("account", id)], as_of, &projections::ACCOUNTS).await?;
    Ok(past.held::<projections::Account>().pop().map(Account::new))
}

/// A promotion as it was; null if there was none.
pub(crate) async fn promotion(ctx: &Context<'_>, id: PromotionId, as_of: AsOf) -> Result<Option<Promotion>, Error> {
    let past = fold(ctx, vec![StreamId::new("promotion", id)], as_of, &projections::PROMOTIONS).await?;
    Ok(past.held::<projections::Promotion>().pop().map(Promotion::new))
}

/// An API key as it was; null if there was none.
pub(crate) async fn api_key(ctx: &Context<'_>, id: ApiKeyId, as_of: AsOf) -> Result<Option<ApiKey>, Error> {
    let past = fold(ctx, vec![StreamId::new("api_key", id)], as_of, &projections::API_KEYS).await?;
    Ok(past.held::<projections::ApiKey>().pop().map(ApiKey::new))
}

/// A webhook as it was; null if there was none.
pub(crate) async fn webhook(ctx: &Context<'_>, id: WebhookId, as_of: AsOf) -> Result<Option<Webhook>, Error> {
    let past = fold(ctx, vec![StreamId::new("webhook", id)], as_of, &projections::WEBHOOKS).await?;
    Ok(past.held::<projections::Webhook>().pop().map(Webhook::new))
}
