//! One row of Online Retail II: a line of an invoice.

use chrono::NaiveDateTime;
use csv::StringRecord;
use event_schemas::{ChargeKind, CustomerId, Sku, Timestamp};

use crate::import::{amount::Amount, online_retail::codes::charge_kind, rows::SourceRow};

/// The columns of the file.
pub(crate) const HEADER: [&str; 8] =
    ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"];

/// What a document is, by the letter before its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvoiceKind {
    /// A plain number: an invoice, or a correction of the stock.
    Invoice,
    /// `C`: a credit invoice.
    Credit,
    /// `A`: a correction of bad debt.
    BadDebt,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// Goods that stock is kept of.
    Goods(Sku),
    /// Anything else that is charged.
    Charge(ChargeKind),
}

/// A row that is what it should be.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub number: u64,
    pub invoice: String,
    pub kind: InvoiceKind,
    pub item: Item,
    pub code: String,
    pub description: String,
    /// Never 0, and at most 32 bits in size.
    pub quantity: i64,
    pub price: Amount,
    /// The quantity times the price, rounded half to even as a whole.
    pub line_minor: i64,
    pub at: Timestamp,
    pub customer: Option<CustomerId>,
    pub country: String,
    /// The row as it stands in the file, for the fingerprint of its document.
    pub source: StringRecord,
}

impl Row {
    /// Reads a row.
    ///
    /// # Errors
    /// The reason why no event can be made of it.
    pub fn read(row: SourceRow) -> Result<Self, String> {
        let source = row.fields?;
        let field = |index: usize| source.get(index).unwrap_or_default().trim();
        let kind = kind_of(field(0))?;
        let code = field(1).to_owned();
        let item = match charge_kind(&code) {
            Some(kind) => Item::Charge(kind),
            None => Item::Goods(Sku::new(code.as_str()).map_err(|error| error.to_string())?),
        };
        let quantity: i64 = field(3).parse().map_err(|_| format!("the quantity `{}` is not a whole number", cut(field(3))))?;
        let price = Amount::parse(field(5)).ok_or_else(|| format!("the price `{}` is not an amount", cut(field(5))))?;
        let at = NaiveDateTime::parse_from_str(field(4), "%Y-%m-%d %H:%M:%S")
            .map_err(|_| format!("the date `{}` does not read like 2009-12-01 07:45:00", cut(field(4))))?;
        let customer = match field(6).trim_end_matches(".0") {
            "" => None,
            id => Some(CustomerId::new(id).map_err(|error| error.to_string())?),
        };
        let too_large = || "the amount does not fit in minor units".to_owned();
        let line_minor = price.times(quantity).minor().ok_or_else(too_large)?;
        let row = Self {
            number: row.number,
            invoice: field(0).to_owned(),
            kind,
            item,
            code,
            description: field(2).to_owned(),
            quantity,
            price,
            line_minor,
            at: at.and_utc(),
            customer,
            country: field(7).to_owned(),
            source: source.clone(),
        };
        row.check().map(|()| row)
    }

    /// Whether the row is goods.
    pub fn sku(&self) -> Option<&Sku> {
        match &self.item {
            Item::Goods(sku) => Some(sku),
            Item::Charge(_) => None,
        }
    }

    /// The quantity times the price, exactly.
    pub fn exact(&self) -> Amount {
        self.price.times(self.quantity)
    }

    /// Units without their sign. Checked when the row was read: it fits.
    pub fn units(&self) -> u32 {
        u32::try_from(self.quantity.unsigned_abs()).unwrap_or(u32::MAX)
    }

    /// What a charge says, with the quantity when it is not 1.
    pub fn charge_text(&self) -> String {
        let text = if self.description.is_empty() { &self.code } else { &self.description };
        if self.quantity.abs() == 1 { text.clone() } else { format!("{} x {text}", self.quantity.abs()) }
    }

    /// The rules between the columns.
    fn check(&self) -> Result<(), String> {
        let goods = matches!(self.item, Item::Goods(_));
        if self.quantity == 0 {
            return Err("the quantity is 0".to_owned());
        }
        if i32::try_from(self.quantity).is_err() {
            return Err(format!("the quantity {} is beyond 32 bits", self.quantity));
        }
        match self.kind {
            InvoiceKind::BadDebt => Ok(()),
            _ if goods && self.price.0 < 0 => Err("the price is below zero".to_owned()),
            InvoiceKind::Credit if goods && self.quantity > 0 => Err("goods go out on a credit invoice".to_owned()),
            InvoiceKind::Invoice if goods && self.quantity < 0 && self.price.0 > 0 => {
                Err("goods come back at a price on a plain invoice".to_owned())
            }
            InvoiceKind::Invoice | InvoiceKind::Credit => Ok(()),
        }
    }
}

fn kind_of(invoice: &str) -> Result<InvoiceKind, String> {
    let (kind, digits) = match invoice.as_bytes().first() {
        Some(b'C') => (InvoiceKind::Credit, &invoice[1..]),
        Some(b'A') => (InvoiceKind::BadDebt, &invoice[1..]),
        _ => (InvoiceKind::Invoice, invoice),
    };
    let numbered = !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if numbered { Ok(kind) } else { Err(format!("`{}` is not an invoice number", cut(invoice))) }
}

/// Text of the file as it may stand in a message.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
