//! What staff do with products, variants and prices.

use async_graphql::{Context, Error, ID, Object};
use domain::{
    AddVariant, ArchiveProduct, CreateProduct, Decision, InTurn, PublishProduct, RemoveVariant, SetProductCategories,
    SetVariantPrice, UpdateProduct,
};
use event_schemas::{CommerceEvent, ProductCreated, ProductEvent, ProductId, Slug};

use crate::{
    access::{Permission, sees},
    graphql::{
        changed::product_at,
        command::{MutationInput, Outside, carry_out, payload, read_back},
        global_id::{self, Kind},
        product::Product,
        product_inputs::{
            ProductArchiveInput, ProductCreateInput, ProductPublishInput, ProductUpdateInput, VariantAddInput,
            VariantPriceSetInput, VariantRemoveInput, attributes, categories,
        },
        read_input,
        scalar::Long,
        user_error::UserError,
        warning::Warning,
    },
};

payload! {
    /// A product after a change.
    ProductPayload {
        /// The product; null when nothing was done, or when the views need longer than two seconds to show it.
        product: Product,
    }
}

async fn changed<I: MutationInput, D: Decision>(
    ctx: &Context<'_>,
    operation: &'static str,
    id: Option<ID>,
    input: I,
    decision: impl FnOnce(I, &Outside<'_>) -> Result<D, UserError>,
) -> Result<ProductPayload, Error> {
    let outcome = match carry_out(ctx, operation, input, decision).await? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(refused.into()),
    };
    let created = outcome.changes.iter().find_map(|change| match &change.event {
        CommerceEvent::Product(ProductEvent::ProductCreated(product)) => Some(product.product_id),
        _ => None,
    });
    let id = created.or_else(|| global_id::decode(Kind::Product, &id?));
    let shown = read_back(ctx, outcome.position).await;
    let (product, warnings) = (if shown { product_at(ctx, id).await? } else { None }, Warning::unless_shown(shown));
    Ok(ProductPayload { product, position: Long::of(outcome.position), warnings, ..Default::default() })
}

fn product_id(id: &ID) -> Result<ProductId, UserError> {
    read_input::id(Kind::Product, id, &["productId"])
}

fn create(input: ProductCreateInput, outside: &Outside<'_>) -> Result<CreateProduct, UserError> {
    let variants = input.variants.into_iter().flatten().map(|variant| variant.read(outside, "variants"));
    Ok(CreateProduct {
        variants: variants.collect::<Result<_, _>>()?,
        product: ProductCreated {
            product_id: ProductId(outside.new_id()),
            slug: read_input::name(&input.slug, &["slug"])?,
            category_ids: categories(&input.category_ids.unwrap_or_default())?,
            attributes: attributes(input.attributes.unwrap_or_default())?,
            tax_category: input.tax_category.unwrap_or_else(|| "standard".to_owned()),
            description: input.description.unwrap_or_default(),
            title: input.title,
        },
    })
}

fn update(input: ProductUpdateInput) -> Result<InTurn<UpdateProduct, SetProductCategories>, UserError> {
    let product_id = product_id(&input.product_id)?;
    let category_ids = input.category_ids.as_deref().map(categories).transpose()?;
    let second = category_ids.map(|category_ids| SetProductCategories { product_id, category_ids });
    let first = UpdateProduct {
        product_id,
        slug: input.slug.as_deref().map(|slug| read_input::name::<Slug>(slug, &["slug"])).transpose()?,
        attributes: input.attributes.map(attributes).transpose()?,
        title: input.title,
        description: input.description,
        tax_category: input.tax_category,
    };
    Ok(InTurn { first, second })
}

#[derive(Default)]
pub(crate) struct ProductMutation;

#[Object]
impl ProductMutation {
    /// Adds a product to the catalog, not yet for sale.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn product_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product.")] input: ProductCreateInput,
    ) -> Result<ProductPayload, Error> {
        changed(ctx, "productCreate", None, input, create).await
    }

    /// Changes a product. Orders already placed keep it as it was.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn product_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product and its changes.")] input: ProductUpdateInput,
    ) -> Result<ProductPayload, Error> {
        changed(ctx, "productUpdate", Some(input.product_id.clone()), input, |input, _| update(input)).await
    }

    /// Puts a product on sale.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn product_publish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product.")] input: ProductPublishInput,
    ) -> Result<ProductPayload, Error> {
        changed(ctx, "productPublish", Some(input.product_id.clone()), input, |input, _| {
            Ok(PublishProduct { product_id: product_id(&input.product_id)? })
        })
        .await
    }

    /// Takes a product off sale for good. Orders already placed keep it as it was.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn product_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product and the reason.")] input: ProductArchiveInput,
    ) -> Result<ProductPayload, Error> {
        changed(ctx, "productArchive", Some(input.product_id.clone()), input, |input, _| {
            Ok(ArchiveProduct { product_id: product_id(&input.product_id)?, reason: input.reason })
        })
        .await
    }

    /// Adds a variant to a product.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn variant_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product and the variant.")] input: VariantAddInput,
    ) -> Result<ProductPayload, Error> {
        changed(ctx, "variantAdd", Some(input.product_id.clone()), input, |input, outside| {
            let variant = input.variant.read(outside, "variant")?;
            Ok(AddVariant { product_id: product_id(&input.product_id)?, variant })
        })
        .await
    }

    /// Takes a variant out of a product; its SKU becomes free.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn variant_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product and the variant.")] input: VariantRemoveInput,
    ) -> Result<ProductPayload, Error> {
        changed(ctx, "variantRemove", Some(input.product_id.clone()), input, |input, _| {
            let variant_id = read_input::id(Kind::Variant, &input.variant_id, &["variantId"])?;
            Ok(RemoveVariant { product_id: product_id(&input.product_id)?, variant_id })
        })
        .await
    }

    /// Gives a variant a price, replacing the one in the same currency.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn variant_price_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The variant and the price.")] input: VariantPriceSetInput,
    ) -> Result<ProductPayload, Error> {
        changed(ctx, "variantPriceSet", Some(input.product_id.clone()), input, |input, _| {
            let variant_id = read_input::id(Kind::Variant, &input.variant_id, &["variantId"])?;
            Ok(SetVariantPrice { product_id: product_id(&input.product_id)?, variant_id, price: input.price.read(&["price"])? })
        })
        .await
    }
}
