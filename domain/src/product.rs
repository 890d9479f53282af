//! A product with its variants and their prices, from draft to archive.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{
    AttributeValue, CategoryId, Currency, Money, ProductArchived, ProductAttributesSet, ProductCategorised, ProductCreated,
    ProductDetailsChanged, ProductEvent, ProductPublished, Sku, Timestamp, VariantAdded, VariantId, VariantPriceSet,
    VariantRemoved,
};
use serde::{Deserialize, Serialize};

/// The most variants of one product.
pub const MAX_VARIANTS: usize = 250;
/// The most characters of a title or a variant's name.
pub const MAX_NAME_CHARS: usize = 200;
/// The most characters of a description.
pub const MAX_DESCRIPTION_CHARS: usize = 20_000;
/// The most categories of one product.
pub const MAX_CATEGORIES: usize = 20;
/// The most attributes of one product.
pub const MAX_ATTRIBUTES: usize = 100;

/// A price for a variant in one currency.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPrice {
    /// The price of one unit; zero for what is given away.
    pub price: Money,
    /// From when it holds; at once if absent.
    pub valid_from: Option<Timestamp>,
    /// Until when it holds (exclusive); without end if absent.
    pub valid_until: Option<Timestamp>,
}

/// A variant to be added, with its prices.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVariant {
    /// Its id.
    pub variant_id: VariantId,
    /// Its stock keeping unit.
    pub sku: Sku,
    /// What tells it from its siblings, such as `100 g`; may be empty for an only variant.
    pub name: String,
    /// Its options, such as `size` → `100 g`.
    pub options: BTreeMap<String, String>,
    /// Shipping weight in grams.
    pub weight_grams: u32,
    /// Its prices.
    pub prices: Vec<NewPrice>,
}

/// What can be asked of a product.
#[derive(Debug, Clone, PartialEq)]
pub enum ProductCommand {
    /// Add it to the catalog, not yet for sale.
    Create {
        /// The product.
        product: ProductCreated,
        /// Its variants.
        variants: Vec<NewVariant>,
    },
    /// Change its texts or tax category.
    ChangeDetails(ProductDetailsChanged),
    /// Set its categories.
    Categorise {
        /// All its categories; the first is the one that sales count under.
        category_ids: Vec<CategoryId>,
    },
    /// Set its attributes.
    SetAttributes {
        /// All its attributes.
        attributes: BTreeMap<String, AttributeValue>,
    },
    /// Add a variant.
    AddVariant(NewVariant),
    /// Take a variant out.
    RemoveVariant {
        /// The variant.
        variant_id: VariantId,
    },
    /// Give a variant a price, replacing the one in the same currency.
    SetPrice {
        /// The variant.
        variant_id: VariantId,
        /// The price.
        price: NewPrice,
    },
    /// Put it on sale.
    Publish,
    /// Take it off sale for good.
    Archive {
        /// Why.
        reason: String,
    },
}

/// Why a command to a product was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProductRefusal {
    /// There is no such product.
    #[error("there is no such product")]
    NotFound,
    /// The id is in use.
    #[error("the product exists already")]
    AlreadyExists,
    /// An archived product stays as it is.
    #[error("the product is archived")]
    Archived,
    /// The product is on sale already.
    #[error("the product is published already")]
    AlreadyPublished,
    /// A product goes on sale with something to buy.
    #[error("a product needs a variant with a price before it is published")]
    NothingToSell,
    /// The product has no such variant.
    #[error("the product has no such variant")]
    VariantNotFound,
    /// The product has the variant or its SKU already.
    #[error("the product has a variant with id {variant_id} or SKU {sku} already")]
    VariantExists {
        /// The variant's id.
        variant_id: VariantId,
        /// Its SKU.
        sku: Sku,
    },
    /// A published product keeps something to buy.
    #[error("the last variant of a published product cannot be removed; archive the product instead")]
    LastVariant,
    /// A price is not negative, and ends after it begins.
    #[error("a price must not be negative and must end after it begins")]
    InvalidPrice,
    /// A text is empty or too long.
    #[error("the {field} must have 1 to {limit} characters")]
    InvalidText {
        /// Which text.
        field: &'static str,
        /// Its limit in characters.
        limit: usize,
    },
    /// There are too many of something.
    #[error("a product has at most {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The product is not on sale.
    #[error("{sku} is not for sale")]
    NotForSale {
        /// The SKU.
        sku: Sku,
    },
    /// The variant has no price in the currency at the moment.
    #[error("{sku} has no price in {currency} at the moment")]
    NoPrice {
        /// The SKU.
        sku: Sku,
        /// The currency.
        currency: Currency,
    },
}

