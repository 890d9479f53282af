//! The rows of the file gathered into invoices, which may be interleaved, and what each invoice is.

use std::{collections::BTreeMap, path::Path};

use event_schemas::{Sku, Timestamp};

use crate::import::{
    ImportError, Unrepresented,
    online_retail::row::{HEADER, InvoiceKind, Item, Row},
    rows::{Layout, Rows},
};

/// Opens the file and checks its header.
pub(crate) fn open(path: &Path) -> Result<Rows, ImportError> {
    Rows::open(path, &HEADER, Layout::OneLinePerRow)
}

/// How many good rows each invoice of the file has.
pub(crate) type RowCounts = BTreeMap<String, u32>;

/// All rows of one document; at least one.
#[derive(Debug, Clone)]
pub(crate) struct Invoice {
    pub rows: Vec<Row>,
}

/// What a row of a plain invoice is. Zero-price goods beside priced rows, or for a known customer, are free goods on the
/// order; alone and for nobody they are a correction of the stock: found when positive, taken away when negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A line or charge of the order.
    Ordered,
    /// A correction of the stock.
    StockCorrected,
    /// A charge of nothing on no order: there is nothing to record.
    Nothing,
}

impl Invoice {
    /// The first row, which speaks for the document.
    pub fn head(&self) -> Option<&Row> {
        self.rows.first()
    }

    /// When it happened: the minute of its first row. (41 invoices of the file run over into the next minute.)
    pub fn at(&self) -> Timestamp {
        self.head().map(|row| row.at).unwrap_or_default()
    }

    /// Whether the document is an order.
    fn is_order(&self) -> bool {
        self.rows.iter().any(|row| row.price.0 != 0 || (row.customer.is_some() && row.quantity > 0))
    }

    /// The rows of a plain invoice with what each of them is.
    pub fn roles(&self) -> impl Iterator<Item = (&Row, Role)> {
        let order = self.is_order();
        self.rows.iter().map(move |row| {
            let corrected = row.price.0 == 0 && (row.quantity < 0 || !order);
            let role = match (&row.item, corrected) {
                (Item::Goods(_), true) => Role::StockCorrected,
                (Item::Charge(_), _) if !order => Role::Nothing,
                (Item::Goods(_) | Item::Charge(_), _) => Role::Ordered,
            };
            (row, role)
        })
    }

    /// What the document does to the stock, in its order: units in (positive) or out (negative).
    pub fn stock_effects(&self) -> Vec<(&Sku, i64)> {
        let Some(head) = self.head() else { return Vec::new() };
        match head.kind {
            InvoiceKind::BadDebt => Vec::new(),
            InvoiceKind::Credit => self.rows.iter().filter_map(|row| Some((row.sku()?, -row.quantity))).collect(),
            InvoiceKind::Invoice => self
                .roles()
                .filter_map(|(row, role)| match role {
                    Role::Ordered => Some((row.sku()?, -row.quantity)),
                    Role::StockCorrected => Some((row.sku()?, row.quantity)),
                    Role::Nothing => None,
                })
                .collect(),
        }
    }

    /// Whether the rows agree on who and where, as the rows of one document must.
    pub fn disagreement(&self) -> Option<&'static str> {
        let head = self.head()?;
        if self.rows.iter().any(|row| row.customer != head.customer) {
            return Some("the rows of the invoice name different customers");
        }
        self.rows.iter().any(|row| row.country != head.country).then_some("the rows of the invoice name different countries")
    }

    /// Tells the whole document as not representable.
    pub fn unrepresented(&self, reason: &str) -> Vec<Unrepresented> {
        self.rows.iter().map(|row| Unrepresented { row: row.number, reason: reason.to_owned() }).collect()
    }
}

/// The invoices of the file, each as soon as its last row was read: no more of the file is in memory than the invoices
/// that are interleaved at one place.
pub(crate) struct Invoices {
    rows: Rows,
    counts: RowCounts,
    open: BTreeMap<String, Vec<Row>>,
}

impl Invoices {
    /// Reads the file again. `counts` are those of the first reading.
    pub fn open(path: &Path, counts: RowCounts) -> Result<Self, ImportError> {
        Ok(Self { rows: open(path)?, counts, open: BTreeMap::new() })
    }

    fn read(&mut self) -> Result<Option<Invoice>, ImportError> {
        loop {
            let Some(row) = self.rows.next()? else {
                // Only if the file changed between two readings are rows left here: they are not lost.
                return Ok(self.open.pop_first().map(|(_, rows)| Invoice { rows }));
            };
            // A damaged row was told in the first reading.
            let Ok(row) = Row::read(row) else { continue };
            let expected = self.counts.get(&row.invoice).copied().unwrap_or(1);
            let key = row.invoice.clone();
            let rows = self.open.entry(key.clone()).or_default();
            rows.push(row);
            if rows.len() >= expected as usize
                && let Some(rows) = self.open.remove(&key)
            {
                return Ok(Some(Invoice { rows }));
            }
        }
    }
}

impl Iterator for Invoices {
    type Item = Result<Invoice, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
