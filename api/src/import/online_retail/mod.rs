//! "UCI Online Retail II": one CSV of invoice lines becomes products, opening stock, orders, returns and corrections.
//!
//! Everything is counted in whole invoices; times are kept as they stand in the file, as UTC; prices are taken as free of
//! tax at 0 %, because the file says nothing about tax.

mod codes;
mod credit;
mod invoice;
mod purchases;
mod row;
mod sale;
mod survey;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use domain::Change;
use event_schemas::{Currency, LocationId, Money, Sku, StockId, Timestamp};
use uuid::Uuid;

use crate::import::{
    ImportError, Unrepresented,
    catalog::{ImportedProduct, product_changes, received},
    document::{Document, Piece, Source, Tally},
    ids::{Slugs, fingerprint},
    online_retail::{
        invoice::{Invoice, Invoices, Role},
        purchases::Purchases,
        row::{InvoiceKind, Row},
        survey::{SkuSurvey, Survey},
    },
};

/// The source's name in actors, keys and ids.
const NAME: &str = "online-retail";
/// The currency of the file.
const CURRENCY: &str = "GBP";

/// What holds for the whole file: one log to bring it into, one currency, one place for the stock.
#[derive(Debug, Clone)]
struct Shop {
    log_id: Uuid,
    currency: Currency,
    location: LocationId,
}

impl Shop {
    fn of_the_file(log_id: Uuid) -> Result<Self, ImportError> {
        let invalid = |reason: String| ImportError::Setting { name: NAME, reason };
        let currency = Currency::new(CURRENCY).map_err(|error| invalid(error.to_string()))?;
        let location = LocationId::new("main").map_err(|error| invalid(error.to_string()))?;
        Ok(Self { log_id, currency, location })
    }

    fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }

    fn stock(&self, sku: &Sku) -> StockId {
        StockId { sku: sku.clone(), location: self.location.clone() }
    }
}

/// Reads the file and prepares its documents for a log: the catalog, the opening stock, then the invoices.
///
/// # Errors
/// When the file cannot be read or is another one.
pub(crate) fn read(path: &Path, log_id: Uuid) -> Result<Source, ImportError> {
    let shop = Shop::of_the_file(log_id)?;
    let mut survey = Survey::take(path)?;
    let invoices = Invoices::open(path, std::mem::take(&mut survey.counts))?;
    let catalog = catalog(&shop, &survey);
    let builder = Builder {
        shop,
        titles: survey.skus.iter().filter_map(|(sku, found)| Some((sku.clone(), found.title()?.to_owned()))).collect(),
        purchases: Purchases::asked_for(survey.returned),
        next: catalog.len() as u64,
        // Nothing is sold before the opening stock is in the log.
        barrier: (catalog.len() as u64).checked_sub(1),
    };
    let catalog = catalog.into_iter().map(|document| Ok(Piece::Document(Box::new(document))));
    Ok(Source {
        name: NAME,
        currency: CURRENCY,
        rows_read: survey.rows_read,
        damaged: survey.damaged,
        remarks: survey.remarks,
        pieces: Box::new(catalog.chain(builder.pieces(invoices))),
    })
}

/// Every stock code of goods as a product, then the opening stock of those that need one.
fn catalog(shop: &Shop, survey: &Survey) -> Vec<Document> {
    let mut slugs = Slugs::default();
    let products = survey.skus.iter().filter_map(|(sku, found)| product(shop, sku, found, &mut slugs, survey.begins));
    let mut documents: Vec<Document> = products.collect();
    documents.extend(survey.skus.iter().filter_map(|(sku, found)| opening(shop, sku, found, survey)));
    documents
}

/// A product is known by its stock code alone: another file may describe it in other words, and the first one stands.
fn product(shop: &Shop, sku: &Sku, found: &SkuSurvey, slugs: &mut Slugs, at: Timestamp) -> Option<Document> {
    let title = found.title().unwrap_or(sku.as_str());
    let product = ImportedProduct {
        sku: sku.clone(),
        title: title.to_owned(),
        description: String::new(),
        slug: slugs.next(title, sku)?,
        categories: Vec::new(),
        price: found.price_minor.map(|minor| shop.money(minor)),
        weight_grams: 0,
    };
    Some(Document::without_rows(format!("product|{sku}"), fingerprint([sku.as_str()]), product_changes(NAME, product, at)))
}

/// The units that must have been there before the first row. The key names the file by its first invoice, so that the
/// next year's file brings its own.
fn opening(shop: &Shop, sku: &Sku, found: &SkuSurvey, survey: &Survey) -> Option<Document> {
    let units = found.opening();
    let change = received(&shop.stock(sku), units, "opening balance (derived)", survey.begins);
    let key = format!("opening|{}|{sku}", survey.first_invoice);
    (units > 0).then(|| Document::without_rows(key, fingerprint([units.to_string().as_str()]), vec![change]))
}

/// Makes documents of invoices, in the order of the file.
struct Builder {
    shop: Shop,
    titles: BTreeMap<Sku, String>,
    purchases: Purchases,
    /// The index of the next document.
    next: u64,
    /// The document that the next one must wait for in any case.
    barrier: Option<u64>,
}

impl Builder {
    fn pieces(mut self, invoices: Invoices) -> impl Iterator<Item = Result<Piece, ImportError>> + Send {
        invoices.flat_map(move |invoice| match invoice {
            Ok(invoice) => self.piece(&invoice).into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        })
    }

