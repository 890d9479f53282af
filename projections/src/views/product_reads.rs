//! The reads of the catalog: lists with filters, search and sorting, facets, and batches for a loader.

use std::collections::BTreeMap;

use event_schemas::{CategoryId, Currency, ProductId, Sku, Slug, VariantId};

use crate::{
    Column as _, Listed, Page, Product, ProductPrice, ProductState, Reader, Row as _, Value, Variant, VariantPrice, ViewError,
    conditions::{Conditions, list},
    page::Order,
};

/// Which products to list; all that is absent does not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProductFilter {
    /// Only in this state.
    pub state: Option<ProductState>,
    /// Only in one of these categories; name the categories below as well if they should count.
    pub category_ids: Option<Vec<CategoryId>>,
    /// Only with all of these attribute values: name and accepted values.
    pub attributes: Vec<(String, Vec<String>)>,
    /// Only with a variant in this currency at a price from (inclusive) and to (inclusive), in minor units.
    pub price: Option<(Currency, Option<i64>, Option<i64>)>,
    /// Only those with at least one variant that can be sold now, or only those without. What was never stocked cannot.
    pub available: Option<bool>,
    /// Only those whose title holds each of these words, or which have a variant of this SKU.
    pub search: Option<String>,
}

/// How to sort products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProductSort {
    /// By title.
    #[default]
    Title,
    /// By the price of the cheapest variant in a currency; products without one come last.
    Price(Currency),
    /// By when they were added.
    Created,
}

/// How many of the listed products are in a category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryFacet {
    /// The category.
    pub category_id: CategoryId,
    /// How many products.
    pub products: u64,
}

/// How many of the listed products have a value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeFacet {
    /// The attribute.
    pub name: String,
    /// The value.
    pub value: String,
    /// How many products.
    pub products: u64,
}

/// How many of the listed products have their lowest price in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFacet {
    /// From (inclusive), in minor units.
    pub from_minor: i64,
    /// To (inclusive), in minor units.
    pub to_minor: i64,
    /// How many products.
    pub products: u64,
}

/// What else could be filtered by, with counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductFacets {
    /// By category, the largest first.
    pub categories: Vec<CategoryFacet>,
    /// By attribute and value, the largest first within an attribute.
    pub attributes: Vec<AttributeFacet>,
    /// By lowest price, in at most five ranges of equal width; empty without a currency.
    pub prices: Vec<PriceFacet>,
}

/// What can be sold of a SKU, over all locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// Units that are there and free; at least 0.
    pub available: i64,
    /// Units that could be sold, backorders included; at least 0.
    pub sellable: i64,
}

const SELLABLE: &str = "EXISTS (SELECT 1 FROM variants v JOIN stock_levels s ON s.sku = v.sku
    WHERE v.product_id = t.product_id AND s.available + s.backorder_limit > 0)";

impl ProductFilter {
    /// The conditions; `in_order` when the list is sorted by what an index has within a state.
    fn conditions(&self, in_order: bool) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.many(self.state.as_ref(), "t.state", in_order);
        let mut has = |source: &str, parameters: Vec<Value<'static>>| conditions.has("product_id", source, parameters);
        if let Some(categories) = &self.category_ids {
            let source = "product_categories AS m WHERE m.category_id IN (SELECT value FROM json_each(?))";
            has(source, vec![categories.value().into_owned()]);
        }
        for (name, values) in &self.attributes {
            let source = "product_attributes AS m WHERE m.name = ? AND m.value IN (SELECT value FROM json_each(?))";
            has(source, vec![name.value().into_owned(), list(values)]);
        }
        if let Some((currency, from, to)) = &self.price {
            let (currency, from, to) = (currency.value().into_owned(), from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
            // Each bound by itself, so that few at either end are found by an index of their own.
            let highest = "product_prices AS m WHERE m.currency = ? AND m.highest_minor >= ?";
            has(highest, vec![currency.clone(), Value::Integer(from)]);
            has("product_prices AS m WHERE m.currency = ? AND m.lowest_minor <= ?", vec![currency, Value::Integer(to)]);
        }
        match self.available {
            Some(true) => conditions.check(SELLABLE, Vec::new()),
            Some(false) => conditions.check(&format!("NOT {SELLABLE}"), Vec::new()),
            None => {}
        }
        if let Some(search) = &self.search {
            search_for(&mut conditions, search);
        }
        conditions
    }
}