impl ProductRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "PRODUCT_NOT_FOUND",
            Self::AlreadyExists => "PRODUCT_EXISTS",
            Self::Archived => "PRODUCT_ARCHIVED",
            Self::AlreadyPublished => "PRODUCT_ALREADY_PUBLISHED",
            Self::NothingToSell => "NOTHING_TO_SELL",
            Self::VariantNotFound => "VARIANT_NOT_FOUND",
            Self::VariantExists { .. } => "VARIANT_EXISTS",
            Self::LastVariant => "LAST_VARIANT",
            Self::InvalidPrice => "INVALID_PRICE",
            Self::InvalidText { .. } => "INVALID_TEXT",
            Self::TooMany { .. } => "TOO_MANY",
            Self::NotForSale { .. } => "NOT_FOR_SALE",
            Self::NoPrice { .. } => "NO_PRICE",
        }
    }
}

/// Where a product stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    #[default]
    Absent,
    Draft,
    Published,
    Archived,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Price {
    minor: i64,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Variant {
    sku: Sku,
    name: String,
    weight_grams: u32,
    prices: BTreeMap<Currency, Price>,
}

/// What a shopper gets for a price, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The variant.
    pub variant_id: VariantId,
    /// Product and variant name.
    pub title: String,
    /// The price of one unit.
    pub unit_price: Money,
    /// The category that the sale counts under.
    pub category_id: Option<CategoryId>,
    /// The class of goods that tax rates are looked up by.
    pub tax_category: String,
    /// Shipping weight in grams.
    pub weight_grams: u32,
}

/// A product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Product {
    stage: Stage,
    details: Option<ProductDetailsChanged>,
    category_ids: Vec<CategoryId>,
    attributes: BTreeMap<String, AttributeValue>,
    variants: BTreeMap<VariantId, Variant>,
}

impl Product {
    /// Its texts and tax category, unless it does not exist.
    pub fn details(&self) -> Option<&ProductDetailsChanged> {
        self.details.as_ref()
    }

