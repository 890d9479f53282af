//! What the file of Online Retail says, computed from its rows alone: nothing here knows Daybook's events or views.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
};

use chrono::NaiveDate;

use super::odd_days::Day;

/// Codes that are charges rather than goods.
const CHARGES: [&str; 13] =
    ["POST", "DOT", "C2", "C3", "D", "M", "m", "ADJUST", "ADJUST2", "S", "BANK CHARGES", "AMAZONFEE", "B"];

/// What a customer bought on one invoice.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// As `2009-12-01 07:45:00`.
    pub at: String,
    pub pence: i64,
}

/// What a plain invoice comes to.
#[derive(Debug)]
struct Invoice {
    /// The day of its first row.
    day: NaiveDate,
    pence: i64,
    /// Whether anyone ordered it: a row has a price, or goes to a known customer (two are free samples and nothing else).
    /// The others write off stock or find it.
    is_order: bool,
}

/// Sums over the file, in pence.
#[derive(Debug, Default)]
pub struct SalesBook {
    pub rows: u64,
    pub sale_rows: u64,
    pub credit_rows: u64,
    pub sale_invoices: BTreeSet<String>,
    pub credit_invoices: BTreeSet<String>,
    pub sales: i64,
    pub returns: i64,
    pub bad_debt: i64,
    /// By month, as `2009-12`.
    pub revenue_by_month: BTreeMap<String, i64>,
    /// By day, as `2009-12-01`.
    pub revenue_by_day: BTreeMap<String, i64>,
    /// By number.
    invoices: BTreeMap<String, Invoice>,
    /// Goods sold, by stock code.
    pub revenue_by_code: BTreeMap<String, i64>,
    /// Sales less credit invoices, by the file's name of the country.
    pub net_by_country: BTreeMap<String, i64>,
    /// Priced invoices by customer and number.
    pub purchases: BTreeMap<String, BTreeMap<String, Purchase>>,
}

impl SalesBook {
    /// Reads a file, plain or compressed.
    pub fn read(path: &Path) -> Self {
        Self::read_before(path, "9999")
    }

    /// Reads the rows before a time, which is written as the file does, or the beginning of one.
    pub fn read_before(path: &Path, end: &str) -> Self {
        let file = File::open(path).unwrap();
        let text: Box<dyn std::io::Read> = match path.extension().is_some_and(|extension| extension == "zst") {
            true => Box::new(zstd::Decoder::new(file).unwrap()),
            false => Box::new(file),
        };
        let mut book = Self::default();
        for row in csv::Reader::from_reader(text).records() {
            let row = row.unwrap();
            let [invoice, code, _, quantity, at, price, customer, country] = std::array::from_fn(|index| row[index].trim());
            if at >= end {
                continue;
            }
            book.enter(invoice, code, quantity.parse().unwrap(), at, thousandths(price), customer, country);
        }
        book
    }

    #[allow(clippy::too_many_arguments, reason = "the eight columns of the file, less the description")]
    fn enter(&mut self, invoice: &str, code: &str, quantity: i64, at: &str, price: i64, customer: &str, country: &str) {
        self.rows += 1;
        let pence = half_even(quantity * price);
        let kind = invoice.chars().next().filter(char::is_ascii_alphabetic);
        if kind.is_none() {
            let day = at[..10].parse().unwrap();
            let entered = self.invoices.entry(invoice.to_owned()).or_insert(Invoice { day, pence: 0, is_order: false });
            entered.pence += pence;
            entered.is_order |= price != 0 || (quantity > 0 && !customer.is_empty());
        }
        match kind {
            Some('C') => {
                self.credit_rows += 1;
                self.credit_invoices.insert(invoice.to_owned());
                self.returns += pence;
                *self.net_by_country.entry(country.to_owned()).or_default() += pence;
            }
            Some('A') => self.bad_debt += pence,
            _ if quantity > 0 && price > 0 => {
                self.sale_rows += 1;
                self.sale_invoices.insert(invoice.to_owned());
                self.sales += pence;
                *self.revenue_by_month.entry(at[..7].to_owned()).or_default() += pence;
                *self.revenue_by_day.entry(at[..10].to_owned()).or_default() += pence;
                *self.net_by_country.entry(country.to_owned()).or_default() += pence;
                if !CHARGES.contains(&code) {
                    *self.revenue_by_code.entry(code.to_owned()).or_default() += pence;
                }
                if !customer.is_empty() {
                    let purchase = self.purchases.entry(customer.to_owned()).or_default().entry(invoice.to_owned()).or_default();
                    purchase.pence += pence;
                    if purchase.at.is_empty() {
                        at.clone_into(&mut purchase.at);
                    }
                }
            }
            _ => {}
        }
    }

    /// The orders of each day.
    pub fn days(&self) -> BTreeMap<NaiveDate, Day> {
        let mut days: BTreeMap<_, Day> = BTreeMap::new();
        for (number, invoice) in self.invoices.iter().filter(|(_, invoice)| invoice.is_order) {
            days.entry(invoice.day).or_default().insert(number.clone(), invoice.pence);
        }
        days
    }

    /// The codes that brought in most, the most first.
    pub fn best_sellers(&self, count: usize) -> Vec<(String, i64)> {
        let mut codes: Vec<_> = self.revenue_by_code.clone().into_iter().collect();
        codes.sort_by_key(|(code, pence)| (-pence, code.clone()));
        codes.truncate(count);
        codes
    }

    /// The customer with the most invoices.
    pub fn busiest_customer(&self) -> (&String, &BTreeMap<String, Purchase>) {
        self.purchases.iter().max_by_key(|(_, invoices)| invoices.len()).unwrap()
    }
}

/// A price of at most three decimals, in thousandths.
fn thousandths(price: &str) -> i64 {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    let negative = whole.starts_with('-');
    let digits: i64 = format!("{}{fraction:0<3}", whole.trim_start_matches('-')).parse().unwrap();
    assert!(fraction.len() <= 3, "{price}");
    if negative { -digits } else { digits }
}

/// Thousandths as pence, half to even.
fn half_even(thousandths: i64) -> i64 {
    let (pence, rest) = (thousandths / 10, thousandths % 10);
    match rest.abs() {
        0..5 => pence,
        5 if pence % 2 == 0 => pence,
        _ => pence + rest.signum(),
    }
}
