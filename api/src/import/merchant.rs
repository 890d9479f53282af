//! A merchant's own data from CSV files with a documented header. Unlike a past that another system recorded, these are
//! wishes: the shop's rules apply, and a row that they refuse is told with their words.

use std::{collections::BTreeMap, path::Path};

use csv::StringRecord;
use domain::{Change, CreateProduct, Decision, NewPrice, NewVariant, Product, ReceiveStock, Refusal, World, stream_of};
use event_schemas::{Currency, LocationId, Money, ProductCreated, ProductEvent, ProductPublished, Sku, StockId};

use crate::import::{
    ImportError, Unrepresented,
    catalog::product_ids,
    document::{Document, Piece, Source},
    ids::{Slugs, fingerprint},
    rows::{Layout, Rows, SourceRow},
};

/// The columns of a file of products. Empty fields: description, price (then it is not put on sale), weight.
pub(crate) const PRODUCTS: [&str; 6] = ["sku", "title", "description", "price", "currency", "weight_grams"];
/// The columns of a file of stock. Empty fields: reference.
pub(crate) const STOCK: [&str; 4] = ["sku", "location", "quantity", "reference"];
/// The source's name in actors, keys and ids.
const NAME: &str = "csv";

/// A file of products with one variant each.
///
/// # Errors
/// When the file cannot be read or has another header.
pub(crate) fn products(path: &Path) -> Result<Source, ImportError> {
    let mut slugs = Slugs::default();
    read(path, &PRODUCTS, move |fields| product(fields, &mut slugs))
}

/// A file of goods that came in at the store's locations. The same SKU, location and reference twice is the same delivery.
///
/// # Errors
/// When the file cannot be read or has another header.
pub(crate) fn stock(path: &Path, locations: &[LocationId]) -> Result<Source, ImportError> {
    let locations = locations.to_vec();
    read(path, &STOCK, move |fields| delivery(fields, &locations))
}

/// What a row asks for: the key that makes it one thing, what it is counted as, and the decision.
type Wish = (String, &'static str, Box<dyn Decision>);

fn read(
    path: &Path,
    header: &[&str],
    mut wish: impl FnMut(&StringRecord) -> Result<Wish, String> + Send + 'static,
) -> Result<Source, ImportError> {
    let mut rows = Rows::open(path, header, Layout::FieldsMayWrap)?;
    let mut rows_read = 0;
    while rows.next()?.is_some() {
        rows_read += 1;
    }
    let mut rows = Rows::open(path, header, Layout::FieldsMayWrap)?;
    let pieces = std::iter::from_fn(move || rows.next().transpose());
    let pieces = pieces.map(move |row| row.map(|row| piece(row, &mut wish)));
    let (damaged, remarks) = (Vec::new(), BTreeMap::new());
    Ok(Source { name: NAME, currency: "", rows_read, damaged, remarks, pieces: Box::new(pieces) })
}

fn piece(row: SourceRow, wish: &mut impl FnMut(&StringRecord) -> Result<Wish, String>) -> Piece {
    let number = row.number;
    let wished = row.fields.and_then(|fields| {
        let (key, became, rule) = wish(&fields)?;
        Ok(Document::wish(key, fingerprint(fields.iter()), number, became, rule))
    });
    match wished {
        Ok(document) => Piece::Document(Box::new(document)),
        Err(reason) => Piece::Unrepresented(vec![Unrepresented { row: number, reason }]),
    }
}

fn field(fields: &StringRecord, index: usize) -> &str {
    fields.get(index).unwrap_or_default().trim()
}

/// Adds a product and, when it has a price, puts it on sale.
#[derive(Debug)]
struct ListProduct {
    create: CreateProduct,
    publish: bool,
}

impl Decision for ListProduct {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let mut changes = self.create.decide(world)?;
        if self.publish {
            let stream = stream_of::<Product>(self.create.product.product_id);
            changes.push(Change::now(stream, ProductEvent::from(ProductPublished {})));
        }
        Ok(changes)
    }
}

fn product(fields: &StringRecord, slugs: &mut Slugs) -> Result<Wish, String> {
    let sku = Sku::new(field(fields, 0)).map_err(|error| error.to_string())?;
    let title = field(fields, 1).to_owned();
    let (product_id, variant_id) = product_ids(NAME, &sku);
    let price = price(field(fields, 3), field(fields, 4))?;
    let weight_grams = match field(fields, 5) {
        "" => 0,
        text => text.parse().map_err(|_| format!("the weight `{}` is not a whole number of grams", cut(text)))?,
    };
    let product = ProductCreated {
        product_id,
        slug: slugs.next(&title, &sku).ok_or("title and SKU make no name for a URL")?,
        title,
        description: field(fields, 2).to_owned(),
        category_ids: Vec::new(),
        attributes: BTreeMap::new(),
        tax_category: "standard".to_owned(),
    };
    let publish = price.is_some();
    let prices = price.into_iter().map(|price| NewPrice { price, valid_from: None, valid_until: None }).collect();
    let key = format!("product|{sku}");
    let variant = NewVariant { variant_id, sku, name: String::new(), options: BTreeMap::new(), weight_grams, prices };
    let create = CreateProduct { product, variants: vec![variant] };
    Ok((key, "rows of products", Box::new(ListProduct { create, publish })))
}

