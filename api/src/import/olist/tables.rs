//! The Olist files as tables: what belongs to an order is gathered by its id, because the files are in no common order.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chrono::NaiveDateTime;
use csv::StringRecord;
use event_schemas::Timestamp;

use crate::import::{
    ImportError, Unrepresented,
    amount::Amount,
    rows::{Layout, Rows, SourceRow},
};

/// A file of the folder.
pub(crate) struct Table {
    pub name: &'static str,
    header: &'static [&'static str],
    layout: Layout,
}

pub(crate) const ORDERS: Table = Table {
    name: "olist_orders_dataset.csv",
    header: &[
        "order_id",
        "customer_id",
        "order_status",
        "order_purchase_timestamp",
        "order_approved_at",
        "order_delivered_carrier_date",
        "order_delivered_customer_date",
        "order_estimated_delivery_date",
    ],
    layout: Layout::OneLinePerRow,
};
const ITEMS: Table = Table {
    name: "olist_order_items_dataset.csv",
    header: &["order_id", "order_item_id", "product_id", "seller_id", "shipping_limit_date", "price", "freight_value"],
    layout: Layout::OneLinePerRow,
};
const PAYMENTS: Table = Table {
    name: "olist_order_payments_dataset.csv",
    header: &["order_id", "payment_sequential", "payment_type", "payment_installments", "payment_value"],
    layout: Layout::OneLinePerRow,
};
const CUSTOMERS: Table = Table {
    name: "olist_customers_dataset.csv",
    header: &["customer_id", "customer_unique_id", "customer_zip_code_prefix", "customer_city", "customer_state"],
    layout: Layout::OneLinePerRow,
};
const PRODUCTS: Table = Table {
    name: "olist_products_dataset.csv",
    header: &[
        "product_id",
        "product_category_name",
        "product_name_lenght",
        "product_description_lenght",
        "product_photos_qty",
        "product_weight_g",
        "product_length_cm",
        "product_height_cm",
        "product_width_cm",
    ],
    layout: Layout::OneLinePerRow,
};
const REVIEWS: Table = Table {
    name: "olist_order_reviews_dataset.csv",
    header: &[
        "review_id",
        "order_id",
        "review_score",
        "review_comment_title",
        "review_comment_message",
        "review_creation_date",
        "review_answer_timestamp",
    ],
    layout: Layout::FieldsMayWrap,
};
const CATEGORIES: Table = Table {
    name: "product_category_name_translation.csv",
    header: &["product_category_name", "product_category_name_english"],
    layout: Layout::OneLinePerRow,
};

/// A row of a table, with the fields that the others are found by.
#[derive(Debug, Clone)]
pub(crate) struct TableRow {
    pub number: u64,
    fields: StringRecord,
}

impl TableRow {
    /// A field without spaces around it; empty when there is none.
    pub fn field(&self, index: usize) -> &str {
        self.fields.get(index).unwrap_or_default().trim()
    }

    /// All fields, for fingerprints.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter()
    }

    /// An amount of money.
    pub fn amount(&self, index: usize) -> Result<Amount, String> {
        let text = self.field(index);
        let amount = Amount::parse(text).filter(|amount| amount.0 >= 0 && amount.minor().is_some());
        amount.ok_or_else(|| format!("`{}` is not an amount", text.chars().take(40).collect::<String>()))
    }

    /// A moment, if there is one. The source's times are local; they are kept as they stand, as UTC.
    pub fn moment(&self, index: usize) -> Result<Option<Timestamp>, String> {
        let text = self.field(index);
        if text.is_empty() {
            return Ok(None);
        }
        let moment = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S");
        let wrong =
            |_| format!("the date `{}` does not read like 2018-08-15 11:30:33", text.chars().take(40).collect::<String>());
        moment.map(|moment| Some(moment.and_utc())).map_err(wrong)
    }
}

/// Everything but the orders themselves, by the id that finds it.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub rows_read: u64,
    pub damaged: Vec<Unrepresented>,
    pub items: BTreeMap<String, Vec<TableRow>>,
    pub payments: BTreeMap<String, Vec<TableRow>>,
    pub reviews: BTreeMap<String, Vec<TableRow>>,
    pub customers: BTreeMap<String, TableRow>,
    pub products: BTreeMap<String, TableRow>,
    pub categories: BTreeMap<String, TableRow>,
}

