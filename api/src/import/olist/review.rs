//! A review of an Olist order.

use event_schemas::{CustomerId, OrderId, Personal, ReviewEvent, ReviewId, ReviewSubmitted, StreamId};

use crate::import::{
    catalog::{claim, happened},
    document::Document,
    ids::{fingerprint, id_of},
    olist::{NAME, tables::TableRow},
};

/// The document of a review. One survey may cover several orders, so its id alone does not make it unique. The first one
/// of an order takes the place of the order's one review.
///
/// # Errors
/// The reason why no event can be made of it.
pub(crate) fn review(row: &TableRow, order_id: OrderId, customer: Option<&TableRow>, first: bool) -> Result<Document, String> {
    let key = format!("{}|{}", row.field(0), row.field(1));
    let review_id = ReviewId(id_of(NAME, "review", &key));
    let stream = StreamId::new(ReviewEvent::AGGREGATE, review_id);
    let answered = row.moment(6)?.or(row.moment(5)?).ok_or("the review has no date")?;
    let text = |index: usize| {
        Some(row.field(index).to_owned()).filter(|text| !text.is_empty()).and_then(|text| Personal::unsealed(&text))
    };
    let submitted = ReviewSubmitted {
        review_id,
        order_id,
        customer_id: customer.map(|row| CustomerId::new(row.field(1))).transpose().map_err(|error| error.to_string())?,
        rating: row.field(2).parse().map_err(|_| "the score is not a number".to_owned())?,
        title: text(3),
        comment: text(4),
    };
    let mut changes = vec![happened(&stream, ReviewEvent::from(submitted), answered)];
    if first {
        changes.push(claim("review", &order_id.to_string(), &stream, answered));
    }
    let mut document = Document::without_rows(format!("review|{key}"), fingerprint(row.fields()), changes);
    document.rows = vec![row.number];
    document.tally.count("rows of reviews");
    Ok(document)
}