fn price(amount: &str, currency: &str) -> Result<Option<Money>, String> {
    if amount.is_empty() {
        return Ok(None);
    }
    let currency = Currency::new(currency).map_err(|error| error.to_string())?;
    let price = Money::from_decimal(amount, currency).map_err(|error| error.to_string())?;
    if price.minor < 0 { Err("the price is below zero".to_owned()) } else { Ok(Some(price)) }
}

fn delivery(fields: &StringRecord, locations: &[LocationId]) -> Result<Wish, String> {
    let sku = Sku::new(field(fields, 0)).map_err(|error| error.to_string())?;
    let location = LocationId::new(field(fields, 1)).map_err(|error| error.to_string())?;
    if !locations.contains(&location) {
        return Err(format!("the store has no location `{location}`"));
    }
    let quantity = field(fields, 2);
    let quantity = quantity.parse().map_err(|_| format!("the quantity `{}` is not a whole number of units", cut(quantity)))?;
    let reference = Some(field(fields, 3).to_owned()).filter(|text| !text.is_empty());
    let stock = StockId { sku, location };
    let key = format!("stock|{stock}|{}", field(fields, 3));
    Ok((key, "rows of stock", Box::new(ReceiveStock { stock, quantity, reference })))
}

/// Text of the file as it may stand in a message.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::StoreConfig;
    use engine::{Engine, Limits, SystemClock, SystemIds};
    use event_store::MemoryLog;
    use vault::{Persons, Vault, VaultKey};

    use crate::import::{CsvKind, ImportSource, Reconciliation, import};

    async fn shop() -> Engine {
        let log = Arc::new(MemoryLog::default());
        Engine::start(log, Arc::new(SystemClock), Arc::new(SystemIds), Limits::default()).await.unwrap()
    }

    async fn imported(engine: &Engine, kind: CsvKind, text: &str) -> Reconciliation {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.csv");
        std::fs::write(&file, text).unwrap();
        let vault = format!("sqlite:{}", folder.path().join("vault.db").display());
        let persons = Persons::new(Vault::open(&vault, VaultKey::generate()).await.unwrap());
        import(&ImportSource::Csv { kind, file }, &StoreConfig::default(), engine, &persons, &mut |_| ()).await.unwrap()
    }

    const TEA: &str = "sku,title,description,price,currency,weight_grams\n\
        TEA-100,Green tea,\"From\nUji\",4.50,EUR,120\n\
        TIN-1,Tea tin,,,,\n";

    #[tokio::test]
    async fn products_are_listed_and_those_with_a_price_are_on_sale() {
        let engine = shop().await;
        let first = imported(&engine, CsvKind::Products, TEA).await;
        assert_eq!(
            (first.events()["ProductCreated"], first.events()["ProductPublished"], first.events()["ClaimTaken"]),
            (2, 1, 4)
        );
        assert!(first.unrepresented().is_empty() && first.accounts_for_every_row());
        assert_eq!(imported(&engine, CsvKind::Products, TEA).await.events_written(), 0);
    }

    #[tokio::test]
    async fn a_row_that_changed_since_or_breaks_a_rule_is_told_and_changes_nothing() {
        let engine = shop().await;
        imported(&engine, CsvKind::Products, TEA).await;
        let rows = TEA.replace("4.50", "5.00") + "TEA-200,,,1.00,EUR,\nTEA-300,Tea,,1.005,EUR,\nTEA-400,Tea,,1,EUR,heavy\n";
        let again = imported(&engine, CsvKind::Products, &rows).await;
        let told: Vec<_> = again.unrepresented().iter().map(|lost| (lost.row, lost.reason.as_str())).collect();
        assert_eq!(told[0], (1, "an earlier import brought in another version of `product|TEA-100`"));
        assert_eq!(told[1].0, 3, "a product needs a title: {told:?}");
        assert_eq!(told[2], (4, "`1.005` is not an amount of EUR"));
        assert_eq!(told[3], (5, "the weight `heavy` is not a whole number of grams"));
        assert_eq!(again.events_written(), 0);
    }

    #[tokio::test]
    async fn goods_come_in_once_per_delivery() {
        let engine = shop().await;
        let text = "sku,location,quantity,reference\nTEA-100,main,40,D-17\nTEA-100,main,0,D-18\nTEA-100,Main Hall,1,\nTEA-100,attic,1,\n";
        let first = imported(&engine, CsvKind::Stock, text).await;
        assert_eq!(first.events()["StockReceived"], 1);
        assert_eq!(first.unrepresented().iter().map(|lost| lost.row).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(first.unrepresented()[2].reason, "the store has no location `attic`");
        assert!(first.accounts_for_every_row());
        assert_eq!(imported(&engine, CsvKind::Stock, text).await.events_written(), 0);
    }
}