fn search_for(conditions: &mut Conditions, search: &str) {
    let mut clauses = Vec::new();
    let mut parameters = vec![Value::Text(search.trim().to_owned().into())];
    for word in search.to_lowercase().split_whitespace().take(16) {
        let escaped = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        clauses.push("t.title_lower LIKE ? ESCAPE '\\'");
        parameters.push(Value::Text(format!("%{escaped}%").into()));
    }
    let title = if clauses.is_empty() { "1 = 1" } else { &clauses.join(" AND ") };
    let clause = format!("(t.product_id IN (SELECT product_id FROM variants WHERE sku = ?) OR ({title}))");
    conditions.check(&clause, parameters);
}

impl Reader<'_> {
    /// A page of the catalog.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn products(
        &self,
        filter: &ProductFilter,
        sort: ProductSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Product>, ViewError> {
        match sort {
            ProductSort::Title => {
                let order = Order::new("title", &["t.title_lower", "t.product_id"], descending);
                self.page(&filter.conditions(true), order, page)
            }
            ProductSort::Created => {
                let order = Order::new("created", &["t.created_at", "t.product_id"], descending);
                self.page(&filter.conditions(true), order, page)
            }
            ProductSort::Price(currency) => self.products_by_price(&filter.conditions(false), currency, descending, page),
        }
    }

    /// Those with a price in the currency, and then those without.
    fn products_by_price(
        &self,
        conditions: &Conditions,
        currency: Currency,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Product>, ViewError> {
        let price = format!("product_prices AS p ON p.product_id = t.product_id AND p.currency = '{currency}'");
        let (priced, unpriced) = (format!("price {currency}"), format!("no price {currency}"));
        let join = format!("JOIN {price}");
        let without = format!("NOT EXISTS (SELECT 1 FROM {})", price.replace(" ON ", " WHERE "));
        let parts = [
            Order {
                beside: Some((ProductPrice::TABLE, &join)),
                ..Order::new(&priced, &["p.lowest_minor", "p.product_id"], descending)
            },
            Order { part: Some(&without), ..Order::new(&unpriced, &["t.product_id"], descending) },
        ];
        self.page_in_parts(conditions, &parts, page)
    }

    /// The product of an id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn product(&self, id: ProductId) -> Result<Option<Product>, ViewError> {
        self.row(&(id,))
    }

    /// The product of a slug, whatever its state.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn product_by_slug(&self, slug: &Slug) -> Result<Option<Product>, ViewError> {
        Ok(self.rows::<Product>("WHERE t.slug = ? ORDER BY t.position DESC LIMIT 1", &[slug.value()])?.pop())
    }

    /// The products of ids, for a batch in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn products_by_id(&self, ids: &[ProductId]) -> Result<BTreeMap<ProductId, Product>, ViewError> {
        let rows = self.rows_of::<Product, _>("product_id", ids, "t.product_id")?;
        Ok(rows.into_iter().map(|product| (product.product_id, product)).collect())
    }

    /// The variants of each product in the order in which they were added, for a batch of products in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn variants_of(&self, products: &[ProductId]) -> Result<BTreeMap<ProductId, Vec<Variant>>, ViewError> {
        let mut found: BTreeMap<ProductId, Vec<Variant>> = BTreeMap::new();
        for variant in self.rows_of::<Variant, _>("product_id", products, "t.product_id, t.created_at, t.variant_id")? {
            found.entry(variant.product_id).or_default().push(variant);
        }
        Ok(found)
    }

    /// The variants of ids, for a batch in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn variants_by_id(&self, ids: &[VariantId]) -> Result<BTreeMap<VariantId, Variant>, ViewError> {
        let rows = self.rows_of::<Variant, _>("variant_id", ids, "t.variant_id")?;
        Ok(rows.into_iter().map(|variant| (variant.variant_id, variant)).collect())
    }

    /// The prices of each variant by currency, for a batch of variants in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn prices_of(&self, variants: &[VariantId]) -> Result<BTreeMap<VariantId, Vec<VariantPrice>>, ViewError> {
        let mut found: BTreeMap<VariantId, Vec<VariantPrice>> = BTreeMap::new();
        for price in self.rows_of::<VariantPrice, _>("variant_id", variants, "t.variant_id, t.currency")? {
            found.entry(price.variant_id).or_default().push(price);
        }
        Ok(found)
    }

    /// The price ranges of each product by currency, for a batch of products in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn price_ranges_of(&self, products: &[ProductId]) -> Result<BTreeMap<ProductId, Vec<ProductPrice>>, ViewError> {
        let mut found: BTreeMap<ProductId, Vec<ProductPrice>> = BTreeMap::new();
        for price in self.rows_of::<ProductPrice, _>("product_id", products, "t.product_id, t.currency")? {
            found.entry(price.product_id).or_default().push(price);
        }
        Ok(found)
    }

    /// What can be sold of each SKU, for a batch in one statement. A SKU that was never stocked is absent:
    /// nothing of it can be sold.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn availability_of(&self, skus: &[Sku]) -> Result<BTreeMap<Sku, Availability>, ViewError> {
        let mut found: BTreeMap<Sku, Availability> = BTreeMap::new();
        for (sku, levels) in self.stock_of(skus)? {
            // A location that is oversold on backorder takes nothing from another that has units.
            let sum = |units: &dyn Fn(&crate::StockLevel) -> i64| {
                levels.iter().fold(0_i64, |sum, level| sum.saturating_add(units(level).max(0)))
            };
            let available = sum(&|level| level.available);
            let sellable = sum(&|level| level.available.saturating_add(level.backorder_limit));
            found.insert(sku, Availability { available, sellable });
        }
        Ok(found)
    }

    /// Counts of the products that a filter lists, by what else could be filtered by; prices in one currency.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn product_facets(&self, filter: &ProductFilter, currency: Option<Currency>) -> Result<ProductFacets, ViewError> {
        self.connection.read_whole();
        let conditions = filter.conditions(false);
        let listed = format!("SELECT t.product_id FROM products AS t {}", conditions.sql());
        let mut facets = ProductFacets::default();
        let sql = format!(
            "SELECT category_id, count(*) FROM product_categories WHERE product_id IN ({listed})
             GROUP BY 1 ORDER BY 2 DESC, 1"
        );
        self.each(&sql, &conditions.parameters(), |at| {
            let (category_id, products) = (read(at(0))?, read(at(1))?);
            facets.categories.push(CategoryFacet { category_id, products });
            Ok(())
        })?;
        let sql = format!(
            "SELECT name, value, count(*) FROM product_attributes WHERE product_id IN ({listed})
             GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2"
        );
        self.each(&sql, &conditions.parameters(), |at| {
            facets.attributes.push(AttributeFacet { name: read(at(0))?, value: read(at(1))?, products: read(at(2))? });
            Ok(())
        })?;
        if let Some(currency) = currency {
            facets.prices = self.price_facets(&listed, &conditions, currency)?;
        }
        Ok(facets)
    }

    fn price_facets(&self, listed: &str, conditions: &Conditions, currency: Currency) -> Result<Vec<PriceFacet>, ViewError> {
        let sql = format!(
            "WITH prices AS (SELECT lowest_minor AS price FROM product_prices
                WHERE currency = '{currency}' AND product_id IN ({listed})),
             span AS (SELECT min(price) AS low, (max(price) - min(price)) / 5 + 1 AS width FROM prices)
             SELECT low + (price - low) / width * width, low + (price - low) / width * width + width - 1, count(*)
             FROM prices, span GROUP BY 1, 2 ORDER BY 1"
        );
        let mut found = Vec::new();
        self.each(&sql, &conditions.parameters(), |at| {
            found.push(PriceFacet { from_minor: read(at(0))?, to_minor: read(at(1))?, products: read(at(2))? });
            Ok(())
        })?;
        Ok(found)
    }
}

fn read<T: crate::Column>(value: Value<'_>) -> Result<T, ViewError> {
    T::read(value).map_err(|error| ViewError::Damaged { table: "products".to_owned(), reason: error.to_string() })
}
