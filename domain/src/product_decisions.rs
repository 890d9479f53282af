//! What staff decide about products.

use std::collections::BTreeMap;

use event_schemas::{AttributeValue, CategoryId, ProductCreated, ProductDetailsChanged, ProductId, Slug, StreamId, VariantId};

use crate::{
    Category, CategoryRefusal, Change, Claim, ClaimCommand, ClaimName, Decision, NewPrice, NewVariant, Product, ProductCommand,
    ProductRefusal, Refusal, World, stream_of,
};

fn product_changes(world: &World<'_>, id: ProductId, command: ProductCommand) -> Result<Vec<Change>, Refusal> {
    Ok(Change::all(stream_of::<Product>(id), world.get::<Product>(id).decide(command)?))
}

/// Takes a unique name for a stream.
pub(crate) fn take(world: &World<'_>, name: ClaimName, holder: &StreamId) -> Result<Vec<Change>, Refusal> {
    let (stream, claim) = (stream_of::<Claim>(&name), world.get::<Claim>(&name));
    Ok(Change::all(stream, claim.decide(ClaimCommand::Take { name, holder: holder.clone() })?))
}

/// Gives a unique name of a stream back.
pub(crate) fn release(world: &World<'_>, name: &ClaimName, holder: &StreamId) -> Result<Vec<Change>, Refusal> {
    let claim = world.get::<Claim>(name);
    Ok(Change::all(stream_of::<Claim>(name), claim.decide(ClaimCommand::Release { holder: holder.clone() })?))
}

fn must_be_open(world: &World<'_>, category_ids: &[CategoryId]) -> Result<(), Refusal> {
    let categories: Vec<_> = category_ids.iter().map(|id| world.get::<Category>(id)).collect();
    match categories.iter().all(|category| category.is_open()) {
        true => Ok(()),
        false => Err(CategoryRefusal::NotFound.into()),
    }
}

/// Add a product to the catalog, not yet for sale; its SKUs and its slug must be free.
#[derive(Debug, Clone)]
pub struct CreateProduct {
    /// The product.
    pub product: ProductCreated,
    /// Its variants with their prices.
    pub variants: Vec<NewVariant>,
}

impl Decision for CreateProduct {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { product, variants } = self.clone();
        let stream = stream_of::<Product>(product.product_id);
        let names = variants.iter().map(|variant| ClaimName::Sku(variant.sku.clone()));
        let names: Vec<_> = names.chain([ClaimName::Slug(product.slug.clone())]).collect();
        // All reads come before the first refusal, so that what is missing is brought in one go.
        let open = must_be_open(world, &product.category_ids);
        let claims: Vec<_> = names.into_iter().map(|name| take(world, name, &stream)).collect();
        let mut changes = product_changes(world, product.product_id, ProductCommand::Create { product, variants })?;
        open?;
        for claim in claims {
            changes.extend(claim?);
        }
        Ok(changes)
    }
}

/// Change texts, tax category or attributes of a product; absent fields stay as they are.
#[derive(Debug, Clone)]
pub struct UpdateProduct {
    /// The product.
    pub product_id: ProductId,
    /// Its name.
    pub title: Option<String>,
    /// Its name in the URL; the old one becomes free.
    pub slug: Option<Slug>,
    /// Its description.
    pub description: Option<String>,
    /// The class of goods that tax rates are looked up by.
    pub tax_category: Option<String>,
    /// All its attributes.
    pub attributes: Option<BTreeMap<String, AttributeValue>>,
}

impl Decision for UpdateProduct {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let stream = stream_of::<Product>(self.product_id);
        let old = world.get::<Product>(self.product_id).details().ok_or(ProductRefusal::NotFound)?.clone();
        let new = ProductDetailsChanged {
            title: self.title.clone().unwrap_or(old.title),
            slug: self.slug.clone().unwrap_or_else(|| old.slug.clone()),
            description: self.description.clone().unwrap_or(old.description),
            tax_category: self.tax_category.clone().unwrap_or(old.tax_category),
        };
        let slug = new.slug.clone();
        let mut changes = product_changes(world, self.product_id, ProductCommand::ChangeDetails(new))?;
        if let Some(attributes) = self.attributes.clone() {
            changes.extend(product_changes(world, self.product_id, ProductCommand::SetAttributes { attributes })?);
        }
        if slug != old.slug {
            changes.extend(take(world, ClaimName::Slug(slug), &stream)?);
            changes.extend(release(world, &ClaimName::Slug(old.slug), &stream)?);
        }
        Ok(changes)
    }
}

/// Set all categories of a product; the first is the one that sales count under.
#[derive(Debug, Clone)]
pub struct SetProductCategories {
    /// The product.
    pub product_id: ProductId,
    /// Its categories.
    pub category_ids: Vec<CategoryId>,
}

impl Decision for SetProductCategories {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let open = must_be_open(world, &self.category_ids);
        let category_ids = self.category_ids.clone();
        let changes = product_changes(world, self.product_id, ProductCommand::Categorise { category_ids })?;
        open.map(|()| changes)
    }
}

/// Add a variant to a product; its SKU must be free.
#[derive(Debug, Clone)]
pub struct AddVariant {
    /// The product.
    pub product_id: ProductId,
    /// The variant with its prices.
    pub variant: NewVariant,
}

impl Decision for AddVariant {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let name = ClaimName::Sku(self.variant.sku.clone());
        let claim = take(world, name, &stream_of::<Product>(self.product_id));
        let mut changes = product_changes(world, self.product_id, ProductCommand::AddVariant(self.variant.clone()))?;
        changes.extend(claim?);
        Ok(changes)
    }
}

/// Take a variant out of a product; its SKU becomes free.
#[derive(Debug, Clone)]
pub struct RemoveVariant {
    /// The product.
    pub product_id: ProductId,
    /// The variant.
    pub variant_id: VariantId,
}

impl Decision for RemoveVariant {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let product = world.get::<Product>(self.product_id);
        let command = ProductCommand::RemoveVariant { variant_id: self.variant_id };
        let mut changes = product_changes(world, self.product_id, command)?;
        if let Some(sku) = product.sku_of(self.variant_id) {
            changes.extend(release(world, &ClaimName::Sku(sku.clone()), &stream_of::<Product>(self.product_id))?);
        }
        Ok(changes)
    }
}

/// Give a variant a price, replacing the one in the same currency.
#[derive(Debug, Clone)]
pub struct SetVariantPrice {
    /// The product.
    pub product_id: ProductId,
    /// The variant.
    pub variant_id: VariantId,
    /// The price.
    pub price: NewPrice,
}

impl Decision for SetVariantPrice {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let command = ProductCommand::SetPrice { variant_id: self.variant_id, price: self.price.clone() };
        product_changes(world, self.product_id, command)
    }
}

/// Put a product on sale.
#[derive(Debug, Clone)]
pub struct PublishProduct {
    /// The product.
    pub product_id: ProductId,
}

impl Decision for PublishProduct {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        product_changes(world, self.product_id, ProductCommand::Publish)
    }
}

/// Take a product off sale for good. Orders already placed keep it as it was; its SKUs and slug stay its own.
#[derive(Debug, Clone)]
pub struct ArchiveProduct {
    /// The product.
    pub product_id: ProductId,
    /// Why.
    pub reason: String,
}

impl Decision for ArchiveProduct {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        product_changes(world, self.product_id, ProductCommand::Archive { reason: self.reason.clone() })
    }
}
