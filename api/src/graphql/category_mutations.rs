//! What staff do with the category tree.

use async_graphql::{Context, Error, ID, Object};
use domain::{ArchiveCategory, CreateCategory, Decision, MoveCategory, RenameCategory};
use event_schemas::{CategoryCreated, CategoryEvent, CategoryId, CommerceEvent};

use crate::{
    access::{Permission, sees},
    graphql::{
        category::Category,
        changed::category_at,
        command::{MutationInput, Outside, carry_out, input, payload, read_back},
        global_id::Kind,
        read_input,
        scalar::Long,
        user_error::UserError,
        warning::Warning,
    },
};

input! {
    /// A category to add.
    CategoryCreateInput {
        /// Its name as shoppers read it.
        name: String,
        /// Its name in the URL, unique among categories.
        slug: String,
        /// The category above it; a root unless given.
        parent_id: Option<ID>,
    }
}

input! {
    /// A category to rename.
    CategoryUpdateInput of Category(category_id) {
        /// The category.
        category_id: ID,
        /// Its name as shoppers read it.
        name: String,
        /// Its name in the URL; the old one becomes free.
        slug: String,
    }
}

input! {
    /// A category to move, with everything below it.
    CategoryMoveInput of Category(category_id) {
        /// The category.
        category_id: ID,
        /// The category above it; a root unless given.
        parent_id: Option<ID>,
    }
}

input! {
    /// A category to take out of the shop.
    CategoryArchiveInput of Category(category_id) {
        /// The category.
        category_id: ID,
    }
}

payload! {
    /// A category after a change.
    CategoryPayload {
        /// The category; null when nothing was done, or when the views need longer than two seconds to show it.
        category: Category,
    }
}

fn parent(id: Option<&ID>) -> Result<Option<CategoryId>, UserError> {
    id.map(|id| read_input::id(Kind::Category, id, &["parentId"])).transpose()
}

async fn changed<I: MutationInput, D: Decision>(
    ctx: &Context<'_>,
    operation: &'static str,
    id: Option<ID>,
    input: I,
    decision: impl FnOnce(I, &Outside<'_>) -> Result<D, UserError>,
) -> Result<CategoryPayload, Error> {
    let outcome = match carry_out(ctx, operation, input, decision).await? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(refused.into()),
    };
    let created = outcome.changes.iter().find_map(|change| match &change.event {
        CommerceEvent::Category(CategoryEvent::CategoryCreated(category)) => Some(category.category_id),
        _ => None,
    });
    let id = created.or_else(|| crate::graphql::global_id::decode(Kind::Category, &id?));
    let shown = read_back(ctx, outcome.position).await;
    let (category, warnings) = (if shown { category_at(ctx, id).await? } else { None }, Warning::unless_shown(shown));
    Ok(CategoryPayload { category, position: Long::of(outcome.position), warnings, ..Default::default() })
}

#[derive(Default)]
pub(crate) struct CategoryMutation;

#[Object]
impl CategoryMutation {
    /// Adds a category to the tree.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn category_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The category.")] input: CategoryCreateInput,
    ) -> Result<CategoryPayload, Error> {
        changed(ctx, "categoryCreate", None, input, |input, outside| {
            Ok(CreateCategory {
                category: CategoryCreated {
                    category_id: CategoryId(outside.new_id()),
                    slug: read_input::name(&input.slug, &["slug"])?,
                    parent_id: parent(input.parent_id.as_ref())?,
                    name: input.name,
                },
            })
        })
        .await
    }

    /// Renames a category.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn category_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The category and its names.")] input: CategoryUpdateInput,
    ) -> Result<CategoryPayload, Error> {
        changed(ctx, "categoryUpdate", Some(input.category_id.clone()), input, |input, _| {
            let category_id = read_input::id(Kind::Category, &input.category_id, &["categoryId"])?;
            Ok(RenameCategory { category_id, slug: read_input::name(&input.slug, &["slug"])?, name: input.name })
        })
        .await
    }

    /// Moves a category, with everything below it.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn category_move(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The category and its new place.")] input: CategoryMoveInput,
    ) -> Result<CategoryPayload, Error> {
        changed(ctx, "categoryMove", Some(input.category_id.clone()), input, |input, _| {
            let category_id = read_input::id(Kind::Category, &input.category_id, &["categoryId"])?;
            Ok(MoveCategory { category_id, parent_id: parent(input.parent_id.as_ref())? })
        })
        .await
    }

    /// Takes a category out of the shop. Its products stay.
    #[graphql(guard = "Permission::EditCatalog", visible = "sees::edit_catalog")]
    async fn category_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The category.")] input: CategoryArchiveInput,
    ) -> Result<CategoryPayload, Error> {
        changed(ctx, "categoryArchive", Some(input.category_id.clone()), input, |input, _| {
            Ok(ArchiveCategory { category_id: read_input::id(Kind::Category, &input.category_id, &["categoryId"])? })
        })
        .await
    }
}
