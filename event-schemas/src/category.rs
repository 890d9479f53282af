//! What can happen to a category of the product tree.

use crate::{CategoryId, Slug};

event! {
    /// A category was added to the tree.
    CategoryCreated {
        /// The new category.
        pub category_id: CategoryId,
        /// Its name as shoppers read it.
        pub name: String,
        /// Its name in the URL, unique in the store.
        pub slug: Slug,
        /// The category above it; none for a root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub parent_id: Option<CategoryId>,
    }
}

event! {
    /// A category was renamed.
    CategoryRenamed {
        /// Its name now.
        pub name: String,
        /// Its name in the URL now.
        pub slug: Slug,
    }
}

event! {
    /// A category was moved, with everything below it.
    CategoryMoved {
        /// The category above it now; none for a root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub parent_id: Option<CategoryId>,
    }
}

event! {
    /// A category was taken out of the shop.
    CategoryArchived {}
}

events! {
    /// Everything that can happen to a category.
    CategoryEvent of "category" {
        CategoryCreated = 1,
        CategoryRenamed = 1,
        CategoryMoved = 1,
        CategoryArchived = 1,
    }
}
