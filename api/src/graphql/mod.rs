//! The GraphQL schema: what clients see, one noun per file.

mod account;
mod address;
mod anomaly;
mod as_of;
mod cart;
mod cart_mutations;
mod catalog_query;
mod category;
mod category_mutations;
mod changed;
mod command;
mod dead_letter;
mod execute;
mod facets;
mod follow;
mod global_id;
pub(crate) mod history;
mod identity_call;
mod journal;
mod loader;
mod log;
mod login_mutations;
mod me;
mod money;
mod node;
mod order;
mod order_mutations;
mod order_parts;
mod order_query;
mod order_status;
mod own;
mod page;
mod payment;
mod payment_mutations;
mod problem;
mod product;
mod product_inputs;
mod product_mutations;
mod promotion_mutations;
mod read_input;
mod review;
mod rights_mutations;
mod rights_query;
mod sales;
mod scalar;
mod security_mutations;
mod stock;
mod stock_mutations;
mod subscription;
#[cfg(test)]
mod tests;
mod user_error;
mod user_error_code;
mod variant;
mod webhook;
mod webhook_mutations;

use async_graphql::{MergedObject, Schema as GraphQlSchema};

pub(crate) use command::idempotency_key;
pub(crate) use execute::{Prepared, RequestContext};
use page::List;

/// The schema with its roots.
pub(crate) type Schema = GraphQlSchema<Query, Mutation, subscription::Root>;

/// What can be asked.
#[derive(Default, MergedObject)]
pub(crate) struct Query(
    me::MeQuery,
    catalog_query::CatalogQuery,
    category::CategoryQuery,
    cart::CartQuery,
    order_query::OrderQuery,
    payment::PaymentQuery,
    stock::StockQuery,
    review::ReviewQuery,
    sales::SalesQuery,
    journal::JournalQuery,
    anomaly::AnomalyQuery,
    node::NodeQuery,
    log::LogQuery,
    dead_letter::DeadLetterQuery,
    account::AccountQuery,
    rights_query::RightsQuery,
    webhook::WebhookQuery,
);

/// What can be done.
#[derive(Default, MergedObject)]
pub(crate) struct Mutation(
    cart_mutations::CartMutation,
    payment_mutations::PaymentMutation,
    category_mutations::CategoryMutation,
    product_mutations::ProductMutation,
    stock_mutations::StockMutation,
    promotion_mutations::PromotionMutation,
    order_mutations::OrderMutation,
    dead_letter::DeadLetterMutation,
    login_mutations::LoginMutation,
    security_mutations::SecurityMutation,
    rights_mutations::RightsMutation,
    webhook_mutations::WebhookMutation,
);

/// The schema, ready to run.
pub(crate) fn schema() -> Schema {
    GraphQlSchema::build(Query::default(), Mutation::default(), subscription::Root)
        .limit_recursive_depth(64)
        .override_output_type_description::<List<product::Product>>("A page of products.")
        .override_output_type_description::<List<order::Order>>("A page of orders.")
        .override_output_type_description::<List<payment::Payment>>("A page of payments.")
        .override_output_type_description::<List<stock::StockLevel>>("A page of stock levels.")
        .override_output_type_description::<List<review::Review>>("A page of reviews.")
        .override_output_type_description::<List<history::HistoryEntry>>("A page of events.")
        .override_output_type_description::<List<journal::JournalLine>>("A page of the journal.")
        .override_output_type_description::<List<anomaly::Anomaly>>("A page of anomalies.")
        .override_output_type_description::<List<account::Account>>("A page of accounts.")
        .override_output_type_description::<List<rights_query::ApiKey>>("A page of API keys.")
        .override_output_type_description::<List<rights_query::AccessEntry>>("A page of refusals.")
        .override_output_type_description::<List<webhook::Webhook>>("A page of webhooks.")
        .override_output_type_description::<List<webhook::WebhookFailure>>("A page of events that could not be delivered.")
        .finish()
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    schema().sdl()
}