    /// The document of an invoice, and its rows that no event can be made of.
    fn piece(&mut self, invoice: &Invoice) -> Vec<Piece> {
        let Some(head) = invoice.head() else { return Vec::new() };
        let built = match invoice.disagreement() {
            Some(reason) => Err(reason),
            None => self.document(invoice, head),
        };
        let document = match built {
            Ok(document) => document,
            Err(reason) => return vec![Piece::Unrepresented(invoice.unrepresented(reason))],
        };
        let nothing: Vec<Unrepresented> = match head.kind {
            InvoiceKind::Invoice => {
                invoice.roles().filter(|(_, role)| *role == Role::Nothing).map(|(row, _)| nothing(row)).collect()
            }
            InvoiceKind::Credit | InvoiceKind::BadDebt => Vec::new(),
        };
        let mut pieces = Vec::with_capacity(2);
        if !nothing.is_empty() {
            pieces.push(Piece::Unrepresented(nothing));
        }
        if !document.changes.is_empty() {
            self.next += 1;
            self.barrier = None;
            pieces.push(Piece::Document(Box::new(document)));
        }
        pieces
    }

    fn document(&mut self, invoice: &Invoice, head: &Row) -> Result<Document, &'static str> {
        let (changes, tally, follows) = match head.kind {
            InvoiceKind::Invoice => self.sale(invoice, head)?,
            InvoiceKind::Credit => self.credit(invoice, head)?,
            InvoiceKind::BadDebt => (credit::bad_debt(invoice, head, &self.shop)?, bad_debt_tally(invoice), None),
        };
        Ok(Document {
            key: format!("invoice|{}", head.invoice),
            fingerprint: fingerprint(invoice.rows.iter().flat_map(|row| row.source.iter())),
            changes,
            rule: None,
            rows: represented(invoice, head).map(|row| row.number).collect(),
            tally,
            follows: follows.max(self.barrier),
        })
    }

    fn sale(&mut self, invoice: &Invoice, head: &Row) -> Result<Built, &'static str> {
        let title = |row: &Row| self.title(row);
        let order = sale::order(invoice, &self.shop, title)?;
        let mut changes = Vec::new();
        let mut tally = sale_tally(invoice);
        if let Some((sale, placed)) = order {
            self.purchases.remember(head, &sale, self.next);
            tally.orders = 1;
            changes = placed;
        }
        changes.extend(sale::stock_corrections(invoice, &self.shop));
        Ok((changes, tally, None))
    }

    /// What a line of an order is called: as on the invoice, or as the product, or by its code.
    fn title(&self, row: &Row) -> String {
        let known = || row.sku().and_then(|sku| self.titles.get(sku)).cloned();
        Some(row.description.clone()).filter(|text| !text.is_empty()).or_else(known).unwrap_or_else(|| row.code.clone())
    }

    fn credit(&mut self, invoice: &Invoice, head: &Row) -> Result<Built, &'static str> {
        if let Some(returns) = self.purchases.take(invoice) {
            let follows = returns.values().map(|part| part.document).max();
            let changes = credit::returned(invoice, &head.invoice, &self.shop, &returns);
            return Ok((changes, credit_tally(invoice, "rows of returns matched to orders"), follows));
        }
        let changes = credit::credit_note(invoice, head, &self.shop)?;
        Ok((changes, credit_tally(invoice, "rows of credit notes"), None))
    }
}

type Built = (Vec<Change>, Tally, Option<u64>);

fn represented<'a>(invoice: &'a Invoice, head: &'a Row) -> impl Iterator<Item = &'a Row> {
    let plain = head.kind == InvoiceKind::Invoice;
    invoice.roles().filter(move |(_, role)| !plain || *role != Role::Nothing).map(|(row, _)| row)
}

fn nothing(row: &Row) -> Unrepresented {
    let reason = format!("`{}` is no goods and nothing is charged: there is nothing to record", row.code);
    Unrepresented { row: row.number, reason }
}

fn sale_tally(invoice: &Invoice) -> Tally {
    let mut tally = Tally::default();
    for (row, role) in invoice.roles() {
        let became = match (role, row.price.0, row.quantity) {
            (Role::Nothing, ..) => continue,
            (Role::StockCorrected, _, ..0) => "rows of stock taken away",
            (Role::StockCorrected, ..) => "rows of stock found",
            (Role::Ordered, 0, _) => "rows of free goods",
            (Role::Ordered, ..) => "rows of sales",
        };
        tally.count(became);
        tally.rounding += row.exact().less_minor(row.line_minor);
        if row.quantity > 0 && row.price.0 > 0 {
            tally.sales_minor = tally.sales_minor.saturating_add(row.line_minor);
        }
    }
    tally
}

fn credit_tally(invoice: &Invoice, became: &'static str) -> Tally {
    let mut tally = Tally::default();
    for row in &invoice.rows {
        tally.count(became);
        tally.rounding += row.exact().less_minor(row.line_minor);
        tally.returns_minor = tally.returns_minor.saturating_add(row.line_minor);
    }
    tally
}

fn bad_debt_tally(invoice: &Invoice) -> Tally {
    let mut tally = Tally::default();
    for row in &invoice.rows {
        tally.count("rows of bad debt");
        tally.rounding += row.exact().less_minor(row.line_minor);
        tally.bad_debt_minor = tally.bad_debt_minor.saturating_add(row.line_minor);
    }
    tally
}
