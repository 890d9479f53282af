//! What must be known before the first event of Online Retail is written: found in two readings of the file, in memory
//! that grows with stock codes and credit invoices, not with rows.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
};

use chrono::NaiveTime;
use event_schemas::{CustomerId, Sku, Timestamp};

use crate::import::{
    ImportError, Unrepresented,
    online_retail::{
        codes::country,
        invoice::{Invoice, Invoices, RowCounts, open},
        row::{InvoiceKind, Row},
    },
    writer::IN_FLIGHT,
};

/// Whose purchase of what, and for which country: returns are matched to purchases by it.
pub(crate) type PurchaseKey = (CustomerId, String, Sku);

/// What the file says about one stock code.
#[derive(Debug, Clone, Default)]
pub(crate) struct SkuSurvey {
    titles: BTreeMap<String, u32>,
    other_title: Option<String>,
    /// The first price above zero, in pence.
    pub price_minor: Option<i64>,
    level: i64,
    lowest: i64,
}

impl SkuSurvey {
    /// The description that most priced rows have (the first in the alphabet of several); failing that, any.
    pub fn title(&self) -> Option<&str> {
        let most = self.titles.iter().max_by_key(|(title, count)| (**count, std::cmp::Reverse(*title)));
        most.map(|(title, _)| title.as_str()).or(self.other_title.as_deref())
    }

    /// The units that must have been there at the beginning, so that stock is never below zero.
    pub fn opening(&self) -> u32 {
        u32::try_from(self.lowest.min(0).unsigned_abs()).unwrap_or(u32::MAX)
    }

    fn see(&mut self, row: &Row) {
        let priced = row.kind == InvoiceKind::Invoice && row.price.0 > 0;
        if priced && self.price_minor.is_none() {
            self.price_minor = row.price.minor().filter(|minor| *minor > 0);
        }
        if row.description.is_empty() {
            return;
        }
        if priced {
            *self.titles.entry(row.description.clone()).or_default() += 1;
        } else if self.other_title.is_none() {
            self.other_title = Some(row.description.clone());
        }
    }
}

/// What the file says as a whole.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub rows_read: u64,
    pub damaged: Vec<Unrepresented>,
    pub remarks: BTreeMap<String, u64>,
    pub counts: RowCounts,
    pub skus: BTreeMap<Sku, SkuSurvey>,
    /// What credit invoices ask for: only these purchases need to be remembered.
    pub returned: BTreeSet<PurchaseKey>,
    /// The first document, which tells the opening stock of one file from that of the next.
    pub first_invoice: String,
    /// The first day of the file, at midnight.
    pub begins: Timestamp,
}

impl Survey {
    /// Reads the file twice: row by row, then invoice by invoice.
    pub fn take(path: &Path) -> Result<Self, ImportError> {
        let mut survey = Self::default();
        let mut rows = open(path)?;
        while let Some(row) = rows.next()? {
            let number = row.number;
            survey.rows_read += 1;
            match Row::read(row) {
                Ok(row) => survey.see(row),
                Err(reason) => survey.damaged.push(Unrepresented { row: number, reason }),
            }
        }
        let mut levels = Levels::default();
        for invoice in Invoices::open(path, survey.counts.clone())? {
            let invoice = invoice?;
            if invoice.disagreement().is_none() {
                levels.apply(&mut survey.skus, &invoice);
            }
        }
        Ok(survey)
    }

    fn see(&mut self, row: Row) {
        let day = row.at.date_naive().and_time(NaiveTime::MIN).and_utc();
        if self.counts.is_empty() {
            self.first_invoice.clone_from(&row.invoice);
            self.begins = day;
        }
        self.begins = self.begins.min(day);
        if country(&row.country).is_none() {
            *self.remarks.entry(format!("rows of `{}`, no country", row.country)).or_default() += 1;
        }
        if let Some(sku) = row.sku() {
            self.skus.entry(sku.clone()).or_default().see(&row);
            if let (InvoiceKind::Credit, Some(customer)) = (row.kind, &row.customer) {
                self.returned.insert((customer.clone(), row.country.clone(), sku.clone()));
            }
        }
        *self.counts.entry(row.invoice).or_default() += 1;
    }
}

/// The running stock of every SKU. Units that come in count only [`IN_FLIGHT`] documents later, because documents on
/// their way to the log together may land in any order: so the level is right at every prefix of the log.
#[derive(Default)]
struct Levels {
    arriving: VecDeque<Vec<(Sku, i64)>>,
}

impl Levels {
    fn apply(&mut self, skus: &mut BTreeMap<Sku, SkuSurvey>, invoice: &Invoice) {
        if self.arriving.len() >= IN_FLIGHT {
            for (sku, units) in self.arriving.pop_front().into_iter().flatten() {
                skus.entry(sku).or_default().level += units;
            }
        }
        let mut arriving = Vec::new();
        for (sku, units) in invoice.stock_effects() {
            if units > 0 {
                arriving.push((sku.clone(), units));
            } else {
                let survey = skus.entry(sku.clone()).or_default();
                survey.level += units;
                survey.lowest = survey.lowest.min(survey.level);
            }
        }
        self.arriving.push_back(arriving);
    }
}
