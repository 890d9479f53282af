//! What staff decide about the category tree.

use event_schemas::{CategoryCreated, CategoryId, Slug};

use crate::{
    Category, CategoryCommand, CategoryRefusal, Change, ClaimName, Decision, MAX_CATEGORY_LEVELS, Refusal, World,
    product_decisions::{release, take},
    stream_of,
};

fn category_changes(world: &World<'_>, id: CategoryId, command: CategoryCommand) -> Result<Vec<Change>, Refusal> {
    Ok(Change::all(stream_of::<Category>(id), world.get::<Category>(id).decide(command)?))
}

/// Walks from a parent up to the root: every category on the way is open, and none is `id` itself.
fn must_fit_below(world: &World<'_>, id: CategoryId, parent_id: Option<CategoryId>) -> Result<(), CategoryRefusal> {
    let mut above = parent_id;
    for _ in 0..MAX_CATEGORY_LEVELS {
        let Some(ancestor) = above else { return Ok(()) };
        if ancestor == id {
            return Err(CategoryRefusal::Cycle);
        }
        let Category::Open { parent_id, .. } = world.get::<Category>(ancestor) else {
            return Err(CategoryRefusal::NotFound);
        };
        above = *parent_id;
    }
    Err(CategoryRefusal::TooDeep)
}

/// Add a category to the tree; its slug must be free.
#[derive(Debug, Clone)]
pub struct CreateCategory {
    /// The category.
    pub category: CategoryCreated,
}

impl Decision for CreateCategory {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let category = self.category.clone();
        let id = category.category_id;
        let claim = take(world, ClaimName::CategorySlug(category.slug.clone()), &stream_of::<Category>(id));
        let place = must_fit_below(world, id, category.parent_id);
        let mut changes = category_changes(world, id, CategoryCommand::Create(category))?;
        place?;
        changes.extend(claim?);
        Ok(changes)
    }
}

/// Rename a category; its old slug becomes free.
#[derive(Debug, Clone)]
pub struct RenameCategory {
    /// The category.
    pub category_id: CategoryId,
    /// Its name.
    pub name: String,
    /// Its name in the URL.
    pub slug: Slug,
}

impl Decision for RenameCategory {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Category::Open { slug: old, .. } = world.get::<Category>(self.category_id) else {
            return Err(CategoryRefusal::NotFound.into());
        };
        let (stream, Self { name, slug, .. }) = (stream_of::<Category>(self.category_id), self.clone());
        let mut changes = category_changes(world, self.category_id, CategoryCommand::Rename { name, slug })?;
        if *old != self.slug {
            changes.extend(take(world, ClaimName::CategorySlug(self.slug.clone()), &stream)?);
            changes.extend(release(world, &ClaimName::CategorySlug(old.clone()), &stream)?);
        }
        Ok(changes)
    }
}

/// Move a category, with everything below it.
#[derive(Debug, Clone)]
pub struct MoveCategory {
    /// The category.
    pub category_id: CategoryId,
    /// The category above it; none makes it a root.
    pub parent_id: Option<CategoryId>,
}

impl Decision for MoveCategory {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let command = CategoryCommand::Move { parent_id: self.parent_id };
        let changes = category_changes(world, self.category_id, command)?;
        must_fit_below(world, self.category_id, self.parent_id)?;
        Ok(changes)
    }
}

/// Take a category out of the shop. Its products stay, and its slug stays its own.
#[derive(Debug, Clone)]
pub struct ArchiveCategory {
    /// The category.
    pub category_id: CategoryId,
}

impl Decision for ArchiveCategory {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        category_changes(world, self.category_id, CategoryCommand::Archive)
    }
}
