//! A category of the product tree.

use event_schemas::{CategoryArchived, CategoryCreated, CategoryEvent, CategoryId, CategoryMoved, CategoryRenamed, Slug};
use serde::{Deserialize, Serialize};

use crate::MAX_NAME_CHARS;

/// The most levels of the category tree.
pub const MAX_CATEGORY_LEVELS: usize = 32;

/// What can be asked of a category. That its place in the tree makes no cycle is decided over the whole path to the root,
/// by [`crate::CreateCategory`] and [`crate::MoveCategory`].
#[derive(Debug, Clone, PartialEq)]
pub enum CategoryCommand {
    /// Add it to the tree.
    Create(CategoryCreated),
    /// Rename it.
    Rename {
        /// Its name.
        name: String,
        /// Its name in the URL.
        slug: Slug,
    },
    /// Move it, with everything below it.
    Move {
        /// The category above it; none for a root.
        parent_id: Option<CategoryId>,
    },
    /// Take it out of the shop.
    Archive,
}

/// Why a command to a category was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CategoryRefusal {
    /// There is no such category, or it is archived.
    #[error("there is no such category")]
    NotFound,
    /// The id is in use.
    #[error("the category exists already")]
    AlreadyExists,
    /// A category cannot be below itself.
    #[error("a category cannot be moved below itself")]
    Cycle,
    /// The tree has a limit of levels.
    #[error("the category tree has at most {MAX_CATEGORY_LEVELS} levels")]
    TooDeep,
    /// A name is empty or too long.
    #[error("a category's name must have 1 to {MAX_NAME_CHARS} characters")]
    InvalidName,
}

impl CategoryRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "CATEGORY_NOT_FOUND",
            Self::AlreadyExists => "CATEGORY_EXISTS",
            Self::Cycle => "CATEGORY_CYCLE",
            Self::TooDeep => "CATEGORY_TOO_DEEP",
            Self::InvalidName => "INVALID_TEXT",
        }
    }
}

/// A category.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Category {
    /// Does not exist yet.
    #[default]
    Absent,
    /// In the shop.
    Open {
        /// Its name.
        name: String,
        /// Its name in the URL.
        slug: Slug,
        /// The category above it.
        parent_id: Option<CategoryId>,
    },
    /// Out of the shop for good.
    Archived,
}

impl Category {
    /// Whether it is in the shop.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// The rules. What changes nothing gives no event.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: CategoryCommand) -> Result<Vec<CategoryEvent>, CategoryRefusal> {
        use CategoryCommand::{Archive, Create, Move, Rename};
        match (self, command) {
            (Self::Absent, Create(category)) => {
                must_be_name(&category.name)?;
                Ok(vec![category.into()])
            }
            (_, Create(_)) => Err(CategoryRefusal::AlreadyExists),
            (Self::Absent | Self::Archived, _) => Err(CategoryRefusal::NotFound),
            (Self::Open { name: old_name, slug: old_slug, .. }, Rename { name, slug }) => {
                must_be_name(&name)?;
                let same = name == *old_name && slug == *old_slug;
                Ok(if same { vec![] } else { vec![CategoryRenamed { name, slug }.into()] })
            }
            (Self::Open { parent_id: old, .. }, Move { parent_id }) => {
                Ok(if parent_id == *old { vec![] } else { vec![CategoryMoved { parent_id }.into()] })
            }
            (Self::Open { .. }, Archive) => Ok(vec![CategoryArchived {}.into()]),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &CategoryEvent) {
        match (&mut *self, event) {
            (_, CategoryEvent::CategoryCreated(e)) => {
                *self = Self::Open { name: e.name.clone(), slug: e.slug.clone(), parent_id: e.parent_id };
            }
            (Self::Open { name, slug, .. }, CategoryEvent::CategoryRenamed(e)) => {
                name.clone_from(&e.name);
                slug.clone_from(&e.slug);
            }
            (Self::Open { parent_id, .. }, CategoryEvent::CategoryMoved(e)) => *parent_id = e.parent_id,
            (_, CategoryEvent::CategoryArchived(_)) => *self = Self::Archived,
            (Self::Absent | Self::Archived, CategoryEvent::CategoryRenamed(_) | CategoryEvent::CategoryMoved(_)) => {}
        }
    }
}

fn must_be_name(name: &str) -> Result<(), CategoryRefusal> {
    let fits = !name.trim().is_empty() && name.chars().count() <= MAX_NAME_CHARS;
    if fits { Ok(()) } else { Err(CategoryRefusal::InvalidName) }
}
