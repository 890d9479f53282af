//! What staff do with orders: prepare, ship, deliver, cancel, take back.

use async_graphql::{Context, Error, ID, InputObject, Object};
use domain::{
    AddOrderNote, CancelOrder, Decision, DeliverFulfilment, FulfilOrder, ReturnItems, SealedText, StartProcessing, SubmitReview,
};
use event_schemas::{
    CancelledBy, CommerceEvent, FulfilmentId, OrderId, Personal, RefundId, ReturnId, ReviewEvent, ReviewId, ReviewSubmitted,
    SkuQuantity,
};

use crate::{
    access::{Permission, sees},
    graphql::{
        changed::order_at,
        command::{MutationInput, Outside, carry_out, input, payload, read_back},
        global_id::{self, Kind},
        order::Order,
        own::Thing,
        personal::{self, Looked, NotSealed},
        read_input,
        review::{Review, review_at},
        scalar::Long,
        user_error::UserError,
        warning::Warning,
    },
};

input! {
    /// An order to call off.
    OrderCancelInput of Order(order_id) {
        /// The order.
        order_id: ID,
        /// Why.
        reason: String,
    }
}

input! {
    /// A paid order to prepare in the warehouse.
    OrderStartProcessingInput of Order(order_id) {
        /// The order.
        order_id: ID,
    }
}

input! {
    /// Something to write down about an order.
    OrderNoteAddInput of Order(order_id) {
        /// The order.
        order_id: ID,
        /// The note, 1 to 2000 characters. Only staff read it.
        note: String,
    }
}

/// Units of one SKU.
#[derive(Debug, InputObject)]
pub(crate) struct ItemInput {
    /// The SKU.
    sku: String,
    /// How many units.
    quantity: Long,
}

input! {
    /// A parcel to send.
    OrderFulfilInput of Order(order_id) {
        /// The order.
        order_id: ID,
        /// What is in it; all that is left to ship unless given.
        items: Option<Vec<ItemInput>>,
        /// The carrier's tracking number.
        tracking: Option<String>,
    }
}

input! {
    /// A parcel that arrived.
    FulfilmentDeliverInput of Order(order_id) {
        /// The order.
        order_id: ID,
        /// The parcel.
        fulfilment_id: ID,
    }
}

input! {
    /// Goods that came back.
    OrderReturnInput of Order(order_id) {
        /// The order.
        order_id: ID,
        /// What came back, each SKU once.
        items: Vec<ItemInput>,
        /// Why.
        reason: String,
        /// Where the units are for sale again; absent when they are not fit for it.
        restock: Option<String>,
    }
}

input! {
    /// A review of an order.
    ReviewSubmitInput {
        /// The order.
        order_id: ID,
        /// 1 (worst) to 5 (best).
        rating: Long,
        /// A title.
        title: Option<String>,
        /// A text.
        comment: Option<String>,
    }
}

payload! {
    /// An order after a change.
    OrderPayload {
        /// The order; null when nothing was done, or when the views need longer than two seconds to show it.
        order: Order,
    }
}

payload! {
    /// A review that was submitted.
    ReviewPayload {
        /// The review; null when nothing was done, or when the views need longer than two seconds to show it.
        review: Review,
    }
}

fn items(items: &[ItemInput]) -> Result<Vec<SkuQuantity>, UserError> {
    let item = |(index, item): (usize, &ItemInput)| {
        let index = index.to_string();
        let sku = read_input::name(&item.sku, &["items", &index, "sku"])?;
        Ok(SkuQuantity { sku, quantity: read_input::quantity(item.quantity, &["items", &index, "quantity"])? })
    };
    items.iter().enumerate().map(item).collect()
}

async fn changed<I: MutationInput, D: Decision>(
    ctx: &Context<'_>,
    operation: &'static str,
    order_id: ID,
    input: I,
    decision: impl FnOnce(I, OrderId, &Outside<'_>) -> Result<D, UserError>,
) -> Result<OrderPayload, Error> {
    let id = global_id::decode::<OrderId>(Kind::Order, &order_id);
    let outcome = carry_out(ctx, operation, input, |input, outside| {
        decision(input, read_input::id(Kind::Order, &order_id, &["orderId"])?, outside)
    });
    let outcome = match outcome.await? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(refused.into()),
    };
    let shown = read_back(ctx, outcome.position).await;
    let (order, warnings) = (if shown { order_at(ctx, id).await? } else { None }, Warning::unless_shown(shown));
    Ok(OrderPayload { order, position: Long::of(outcome.position), warnings, ..Default::default() })
}

/// The most characters of a review's title or text.
const MOST_REVIEW_CHARS: usize = 5_000;

/// A title and a text.
type Words = (Option<Personal<String>>, Option<Personal<String>>);

/// The words of a review, sealed for whom the order belongs to.
async fn words(ctx: &Context<'_>, input: &ReviewSubmitInput) -> Result<Words, NotSealed> {
    for (text, field) in [(&input.title, "title"), (&input.comment, "comment")] {
        if text.as_ref().is_some_and(|text| text.chars().count() > MOST_REVIEW_CHARS) {
            let message = format!("a review has at most {MOST_REVIEW_CHARS} characters");
            return Err(UserError::invalid(&[field], message).into());
        }
    }
    let order_id = read_input::id(Kind::Order, &input.order_id, &["orderId"])?;
    if input.title.is_none() && input.comment.is_none() {
        return Ok((None, None));
    }
    let person = personal::person_of_order(ctx, order_id, Permission::ViewOrders).await?;
    let title = personal::sealed_if(ctx, person, input.title.as_ref()).await?;
    Ok((title, personal::sealed_if(ctx, person, input.comment.as_ref()).await?))
}

