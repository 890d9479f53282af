//! The GraphQL schema: what clients see, one noun per file.

mod execute;
mod me;

use async_graphql::{EmptyMutation, EmptySubscription, MergedObject, Schema as GraphQlSchema};

pub(crate) use execute::{Prepared, RequestContext};

/// The schema with its roots.
pub(crate) type Schema = GraphQlSchema<Query, EmptyMutation, EmptySubscription>;

/// What can be asked.
#[derive(Default, MergedObject)]
pub(crate) struct Query(me::MeQuery);

/// The schema, ready to run.
pub(crate) fn schema() -> Schema {
    GraphQlSchema::build(Query::default(), EmptyMutation, EmptySubscription).limit_recursive_depth(64).finish()
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    schema().sdl()
}
