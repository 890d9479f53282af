//! Olist: the CSV files of a Brazilian market place become categories, products, orders, payments and reviews.
//!
//! The files are in no common order, so what belongs to an order is held in memory while the orders are streamed: about a
//! kilobyte per order. Stock is not kept, because the sellers hold it. Tax is not in the source.

mod catalog;
mod order;
mod review;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chrono::NaiveTime;
use event_schemas::{CountryCode, Currency, OrderId, Timestamp};
use uuid::Uuid;

use crate::import::{
    ImportError, Unrepresented,
    document::{Document, Piece, Source, Tally},
    ids::{fingerprint, secret_id_of},
    olist::{
        catalog::Titles,
        order::{BuiltOrder, OrderRows},
        tables::{ORDERS, Table, TableRow, Tables, table_row},
    },
    rows::Rows,
};

/// The source's name in actors, keys and ids.
const NAME: &str = "olist";
/// The currency of the files.
const CURRENCY: &str = "BRL";

/// What holds for all files, and the log that they are brought into.
#[derive(Debug, Clone)]
struct Market {
    log_id: Uuid,
    currency: Currency,
    country: CountryCode,
}

impl Market {
    fn of_the_files(log_id: Uuid) -> Result<Self, ImportError> {
        let invalid = |reason: String| ImportError::Setting { name: NAME, reason };
        let currency = Currency::new(CURRENCY).map_err(|error| invalid(error.to_string()))?;
        let country = CountryCode::new("BR").map_err(|error| invalid(error.to_string()))?;
        Ok(Self { log_id, currency, country })
    }

    fn order_id(&self, key: &str) -> OrderId {
        OrderId(secret_id_of(self.log_id, NAME, "order", key))
    }
}

/// Reads the files and prepares their documents for a log: categories, products, orders, then reviews.
///
/// # Errors
/// When a file is missing, cannot be read or is another one.
pub(crate) fn read(dir: &Path, log_id: Uuid) -> Result<Source, ImportError> {
    let market = Market::of_the_files(log_id)?;
    let mut tables = Tables::read(dir)?;
    let mut survey = OrderSurvey::take(dir)?;
    survey.damaged.append(&mut tables.damaged);
    let rows_read = survey.rows_read + tables.rows_read;
    let (catalog, titles) = catalog::catalog(&tables, &market, survey.begins);
    let next = catalog.len() as u64;
    let mut builder = Builder { market, titles, tables, next, seen: BTreeSet::new(), reviews: Vec::new() };
    let orders = ORDERS.open(dir)?;
    let catalog = catalog.into_iter().map(|document| Ok(Piece::Document(Box::new(document))));
    let orders = Orders { rows: orders, left_over: false };
    let pieces = orders.flat_map(move |order| match order {
        Ok(Some(row)) => builder.order(row).into_iter().map(Ok).collect(),
        Ok(None) => builder.rest().into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    });
    Ok(Source {
        name: NAME,
        currency: CURRENCY,
        rows_read,
        damaged: survey.damaged,
        remarks: BTreeMap::new(),
        pieces: Box::new(catalog.chain(pieces)),
    })
}

/// What must be known of the orders before the first event is written.
#[derive(Default)]
struct OrderSurvey {
    rows_read: u64,
    damaged: Vec<Unrepresented>,
    begins: Timestamp,
}

impl OrderSurvey {
    fn take(dir: &Path) -> Result<Self, ImportError> {
        let mut survey = Self::default();
        let mut rows = ORDERS.open(dir)?;
        let mut first: Option<Timestamp> = None;
        while let Some(row) = rows.next()? {
            survey.rows_read += 1;
            let number = row.number;
            match table_row(row).and_then(|row| row.moment(3)) {
                Ok(placed) => first = first.into_iter().chain(placed).min(),
                Err(reason) => survey.damaged.push(ORDERS.unrepresented(number, &reason)),
            }
        }
        survey.begins = first.unwrap_or_default().date_naive().and_time(NaiveTime::MIN).and_utc();
        Ok(survey)
    }
}

/// The good rows of the file of orders, then one `None`.
struct Orders {
    rows: Rows,
    left_over: bool,
}

impl Iterator for Orders {
    type Item = Result<Option<TableRow>, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            return match self.rows.next() {
                Err(error) => Some(Err(error)),
                Ok(Some(row)) => match table_row(row) {
                    // Damaged rows, and those without a readable date, were told in the first reading.
                    Ok(row) if row.moment(3).is_ok() => Some(Ok(Some(row))),
                    Ok(_) | Err(_) => continue,
                },
                Ok(None) if self.left_over => None,
                Ok(None) => {
                    self.left_over = true;
                    Some(Ok(None))
                }
            };
        }
    }
}

