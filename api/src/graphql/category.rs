//! Categories: the tree that products hang in.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{ComplexObject, Context, Error, ID, Object, SimpleObject};
use event_schemas::Slug;

use crate::{
    access::{Caller, Permission},
    graphql::{
        global_id::{self, Kind},
        loader::{CategoryById, ChildrenOf, load},
        problem,
    },
    shop::Shop,
};

/// A category of the product tree.
#[derive(Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Category {
    /// Its id.
    pub(crate) id: ID,
    /// Its name as shoppers read it.
    name: String,
    /// Its name in the URL, unique among categories.
    slug: String,
    /// Whether it was taken out of the shop.
    archived: bool,
    #[graphql(skip)]
    row: projections::Category,
}

impl Category {
    /// A category of the views.
    pub(crate) fn new(row: projections::Category) -> Self {
        Self {
            id: global_id::encode(Kind::Category, row.category_id),
            name: row.name.clone(),
            slug: row.slug.to_string(),
            archived: row.archived,
            row,
        }
    }

    /// The category if the caller may see it: shoppers see what is in the shop.
    pub(crate) fn visible(ctx: &Context<'_>, row: Option<projections::Category>) -> Result<Option<Self>, Error> {
        let sees_all = ctx.data::<Caller>()?.may(Permission::ViewCatalog);
        Ok(row.filter(|row| sees_all || !row.archived).map(Self::new))
    }
}

#[ComplexObject]
impl Category {
    /// The category above it; null for a root.
    async fn parent(&self, ctx: &Context<'_>) -> Result<Option<Category>, Error> {
        match self.row.parent_id {
            Some(parent) => Category::visible(ctx, load(ctx, CategoryById(parent)).await?),
            None => Ok(None),
        }
    }

    /// The categories directly below it, by name.
    async fn children(&self, ctx: &Context<'_>) -> Result<Vec<Category>, Error> {
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

    /// A category, by its id or its name in the URL. Shoppers see those that are in the shop.
    async fn category(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Option<ID>,
        #[graphql(desc = "Its name in the URL.")] slug: Option<String>,
    ) -> Result<Option<Category>, Error> {
        let row = match (id, slug) {
            (Some(id), None) => {
                let id = global_id::decode(Kind::Category, &id).ok_or_else(|| problem::bad_id("id"))?;
                load(ctx, CategoryById(id)).await?
            }
            (None, Some(slug)) => match slug.parse::<Slug>() {
                Ok(slug) => {
                    let views = &ctx.data::<Arc<Shop>>()?.views;
                    views.read(move |reader| reader.category_by_slug(&slug)).await.map_err(problem::view)?
                }
                Err(_) => None,
            },
            _ => return Err(problem::bad_input("give `id` or `slug`, one of them")),
        };
        Category::visible(ctx, row)
    }
}