    /// Its variants.
    pub fn variant_ids(&self) -> impl Iterator<Item = VariantId> + '_ {
        self.variants.keys().copied()
    }

    /// The SKU of a variant.
    pub fn sku_of(&self, variant_id: VariantId) -> Option<&Sku> {
        self.variants.get(&variant_id).map(|variant| &variant.sku)
    }

    /// What a shopper gets for a SKU of this product, in a currency, at a moment.
    ///
    /// # Errors
    /// If the product is not on sale or the SKU has no price then.
    pub fn offer(&self, sku: &Sku, currency: Currency, now: Timestamp) -> Result<Offer, ProductRefusal> {
        let not_for_sale = || ProductRefusal::NotForSale { sku: sku.clone() };
        let (variant_id, variant) = self.variants.iter().find(|(_, variant)| variant.sku == *sku).ok_or_else(not_for_sale)?;
        let Some(details) = self.details.as_ref().filter(|_| self.stage == Stage::Published) else {
            return Err(not_for_sale());
        };
        let holds = |price: &&Price| price.from.is_none_or(|from| from <= now) && price.until.is_none_or(|until| now < until);
        let price = variant.prices.get(&currency).filter(holds);
        let price = price.ok_or_else(|| ProductRefusal::NoPrice { sku: sku.clone(), currency })?;
        let title = if variant.name.is_empty() || variant.name == details.title {
            details.title.clone()
        } else {
            format!("{}, {}", details.title, variant.name)
        };
        Ok(Offer {
            variant_id: *variant_id,
            title,
            unit_price: Money::new(price.minor, currency),
            category_id: self.category_ids.first().copied(),
            tax_category: details.tax_category.clone(),
            weight_grams: variant.weight_grams,
        })
    }

    /// The rules. Pure: no clock, no I/O, no randomness. What changes nothing gives no event.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: ProductCommand) -> Result<Vec<ProductEvent>, ProductRefusal> {
        use ProductCommand::{
            AddVariant, Archive, Categorise, ChangeDetails, Create, Publish, RemoveVariant, SetAttributes, SetPrice,
        };
        match (self.stage, command) {
            (Stage::Absent, Create { product, variants }) => created(product, variants),
            (Stage::Absent, _) => Err(ProductRefusal::NotFound),
            (_, Create { .. }) => Err(ProductRefusal::AlreadyExists),
            (Stage::Archived, _) => Err(ProductRefusal::Archived),
            (Stage::Published, Publish) => Err(ProductRefusal::AlreadyPublished),
            (Stage::Draft, Publish) => {
                let sellable = self.variants.values().any(|variant| !variant.prices.is_empty());
                if sellable { Ok(vec![ProductPublished {}.into()]) } else { Err(ProductRefusal::NothingToSell) }
            }
            (_, ChangeDetails(details)) => {
                must_be_text("title", &details.title, MAX_NAME_CHARS)?;
                must_be_short("description", &details.description, MAX_DESCRIPTION_CHARS)?;
                must_be_text("tax category", &details.tax_category, MAX_NAME_CHARS)?;
                Ok(if self.details.as_ref() == Some(&details) { vec![] } else { vec![details.into()] })
            }
            (_, Categorise { category_ids }) => {
                must_be_few("categories", category_ids.len(), MAX_CATEGORIES)?;
                let same = self.category_ids == category_ids;
                Ok(if same { vec![] } else { vec![ProductCategorised { category_ids }.into()] })
            }
            (_, SetAttributes { attributes }) => {
                must_be_few("attributes", attributes.len(), MAX_ATTRIBUTES)?;
                let same = self.attributes == attributes;
                Ok(if same { vec![] } else { vec![ProductAttributesSet { attributes }.into()] })
            }
            (_, AddVariant(variant)) => {
                must_be_few("variants", self.variants.len() + 1, MAX_VARIANTS)?;
                let twin = self.variants.values().any(|other| other.sku == variant.sku);
                if twin || self.variants.contains_key(&variant.variant_id) {
                    return Err(ProductRefusal::VariantExists { variant_id: variant.variant_id, sku: variant.sku });
                }
                variant_added(variant)
            }
            (stage, RemoveVariant { variant_id }) => {
                let sku = self.sku_of(variant_id).ok_or(ProductRefusal::VariantNotFound)?.clone();
                if stage == Stage::Published && self.variants.len() == 1 {
                    return Err(ProductRefusal::LastVariant);
                }
                Ok(vec![VariantRemoved { variant_id, sku }.into()])
            }
            (_, SetPrice { variant_id, price }) => {
                self.sku_of(variant_id).ok_or(ProductRefusal::VariantNotFound)?;
                Ok(vec![price_set(variant_id, price)?])
            }
            (_, Archive { reason }) => Ok(vec![ProductArchived { reason }.into()]),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &ProductEvent) {
        match event {
            ProductEvent::ProductCreated(e) => {
                self.stage = Stage::Draft;
                self.details = Some(ProductDetailsChanged {
                    title: e.title.clone(),
                    slug: e.slug.clone(),
                    description: e.description.clone(),
                    tax_category: e.tax_category.clone(),
                });
                self.category_ids.clone_from(&e.category_ids);
                self.attributes.clone_from(&e.attributes);
            }
            ProductEvent::ProductDetailsChanged(e) => self.details = Some(e.clone()),
            ProductEvent::ProductCategorised(e) => self.category_ids.clone_from(&e.category_ids),
            ProductEvent::ProductAttributesSet(e) => self.attributes.clone_from(&e.attributes),
            ProductEvent::VariantAdded(e) => {
                let (sku, name) = (e.sku.clone(), e.name.clone());
                let variant = Variant { sku, name, weight_grams: e.weight_grams, prices: BTreeMap::new() };
                self.variants.insert(e.variant_id, variant);
            }
            ProductEvent::VariantRemoved(e) => {
                self.variants.remove(&e.variant_id);
            }
            ProductEvent::VariantPriceSet(e) => {
                if let Some(variant) = self.variants.get_mut(&e.variant_id) {
                    let price = Price { minor: e.price.minor, from: e.valid_from, until: e.valid_until };
                    variant.prices.insert(e.price.currency, price);
                }
            }
            ProductEvent::ProductPublished(_) => self.stage = Stage::Published,
            ProductEvent::ProductArchived(_) => self.stage = Stage::Archived,
        }
    }
}

