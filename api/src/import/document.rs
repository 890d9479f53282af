//! A document of the source (an invoice, an order, a product): what happens for it, together or not at all.

use std::collections::BTreeMap;

use domain::{Change, Decision, RecordHistory};
use event_schemas::{
    AdjustmentEvent, CategoryEvent, ClaimEvent, CommerceEvent, OrderEvent, PaymentEvent, ProductEvent, ReviewEvent,
};

use crate::import::{ImportError, amount::Amount};

/// What a document adds to the sums of the reconciliation, once it is in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Orders placed.
    pub orders: u64,
    /// Sales in minor units.
    pub sales_minor: i64,
    /// Returns in minor units, negative.
    pub returns_minor: i64,
    /// Bad debt in minor units, negative when money is given up.
    pub bad_debt_minor: i64,
    /// What the source says less what was recorded.
    pub rounding: Amount,
    /// What became of the source's rows, and of how many.
    pub rows: BTreeMap<&'static str, u64>,
    /// What an operator should know about the source, and how often it was met.
    pub remarks: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts one row of the source.
    pub fn count(&mut self, became: &'static str) {
        *self.rows.entry(became).or_default() += 1;
    }

    /// Adds another document's sums. Saturating: a sum of a whole file that passes 64 bits is no longer money.
    pub fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.sales_minor = self.sales_minor.saturating_add(other.sales_minor);
        self.returns_minor = self.returns_minor.saturating_add(other.returns_minor);
        self.bad_debt_minor = self.bad_debt_minor.saturating_add(other.bad_debt_minor);
        self.rounding += other.rounding;
        for (became, count) in &other.rows {
            *self.rows.entry(became).or_default() += count;
        }
        for (remark, count) in &other.remarks {
            *self.remarks.entry(remark).or_default() += count;
        }
    }
}

/// A document ready to be submitted.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its key in the source, unique within the import: its idempotency key.
    pub key: String,
    /// SHA-256 of its content, so that another document under the same key is noticed.
    pub fingerprint: String,
    /// What happened.
    pub changes: Vec<Change>,
    /// Decides what happens instead, where the shop's rules apply.
    pub rule: Option<Box<dyn Decision>>,
    /// The rows that it was made of, by number.
    pub rows: Vec<u64>,
    /// What it adds to the sums.
    pub tally: Tally,
    /// It builds on all documents up to this one (counted from 0), so it is submitted when those are in the log.
    pub follows: Option<u64>,
}

impl Document {
    /// A document that follows from the source as a whole rather than from certain rows.
    pub fn without_rows(key: String, fingerprint: String, changes: Vec<Change>) -> Self {
        Self { key, fingerprint, changes, rule: None, rows: Vec::new(), tally: Tally::default(), follows: None }
    }

    /// A row that asks for something, which the rules may refuse.
    pub fn wish(key: String, fingerprint: String, row: u64, became: &'static str, rule: Box<dyn Decision>) -> Self {
        let mut tally = Tally::default();
        tally.count(became);
        Self { key, fingerprint, changes: Vec::new(), rule: Some(rule), rows: vec![row], tally, follows: None }
    }

    /// Takes the command out of the document. What history creates must not exist yet: a SKU that the shop already sells,
    /// say.
    pub fn take_command(&mut self) -> Box<dyn Decision> {
        if let Some(rule) = self.rule.take() {
            return rule;
        }
        let changes = std::mem::take(&mut self.changes);
        let created = changes.iter().filter(|change| creates(&change.event));
        Box::new(RecordHistory { new_streams: created.map(|change| change.stream.clone()).collect(), changes })
    }
}

/// Whether an event is the first of its stream.
fn creates(event: &CommerceEvent) -> bool {
    matches!(
        event,
        CommerceEvent::Order(OrderEvent::OrderPlaced(_))
            | CommerceEvent::Payment(PaymentEvent::PaymentOpened(_))
            | CommerceEvent::Product(ProductEvent::ProductCreated(_))
            | CommerceEvent::Category(CategoryEvent::CategoryCreated(_))
            | CommerceEvent::Claim(ClaimEvent::ClaimTaken(_))
            | CommerceEvent::Review(ReviewEvent::ReviewSubmitted(_))
            | CommerceEvent::Adjustment(AdjustmentEvent::CreditNoteIssued(_) | AdjustmentEvent::BadDebtAdjusted(_))
    )
}

/// A row that no event could be made of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unrepresented {
    /// The row's number; 1 is the first one after the header.
    pub row: u64,
    /// Why not.
    pub reason: String,
}

/// What becomes of some rows of a source.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A document to submit.
    Document(Box<Document>),
    /// Rows that no event could be made of.
    Unrepresented(Vec<Unrepresented>),
}

/// A source that was read once and is ready to be brought in.
pub(crate) struct Source {
    /// Its name, such as `online-retail`: part of the actor and of every key.
    pub name: &'static str,
    /// The currency of the sums.
    pub currency: &'static str,
    /// How many rows it has.
    pub rows_read: u64,
    /// Rows that are damaged.
    pub damaged: Vec<Unrepresented>,
    /// What an operator should know about the source, and how often it was met.
    pub remarks: BTreeMap<String, u64>,
    /// Its documents, in an order in which none comes before what it builds on.
    pub pieces: Box<dyn Iterator<Item = Result<Piece, ImportError>> + Send>,
}
