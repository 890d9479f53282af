//! Categories: the tree that products hang in.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{ComplexObject, Context, Error, ID, Object, OutputType as _, SimpleObject};

use crate::{
    access::{Caller, Permission},
    graphql::{
        actions::{CategoryAction, CategoryActions, available},
        as_of::{self, AsOf, CategoryKey},
        global_id::{self, Kind},
        histories::{CategoryHistory, of},
        loader::{CategoryById, ChildrenOf, load},
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// A category of the product tree.
#[derive(Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Category {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
    /// Its name as shoppers read it.
    name: String,
    /// Its name in the URL, unique among categories.
    slug: String,
    /// Whether it was taken out of the shop.
    archived: bool,
    #[graphql(skip)]
    row: projections::Category,
    /// The tree around it, when it is shown as it was.
    #[graphql(skip)]
    past: Option<Arc<Vec<projections::Category>>>,
}

impl Category {
    /// A category of the views.
    pub(crate) fn new(row: projections::Category) -> Self {
        Self {
            id: global_id::encode(Kind::Category, row.category_id),
            version: Long::of(row.version),
            name: row.name.clone(),
            slug: row.slug.to_string(),
            archived: row.archived,
            row,
            past: None,
        }
    }

    /// The category in the tree as it was.
    pub(crate) fn within(self, tree: Arc<Vec<projections::Category>>) -> Self {
        Self { past: Some(tree), ..self }
    }

    /// The category if the caller may see it: shoppers see what is in the shop.
    pub(crate) fn visible(ctx: &Context<'_>, row: Option<projections::Category>) -> Result<Option<Self>, Error> {
        let sees_all = ctx.data::<Caller>()?.may(Permission::ViewCatalog);
        Ok(row.filter(|row| sees_all || !row.archived).map(Self::new))
    }
}

#[ComplexObject]
impl Category {
    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<CategoryAction>, Error> {
        available(ctx, CategoryActions(self.row.category_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> CategoryHistory {
        CategoryHistory(of::<domain::Category>(self.row.category_id))
    }

    /// The category above it; null for a root.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Category>, Error> {
        match (self.row.parent_id, &self.past) {
            (Some(parent), Some(tree)) => {
                let row = tree.iter().find(|row| row.category_id == parent).cloned();
                Ok(Category::visible(ctx, row)?.map(|parent| parent.within(tree.clone())))
            }
            (Some(parent), None) => Category::visible(ctx, load(ctx, CategoryById(parent)).await?),
            (None, _) => Ok(None),
        }
    }

    /// The categories directly below it, by name.
    async fn children(&self, ctx: &Context<'_>) -> Result<Vec<Category>, Error> {
        if let Some(tree) = &self.past {
            let below = tree.iter().filter(|row| row.parent_id == Some(self.row.category_id) && !row.archived);
            return Ok(below.map(|row| Category::new(row.clone()).within(tree.clone())).collect());
        }
        let children = load(ctx, ChildrenOf(self.row.category_id)).await?.unwrap_or_default();
        Ok(children.into_iter().map(Category::new).collect())
    }
}

/// A category with its place in the tree.
#[derive(SimpleObject)]
pub(crate) struct PlacedCategory {
    /// The category.
    category: Category,
    /// How many categories are above it.
    depth: u32,
    /// The categories from the root down to it, it last.
    path: Vec<Category>,
}

/// How a category is found; none for a name that no category can have.
fn key(id: Option<ID>, slug: Option<String>) -> Result<Option<CategoryKey>, Error> {
    match (id, slug) {
        (Some(id), None) => {
            let id = global_id::decode(Kind::Category, &id).ok_or_else(|| problem::bad_id("id"))?;
            Ok(Some(CategoryKey::Id(id)))
        }
        (None, Some(slug)) => Ok(slug.parse().ok().map(CategoryKey::Slug)),
        _ => Err(problem::bad_input("give `id` or `slug`, one of them")),
    }
}

#[derive(Default)]
pub(crate) struct CategoryQuery;

#[Object]
impl CategoryQuery {
    /// The whole tree of categories, each after the one above it; a shop has few, so there are no pages.
    async fn categories(&self, ctx: &Context<'_>) -> Result<Vec<PlacedCategory>, Error> {
        let rows = ctx.data::<Arc<Shop>>()?.views.read(|reader| reader.categories()).await.map_err(problem::view)?;
        let by_id: BTreeMap<_, _> = rows.iter().map(|row| (row.category.category_id, row.category.clone())).collect();
        let placed = rows.into_iter().filter(|placed| !placed.category.archived).map(|placed| PlacedCategory {
            depth: u32::try_from(placed.path.len().saturating_sub(1)).unwrap_or(u32::MAX),
            path: placed.path.iter().filter_map(|id| by_id.get(id)).map(|row| Category::new(row.clone())).collect(),
            category: Category::new(placed.category),
        });
        Ok(placed.collect())
    }

    /// A category, by its id or its name in the URL; as it was at a moment, if asked. Shoppers see those that are in the shop.
    async fn category(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Option<ID>,
        #[graphql(desc = "Its name in the URL.")] slug: Option<String>,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<Category>, Error> {
        if let Some(as_of) = as_of {
            return match key(id, slug)? {
                Some(key) => as_of::category(ctx, key, as_of).await,
                None => Ok(None),
            };
        }
        let row = match key(id, slug)? {
            Some(CategoryKey::Id(id)) => load(ctx, CategoryById(id)).await?,
            Some(CategoryKey::Slug(slug)) => {
                let views = &ctx.data::<Arc<Shop>>()?.views;
                views.read(move |reader| reader.category_by_slug(&slug)).await.map_err(problem::view)?
            }
            None => None,
        };
        Category::visible(ctx, row)
    }
}