fn created(product: ProductCreated, variants: Vec<NewVariant>) -> Result<Vec<ProductEvent>, ProductRefusal> {
    must_be_text("title", &product.title, MAX_NAME_CHARS)?;
    must_be_short("description", &product.description, MAX_DESCRIPTION_CHARS)?;
    must_be_text("tax category", &product.tax_category, MAX_NAME_CHARS)?;
    must_be_few("categories", product.category_ids.len(), MAX_CATEGORIES)?;
    must_be_few("attributes", product.attributes.len(), MAX_ATTRIBUTES)?;
    must_be_few("variants", variants.len(), MAX_VARIANTS)?;
    let (mut ids, mut skus) = (BTreeSet::new(), BTreeSet::new());
    let mut events = vec![product.into()];
    for variant in variants {
        if !ids.insert(variant.variant_id) || !skus.insert(variant.sku.clone()) {
            return Err(ProductRefusal::VariantExists { variant_id: variant.variant_id, sku: variant.sku });
        }
        events.extend(variant_added(variant)?);
    }
    Ok(events)
}

fn variant_added(variant: NewVariant) -> Result<Vec<ProductEvent>, ProductRefusal> {
    let NewVariant { variant_id, sku, name, options, weight_grams, prices } = variant;
    must_be_short("variant name", &name, MAX_NAME_CHARS)?;
    must_be_few("options", options.len(), MAX_ATTRIBUTES)?;
    let mut events = vec![VariantAdded { variant_id, sku, name, options, weight_grams }.into()];
    for price in prices {
        events.push(price_set(variant_id, price)?);
    }
    Ok(events)
}

fn price_set(variant_id: VariantId, price: NewPrice) -> Result<ProductEvent, ProductRefusal> {
    let NewPrice { price, valid_from, valid_until } = price;
    let backwards = matches!((valid_from, valid_until), (Some(from), Some(until)) if until <= from);
    if price.minor < 0 || backwards {
        return Err(ProductRefusal::InvalidPrice);
    }
    Ok(VariantPriceSet { variant_id, price, valid_from, valid_until }.into())
}

fn must_be_text(field: &'static str, text: &str, limit: usize) -> Result<(), ProductRefusal> {
    if text.trim().is_empty() {
        return Err(ProductRefusal::InvalidText { field, limit });
    }
    must_be_short(field, text, limit)
}

fn must_be_short(field: &'static str, text: &str, limit: usize) -> Result<(), ProductRefusal> {
    if text.chars().count() > limit { Err(ProductRefusal::InvalidText { field, limit }) } else { Ok(()) }
}

fn must_be_few(what: &'static str, count: usize, limit: usize) -> Result<(), ProductRefusal> {
    if count > limit { Err(ProductRefusal::TooMany { what, limit }) } else { Ok(()) }
}
