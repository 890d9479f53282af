//! The reads of the sales: any measure by one dimension and one grain.

use event_schemas::{CountryCode, Currency, Timestamp};

use crate::{Reader, Value, ViewError, conditions::Conditions, store::Dialect};

/// What sales are broken down by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SalesDimension {
    /// Nothing: the whole shop.
    #[default]
    None,
    /// The country of the order.
    Country,
    /// The product. Goods only: shipping and other charges belong to no product.
    Product,
    /// The category that sales count under. Goods only.
    Category,
    /// The SKU. Goods only.
    Sku,
}

/// How time is cut. All hours and days are UTC; weeks begin on Monday.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SalesGrain {
    /// Not at all.
    #[default]
    None,
    /// By hour.
    Hour,
    /// By day.
    Day,
    /// By week.
    Week,
    /// By month.
    Month,
}

/// How the answer is sorted; ties by time, then dimension, then currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SalesSort {
    /// By time, the earliest first.
    #[default]
    Time,
    /// By net, the largest first.
    Net,
    /// By gross, the largest first.
    Gross,
    /// By units, the most first.
    Units,
}

/// A question about sales.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SalesQuery {
    /// What they are broken down by.
    pub dimension: SalesDimension,
    /// How time is cut.
    pub grain: SalesGrain,
    /// Only in this currency; otherwise each currency has rows of its own.
    pub currency: Option<Currency>,
    /// Only to this country.
    pub country: Option<CountryCode>,
    /// From this hour (inclusive).
    pub from: Option<Timestamp>,
    /// To this hour (exclusive).
    pub to: Option<Timestamp>,
    /// How the answer is sorted.
    pub sort: SalesSort,
    /// At most so many rows; all of them if absent.
    pub limit: Option<u32>,
}

/// A row of the answer. Amounts are minor units; what each measure means is said in the tables' columns.
#[derive(Debug, Clone, PartialEq)]
pub struct SalesRow {
    /// The start of the hour, day, week or month, UTC; none without a grain.
    pub starts_at: Option<Timestamp>,
    /// The country, product id, category id or SKU, or `unknown`; none without a dimension.
    pub key: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// Orders; with a dimension of goods, orders that hold it.
    pub orders: i64,
    /// Orders cancelled or expired; 0 with a dimension of goods.
    pub cancelled_orders: i64,
    /// Units ordered.
    pub units: i64,
    /// Units that came back.
    pub returned_units: i64,
    /// What buyers owe, with tax.
    pub gross_minor: i64,
    /// Discounts, already taken off.
    pub discounts_minor: i64,
    /// The tax in gross.
    pub tax_minor: i64,
    /// The shipping in gross; 0 with a dimension of goods.
    pub shipping_minor: i64,
    /// What cancelled and expired orders had counted for.
    pub cancelled_minor: i64,
    /// Refunds and credit notes; with a dimension of goods, what was paid for what came back.
    pub refunds_minor: i64,
    /// What is left, without tax.
    pub net_minor: i64,
}

impl SalesQuery {
    fn sql(&self, dialect: Dialect) -> (String, Conditions) {
        let mut conditions = Conditions::default();
        conditions.many(self.currency.as_ref(), "currency", false);
        conditions.many(self.country.as_ref(), "country", false);
        conditions.between("hour", self.from.as_ref(), self.to.as_ref(), true);
        let (table, key, orders) = match self.dimension {
            SalesDimension::None => ("sales_by_hour", "NULL", "orders"),
            SalesDimension::Country => ("sales_by_hour", "country", "orders"),
            SalesDimension::Product => ("sku_sales_by_hour", "product_id", "product_orders"),
            SalesDimension::Category => ("sku_sales_by_hour", "category_id", "category_orders"),
            SalesDimension::Sku => ("sku_sales_by_hour", "sku", "sku_orders"),
        };
        let by_order = table == "sales_by_hour";
        let (cancelled_orders, shipping) = if by_order { ("cancelled_orders", "shipping_minor") } else { ("0", "0") };
        let time = match self.grain {
            SalesGrain::None => "NULL",
            SalesGrain::Hour => "hour",
            SalesGrain::Day => "substr(hour, 1, 10) || 'T00:00:00Z'",
            SalesGrain::Week => &format!("{} || 'T00:00:00Z'", dialect.monday("hour")),
            SalesGrain::Month => "substr(hour, 1, 7) || '-01T00:00:00Z'",
        };
        let sort = match self.sort {
            SalesSort::Time => "",
            SalesSort::Net => "net DESC, ",
            SalesSort::Gross => "gross DESC, ",
            SalesSort::Units => "units DESC, ",
        };
        let limit = self.limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        let filter = conditions.sql();
        let sum = |measure: &str| format!("CAST(sum({measure}) AS BIGINT)");
        let measures = [
            sum(orders),
            sum(cancelled_orders),
            sum("units") + " AS units",
            sum("returned_units"),
            sum("gross_minor") + " AS gross",
            sum("discounts_minor"),
            sum("tax_minor"),
            sum(shipping),
            sum("cancelled_minor"),
            sum("refunds_minor"),
            sum("net_minor") + " AS net",
        ];
        let measures = measures.join(", ");
        let sql = format!(
            "SELECT {time} AS time, {key} AS key, currency, {measures}
             FROM {table} {filter} GROUP BY 1, 2, 3 ORDER BY {sort}1, 2, 3{limit}"
        );
        (sql, conditions)
    }
}

impl Reader<'_> {
    /// Sales by what the query asks.
    ///
    /// # Errors
    /// If the store cannot be read, or a sum does not fit in 64 bits.
    pub fn sales(&self, query: &SalesQuery) -> Result<Vec<SalesRow>, ViewError> {
        self.connection.read_whole();
        let (sql, conditions) = query.sql(self.dialect());
        let mut found = Vec::new();
        self.each(&sql, &conditions.parameters(), |at| {
            found.push(SalesRow {
                starts_at: read(at(0))?,
                key: read(at(1))?,
                currency: read(at(2))?,
                orders: read(at(3))?,
                cancelled_orders: read(at(4))?,
                units: read(at(5))?,
                returned_units: read(at(6))?,
                gross_minor: read(at(7))?,
                discounts_minor: read(at(8))?,
                tax_minor: read(at(9))?,
                shipping_minor: read(at(10))?,
                cancelled_minor: read(at(11))?,
                refunds_minor: read(at(12))?,
                net_minor: read(at(13))?,
            });
            Ok(())
        })?;
        Ok(found)
    }
}

fn read<T: crate::Column>(value: Value<'_>) -> Result<T, ViewError> {
    T::read(value).map_err(|error| ViewError::Damaged { table: "sales_by_hour".to_owned(), reason: error.to_string() })
}