struct Builder {
    market: Market,
    titles: Titles,
    tables: Tables,
    /// The index of the next document.
    next: u64,
    seen: BTreeSet<String>,
    /// Reviews, which wait for the last order.
    reviews: Vec<Document>,
}

impl Builder {
    fn order(&mut self, row: TableRow) -> Vec<Piece> {
        let key = row.field(0).to_owned();
        if !self.seen.insert(key.clone()) {
            return vec![Piece::Unrepresented(vec![ORDERS.unrepresented(row.number, "the order came before")])];
        }
        let customer = self.tables.customers.remove(row.field(1));
        let payments = self.tables.payments.remove(&key).unwrap_or_default();
        let moves_money = |row: &TableRow| row.amount(4).is_ok_and(|amount| amount.0 > 0);
        let (mut payments, empty): (Vec<_>, Vec<_>) = payments.into_iter().partition(moves_money);
        payments.sort_by_key(|row| row.field(1).parse::<u64>().unwrap_or(u64::MAX));
        let mut items = self.tables.items.remove(&key).unwrap_or_default();
        items.sort_by_key(|row| row.field(1).parse::<u64>().unwrap_or(u64::MAX));
        let reviews = self.tables.reviews.remove(&key).unwrap_or_default();
        let rows = OrderRows { order: row, customer, items, payments };
        let mut lost: Vec<_> = empty.iter().map(|row| Table::of_payments(row.number, "a payment of 0 moves no money")).collect();
        let mut pieces = Vec::new();
        match order::order(&rows, &self.market, &self.titles) {
            Ok(built) => {
                pieces.push(self.document(&key, &rows, built));
                self.keep_reviews(&key, &rows, reviews, &mut lost);
            }
            Err(reason) => lost.extend(rows.unrepresented(&reason, &reviews)),
        }
        if !lost.is_empty() {
            pieces.push(Piece::Unrepresented(lost));
        }
        pieces
    }

    fn document(&mut self, key: &str, rows: &OrderRows, built: BuiltOrder) -> Piece {
        let mut tally = Tally { orders: 1, sales_minor: built.gross_minor, ..Tally::default() };
        let mut numbers = Vec::new();
        for (became, row) in rows.all() {
            tally.count(became);
            numbers.push(row.number);
        }
        for remark in built.remarks {
            *tally.remarks.entry(remark).or_default() += 1;
        }
        self.next += 1;
        Piece::Document(Box::new(Document {
            key: format!("order|{key}"),
            fingerprint: fingerprint(rows.all().flat_map(|(_, row)| row.fields())),
            changes: built.changes,
            rule: None,
            rows: numbers,
            tally,
            follows: None,
        }))
    }

    /// Reviews are documents of their own: they may be absent at first and come with another run.
    fn keep_reviews(&mut self, key: &str, rows: &OrderRows, reviews: Vec<TableRow>, lost: &mut Vec<Unrepresented>) {
        let order_id = self.market.order_id(key);
        let mut seen = BTreeSet::new();
        let mut first = true;
        for row in reviews {
            if !seen.insert(row.field(0).to_owned()) {
                lost.push(Table::of_reviews(row.number, "the same review of the same order came before"));
                continue;
            }
            match review::review(&row, order_id, rows.customer.as_ref(), first) {
                Ok(document) => {
                    self.reviews.push(document);
                    first = false;
                }
                Err(reason) => lost.push(Table::of_reviews(row.number, &reason)),
            }
        }
    }

    /// What comes after the last order: the reviews, once all orders are in the log, and the rows without an order.
    fn rest(&mut self) -> Vec<Piece> {
        let mut reviews = std::mem::take(&mut self.reviews);
        if let Some(first) = reviews.first_mut() {
            first.follows = self.next.checked_sub(1);
        }
        let reviews = reviews.into_iter().map(|document| Piece::Document(Box::new(document)));
        reviews.chain([Piece::Unrepresented(self.tables.left_over())]).collect()
    }
}

impl OrderRows {
    /// All rows of the order, with what they are counted as.
    fn all(&self) -> impl Iterator<Item = (&'static str, &TableRow)> {
        let customer = self.customer.iter().map(|row| ("rows of customers", row));
        let items = self.items.iter().map(|row| ("rows of order items", row));
        let payments = self.payments.iter().map(|row| ("rows of payments", row));
        [("rows of orders", &self.order)].into_iter().chain(customer).chain(items).chain(payments)
    }

    /// The order and all that belongs to it, told as not representable.
    fn unrepresented(&self, reason: &str, reviews: &[TableRow]) -> Vec<Unrepresented> {
        let tell = |(what, row): (&str, &TableRow)| Unrepresented { row: row.number, reason: format!("{what}: {reason}") };
        self.all().chain(reviews.iter().map(|row| ("rows of reviews", row))).map(tell).collect()
    }
}
