//! Which categories does the shop have, and where in the tree is each?

use std::collections::BTreeMap;

use event_schemas::{CategoryEvent, CategoryId, CommerceEvent, Slug, Timestamp};

use crate::{Column as _, Fact, FoldError, Projection, Reader, Row as _, Rows, ViewError};

row! {
    /// A category of the product tree.
    Category in "categories" {
        key {
            /// The category.
            category_id: CategoryId,
        }
        /// Its name as shoppers read it.
        name: String,
        /// Its name in the URL.
        slug: Slug,
        /// The category above it; null for a root.
        parent_id: Option<CategoryId>,
        /// Whether it was taken out of the shop.
        archived: bool,
        /// When it was added.
        created_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
    }
    version of "category";
    index "slug";
    index "parent_id";
}

/// The category tree.
pub const CATEGORIES: Projection =
    Projection { name: "categories", version: 2, tables: &[Category::TABLE], for_analysts: true, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Category(event) = fact.event else { return Ok(()) };
    if let CategoryEvent::CategoryCreated(created) = event {
        return Ok(rows.put(Category {
            category_id: created.category_id,
            name: created.name.clone(),
            slug: created.slug.clone(),
            parent_id: created.parent_id,
            archived: false,
            created_at: fact.occurred_at,
            updated_at: fact.occurred_at,
            version: fact.sequence,
            position: fact.position,
        })?);
    }
    let category_id: CategoryId = fact.stream.aggregate_id.parse()?;
    let category = rows.edit::<Category>(&(category_id,))?.ok_or_else(|| FoldError::unknown("category", category_id))?;
    category.updated_at = fact.occurred_at;
    match event {
        CategoryEvent::CategoryCreated(_) => {}
        CategoryEvent::CategoryRenamed(renamed) => {
            category.name.clone_from(&renamed.name);
            category.slug.clone_from(&renamed.slug);
        }
        CategoryEvent::CategoryMoved(moved) => category.parent_id = moved.parent_id,
        CategoryEvent::CategoryArchived(_) => category.archived = true,
    }
    Ok(())
}

/// A category with its place in the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedCategory {
    /// The category.
    pub category: Category,
    /// The categories from the root down to this one, this one last.
    pub path: Vec<CategoryId>,
}

impl Reader<'_> {
    /// All categories with their paths, by path of names; a shop has few, so there are no pages.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn categories(&self) -> Result<Vec<PlacedCategory>, ViewError> {
        let rows = self.rows::<Category>("", &[])?;
        let by_id: BTreeMap<CategoryId, &Category> = rows.iter().map(|row| (row.category_id, row)).collect();
        let mut placed: Vec<(Vec<&str>, PlacedCategory)> = Vec::with_capacity(rows.len());
        for category in &rows {
            let path = path_of(category, &by_id);
            let names = path.iter().filter_map(|id| by_id.get(id)).map(|category| category.name.as_str()).collect();
            placed.push((names, PlacedCategory { category: category.clone(), path }));
        }
        placed.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.path.cmp(&right.path)));
        Ok(placed.into_iter().map(|(_, category)| category).collect())
    }

    /// The category of a slug.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn category_by_slug(&self, slug: &Slug) -> Result<Option<Category>, ViewError> {
        Ok(self.rows::<Category>("WHERE t.slug = ? ORDER BY t.position DESC LIMIT 1", &[slug.value()])?.pop())
    }

    /// The categories of ids, for a batch in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn categories_by_id(&self, ids: &[CategoryId]) -> Result<BTreeMap<CategoryId, Category>, ViewError> {
        let rows = self.rows_of::<Category, _>("category_id", ids, "t.category_id")?;
        Ok(rows.into_iter().map(|category| (category.category_id, category)).collect())
    }

    /// A category and all below it: what a shopper means by "in this category".
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn category_with_all_below(&self, id: CategoryId) -> Result<Vec<CategoryId>, ViewError> {
        let placed = self.categories()?;
        Ok(placed.into_iter().filter(|placed| placed.path.contains(&id)).map(|placed| placed.category.category_id).collect())
    }
}

/// From the root down. The rules forbid cycles; should one be recorded nevertheless, it ends where it closes.
fn path_of(category: &Category, by_id: &BTreeMap<CategoryId, &Category>) -> Vec<CategoryId> {
    let mut path = vec![category.category_id];
    let mut above = category.parent_id;
    while let Some(id) = above.filter(|id| !path.contains(id)) {
        path.push(id);
        above = by_id.get(&id).and_then(|category| category.parent_id);
    }
    path.reverse();
    path
}