/// A note on an order, sealed for whom the order belongs to.
async fn note(ctx: &Context<'_>, order_id: &ID, note: &String) -> Result<SealedText, NotSealed> {
    let order_id = read_input::id(Kind::Order, order_id, &["orderId"])?;
    let person = personal::person_of_order(ctx, order_id, Permission::EditOrders).await?;
    Ok(SealedText::new(personal::sealed(ctx, person, note).await?, note))
}

#[derive(Default)]
pub(crate) struct OrderMutation;

#[Object]
impl OrderMutation {
    /// Calls an order off before anything of it is shipped: stock and coupons are given back, money goes back or is let go.
    #[graphql(guard = "Permission::EditOrders", visible = "sees::edit_orders")]
    async fn order_cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order and the reason.")] input: OrderCancelInput,
    ) -> Result<OrderPayload, Error> {
        changed(ctx, "orderCancel", input.order_id.clone(), input, |input, order_id, outside| {
            let (by, refund_id) = (CancelledBy::Staff, RefundId(outside.new_id()));
            Ok(CancelOrder { order_id, by, reason: input.reason, refund_id })
        })
        .await
    }

    /// Begins to prepare a paid order in the warehouse.
    #[graphql(guard = "Permission::ShipOrders", visible = "sees::ship_orders")]
    async fn order_start_processing(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order.")] input: OrderStartProcessingInput,
    ) -> Result<OrderPayload, Error> {
        let id = input.order_id.clone();
        changed(ctx, "orderStartProcessing", id, input, |_, order_id, _| Ok(StartProcessing { order_id })).await
    }

    /// Writes something down about an order, for staff to read.
    #[graphql(guard = "Permission::EditOrders", visible = "sees::edit_orders")]
    async fn order_note_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order and the note.")] input: OrderNoteAddInput,
    ) -> Result<OrderPayload, Error> {
        let id = input.order_id.clone();
        let note = NotSealed::apart(note(ctx, &id, &input.note).await)?;
        changed(ctx, "orderNoteAdd", id, input, |_, order_id, _| Ok(Looked(note?.map(|note| AddOrderNote { order_id, note }))))
            .await
    }

    /// Sends a parcel of a paid order: its units leave the locations where they were set aside.
    #[graphql(guard = "Permission::ShipOrders", visible = "sees::ship_orders")]
    async fn order_fulfil(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order and the parcel.")] input: OrderFulfilInput,
    ) -> Result<OrderPayload, Error> {
        changed(ctx, "orderFulfil", input.order_id.clone(), input, |input, order_id, outside| {
            let items = input.items.as_deref().map(items).transpose()?;
            let fulfilment_id = FulfilmentId(outside.new_id());
            Ok(FulfilOrder { order_id, fulfilment_id, items, tracking: input.tracking })
        })
        .await
    }

    /// Reports that a parcel arrived.
    #[graphql(guard = "Permission::ShipOrders", visible = "sees::ship_orders")]
    async fn fulfilment_deliver(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order and the parcel.")] input: FulfilmentDeliverInput,
    ) -> Result<OrderPayload, Error> {
        changed(ctx, "fulfilmentDeliver", input.order_id.clone(), input, |input, order_id, _| {
            let fulfilment_id = read_input::id(Kind::Fulfilment, &input.fulfilment_id, &["fulfilmentId"])?;
            Ok(DeliverFulfilment { order_id, fulfilment_id })
        })
        .await
    }

    /// Takes goods back. What they cost is given back with `paymentRefund`.
    #[graphql(guard = "Permission::EditOrders", visible = "sees::edit_orders")]
    async fn order_return(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order and the goods.")] input: OrderReturnInput,
    ) -> Result<OrderPayload, Error> {
        changed(ctx, "orderReturn", input.order_id.clone(), input, |input, order_id, outside| {
            let restock = input.restock.as_deref().map(|place| read_input::name(place, &["restock"])).transpose()?;
            let return_id = ReturnId(outside.new_id());
            Ok(ReturnItems { order_id, return_id, items: items(&input.items)?, reason: input.reason, restock })
        })
        .await
    }

    /// Reviews an order that was paid, once.
    async fn review_submit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order and the review.")] input: ReviewSubmitInput,
    ) -> Result<ReviewPayload, Error> {
        let words = NotSealed::apart(words(ctx, &input).await)?;
        let outcome = carry_out(ctx, "reviewSubmit", input, |input, outside| {
            let words = words?;
            let order_id = read_input::id(Kind::Order, &input.order_id, &["orderId"])?;
            let submit = words.map(|(title, comment)| SubmitReview {
                review: ReviewSubmitted {
                    review_id: ReviewId(outside.new_id()),
                    order_id,
                    customer_id: outside.customer_id.clone(),
                    rating: u8::try_from(input.rating.0).unwrap_or(0),
                    title,
                    comment,
                },
            });
            Ok(outside.reaching(Permission::ViewOrders, Thing::Order(order_id), Looked(submit)))
        });
        let outcome = match outcome.await? {
            Ok(outcome) => outcome,
            Err(refused) => return Ok(refused.into()),
        };
        let submitted = outcome.changes.iter().find_map(|change| match &change.event {
            CommerceEvent::Review(ReviewEvent::ReviewSubmitted(review)) => Some(review.review_id),
            _ => None,
        });
        let shown = read_back(ctx, outcome.position).await;
        let (review, warnings) = (if shown { review_at(ctx, submitted).await? } else { None }, Warning::unless_shown(shown));
        Ok(ReviewPayload { review, position: Long::of(outcome.position), warnings, ..Default::default() })
    }
}