impl Tables {
    /// Reads all files but the orders. Reviews and the translation of categories may be absent.
    pub fn read(dir: &Path) -> Result<Self, ImportError> {
        let mut tables = Self::default();
        let (items, payments) = (tables.gather(dir, &ITEMS, 0, check_item)?, tables.gather(dir, &PAYMENTS, 0, check_payment)?);
        (tables.items, tables.payments) = (items, payments);
        let (customers, products) = (tables.gather(dir, &CUSTOMERS, 0, check_key)?, tables.gather(dir, &PRODUCTS, 0, check_key)?);
        tables.customers = tables.unique(&CUSTOMERS, customers);
        tables.products = tables.unique(&PRODUCTS, products);
        if find(dir, REVIEWS.name).is_some() {
            tables.reviews = tables.gather(dir, &REVIEWS, 1, check_review)?;
        }
        if find(dir, CATEGORIES.name).is_some() {
            let categories = tables.gather(dir, &CATEGORIES, 0, check_key)?;
            tables.categories = tables.unique(&CATEGORIES, categories);
        }
        Ok(tables)
    }

    /// The rows of a table by one of its fields; damaged ones are told.
    fn gather(
        &mut self,
        dir: &Path,
        table: &Table,
        by: usize,
        check: fn(&TableRow) -> Result<(), String>,
    ) -> Result<BTreeMap<String, Vec<TableRow>>, ImportError> {
        let mut gathered: BTreeMap<String, Vec<TableRow>> = BTreeMap::new();
        let mut rows = table.open(dir)?;
        while let Some(row) = rows.next()? {
            self.rows_read += 1;
            let number = row.number;
            match table_row(row).and_then(|row| check(&row).map(|()| row)) {
                Ok(row) => gathered.entry(row.field(by).to_owned()).or_default().push(row),
                Err(reason) => self.damaged.push(table.unrepresented(number, &reason)),
            }
        }
        Ok(gathered)
    }

    /// The first row of each key; another one of the same key is told.
    fn unique(&mut self, table: &Table, gathered: BTreeMap<String, Vec<TableRow>>) -> BTreeMap<String, TableRow> {
        let mut unique = BTreeMap::new();
        for (key, rows) in gathered {
            for row in rows {
                if unique.contains_key(&key) {
                    self.damaged.push(table.unrepresented(row.number, "the id came before"));
                } else {
                    unique.insert(key.clone(), row);
                }
            }
        }
        unique
    }

    /// Rows whose order is not in the file of orders, or whose product or customer nobody asks for.
    pub fn left_over(&self) -> Vec<Unrepresented> {
        let of_orders = [(&ITEMS, &self.items), (&PAYMENTS, &self.payments), (&REVIEWS, &self.reviews)];
        let orphans = of_orders.into_iter().flat_map(|(table, rows)| {
            rows.values().flatten().map(|row| table.unrepresented(row.number, "its order is not in the file of orders"))
        });
        let nobody = |row: &TableRow| CUSTOMERS.unrepresented(row.number, "the customer has no order");
        orphans.chain(self.customers.values().map(nobody)).collect()
    }
}

impl Table {
    /// Opens the file, plain or with `.zst`.
    pub fn open(&self, dir: &Path) -> Result<Rows, ImportError> {
        let path = find(dir, self.name).ok_or_else(|| ImportError::Missing(dir.join(self.name).display().to_string()))?;
        Rows::open(&path, self.header, self.layout)
    }

    /// Tells a row of this table as not representable.
    pub fn unrepresented(&self, row: u64, reason: &str) -> Unrepresented {
        Unrepresented { row, reason: format!("{}: {reason}", self.name) }
    }

    /// Tells a review as not representable.
    pub fn of_reviews(row: u64, reason: &str) -> Unrepresented {
        REVIEWS.unrepresented(row, reason)
    }

    /// Tells a payment as not representable.
    pub fn of_payments(row: u64, reason: &str) -> Unrepresented {
        PAYMENTS.unrepresented(row, reason)
    }
}

/// A row with all its fields.
pub(crate) fn table_row(row: SourceRow) -> Result<TableRow, String> {
    Ok(TableRow { number: row.number, fields: row.fields? })
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.zst")].into_iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

fn check_key(row: &TableRow) -> Result<(), String> {
    if row.field(0).is_empty() { Err("it has no id".to_owned()) } else { Ok(()) }
}

fn check_item(row: &TableRow) -> Result<(), String> {
    event_schemas::Sku::new(row.field(2)).map_err(|error| error.to_string())?;
    row.amount(5).and(row.amount(6)).and(check_key(row))
}

fn check_payment(row: &TableRow) -> Result<(), String> {
    row.amount(4).and(check_key(row))
}

fn check_review(row: &TableRow) -> Result<(), String> {
    match row.field(2) {
        "1" | "2" | "3" | "4" | "5" => row.moment(5).and(row.moment(6)).map(|_| ()),
        other => Err(format!("`{}` is not a score of 1 to 5", other.chars().take(40).collect::<String>())),
    }
}
