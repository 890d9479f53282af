//! Categories and products of Olist. Its products have no names: they are called by their category and the start of their
//! id.

use std::collections::BTreeMap;

use event_schemas::{CategoryCreated, CategoryEvent, CategoryId, Money, Sku, Slug, StreamId, Timestamp};

use crate::import::{
    catalog::{ImportedProduct, claim, happened, product_changes},
    document::Document,
    ids::{Slugs, fingerprint, id_of},
    olist::{
        Market, NAME,
        tables::{TableRow, Tables},
    },
};

/// How products are called, and where they belong.
#[derive(Debug, Default)]
pub(crate) struct Titles {
    by_sku: BTreeMap<Sku, (String, Option<CategoryId>)>,
}

impl Titles {
    /// What a product is called; its SKU when the source does not list it.
    pub fn of<'a>(&'a self, sku: &'a Sku) -> &'a str {
        self.by_sku.get(sku).map_or(sku.as_str(), |(title, _)| title)
    }

    /// The category that its sales count under.
    pub fn category(&self, sku: &Sku) -> Option<CategoryId> {
        self.by_sku.get(sku).and_then(|(_, category)| *category)
    }
}

/// The catalog as documents, categories first, and the titles.
pub(crate) fn catalog(tables: &Tables, market: &Market, at: Timestamp) -> (Vec<Document>, Titles) {
    let mut names: BTreeMap<&str, Option<&TableRow>> = BTreeMap::new();
    names.extend(tables.products.values().map(|row| (row.field(1), None)));
    names.extend(tables.categories.values().map(|row| (row.field(0), Some(row))));
    names.remove("");
    let mut documents: Vec<Document> = names.iter().filter_map(|(name, row)| category(name, *row, at)).collect();
    let prices = first_prices(tables);
    let mut titles = Titles::default();
    let mut slugs = Slugs::default();
    for (key, row) in &tables.products {
        let Ok(sku) = Sku::new(key.as_str()) else { continue };
        let name = row.field(1);
        let english = names.get(name).copied().flatten().map_or(name, |row| row.field(1));
        let title = format!("{} {}", readable(english), key.chars().take(8).collect::<String>());
        let category_id = (!name.is_empty()).then(|| category_id(name));
        titles.by_sku.insert(sku.clone(), (title.clone(), category_id));
        let Some(slug) = slugs.next(&title, &sku) else { continue };
        let product = ImportedProduct {
            slug,
            title,
            description: String::new(),
            categories: category_id.into_iter().collect(),
            price: prices.get(key.as_str()).map(|minor| Money::new(*minor, market.currency)),
            weight_grams: row.field(5).parse().unwrap_or(0),
            sku,
        };
        let mut document =
            Document::without_rows(format!("product|{key}"), fingerprint([key.as_str()]), product_changes(NAME, product, at));
        document.rows = vec![row.number];
        document.tally.count("rows of products");
        documents.push(document);
    }
    (documents, titles)
}

fn category_id(name: &str) -> CategoryId {
    CategoryId(id_of(NAME, "category", name))
}

fn category(name: &str, translation: Option<&TableRow>, at: Timestamp) -> Option<Document> {
    let english = translation.map_or(name, |row| row.field(1));
    let slug = Slug::new(english.replace('_', "-").to_lowercase()).ok()?;
    let id = category_id(name);
    let stream = StreamId::new(CategoryEvent::AGGREGATE, id);
    let created = CategoryCreated { category_id: id, name: readable(english), slug: slug.clone(), parent_id: None };
    let claimed = claim("category-slug", slug.as_str(), &stream, at);
    let changes = vec![happened(&stream, CategoryEvent::from(created), at), claimed];
    let mut document = Document::without_rows(format!("category|{name}"), fingerprint([name]), changes);
    if let Some(row) = translation {
        document.rows = vec![row.number];
        document.tally.count("rows of categories");
    }
    Some(document)
}

/// `health_beauty` as people read it: `Health beauty`.
fn readable(name: &str) -> String {
    let mut words = name.replace('_', " ").chars().collect::<Vec<_>>();
    match words.first_mut() {
        Some(first) => first.make_ascii_uppercase(),
        None => return "Product".to_owned(),
    }
    words.into_iter().collect()
}

/// The price at which each product was sold first, in centavos.
fn first_prices(tables: &Tables) -> BTreeMap<&str, i64> {
    let mut prices: BTreeMap<&str, (&str, i64)> = BTreeMap::new();
    for item in tables.items.values().flatten() {
        // The shipping limit is the only date of an item; as text it sorts as time.
        let (product, at) = (item.field(2), item.field(4));
        let Some(minor) = item.amount(5).ok().and_then(|price| price.minor()) else { continue };
        let first = prices.entry(product).or_insert((at, minor));
        if at < first.0 {
            *first = (at, minor);
        }
    }
    prices.into_iter().map(|(product, (_, minor))| (product, minor)).collect()
}
