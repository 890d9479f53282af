//! The GraphQL schema: what clients see, one noun per file.

mod account;
mod actions;
mod address;
mod anomaly;
mod as_of;
mod audit_query;
mod cart;
mod cart_mutations;
mod cart_warnings;
mod catalog_query;
mod category;
mod category_mutations;
mod changed;
mod command;
mod dead_letter;
mod email_mutations;
mod execute;
mod facets;
mod follow;
pub(crate) mod global_id;
mod histories;
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
mod permissions;
mod person;
mod person_mutations;
pub(crate) mod personal;
mod problem;
mod product;
mod product_inputs;
mod product_mutations;
mod promotion;
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
mod user_error;
mod user_error_code;
mod variant;
mod warning;
mod webhook;
mod webhook_mutations;

use async_graphql::{MergedObject, Schema as GraphQlSchema};

pub(crate) use command::idempotency_key;
pub(crate) use execute::{Prepared, RequestContext};
use page::List;
pub use permissions::permission_matrix;

/// The schema with its roots.
pub(crate) type Schema = GraphQlSchema<Query, Mutation, subscription::Root>;

/// What can be asked.
#[derive(Default, MergedObject)]
pub(crate) struct Query(
    me::MeQuery,
    catalog_query::CatalogQuery,
    category::CategoryQuery,
    cart::CartQuery,
    promotion::PromotionQuery,
    order_query::OrderQuery,
    payment::PaymentQuery,
    stock::StockQuery,
    review::ReviewQuery,
    sales::SalesQuery,
    journal::JournalQuery,
    node::NodeQuery,
    log::LogQuery,
    dead_letter::DeadLetterQuery,
    account::AccountQuery,
    rights_query::RightsQuery,
    webhook::WebhookQuery,
    Lists,
    person::PersonQuery,
);

/// What can be listed: by itself, so that the compiler has not all of the roots inside each other.
#[derive(Default, MergedObject)]
pub(crate) struct Lists(
    promotion::PromotionList,
    order_query::OrderList,
    payment::PaymentList,
    stock::StockLevelList,
    journal::JournalList,
    anomaly::AnomalyList,
    anomaly::AccessAnomalyList,
    account::AccountList,
    rights_query::ApiKeyList,
    audit_query::AuditQuery,
    webhook::WebhookList,
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
    email_mutations::EmailMutation,
    rights_mutations::RightsMutation,
    webhook_mutations::WebhookMutation,
    person_mutations::PersonMutation,
);

/// The schema, ready to run.
pub(crate) fn schema() -> Schema {
    GraphQlSchema::build(Query::default(), Mutation::default(), subscription::Root)
        .limit_recursive_depth(64)
        .override_output_type_description::<List<product::Product>>("A page of products.")
        .override_output_type_description::<List<order::Order>>("A page of orders.")
        .override_output_type_description::<List<payment::Payment>>("A page of payments.")
        .override_output_type_description::<List<promotion::Promotion>>("A page of promotions.")
        .override_output_type_description::<List<stock::StockLevel>>("A page of stock levels.")
        .override_output_type_description::<List<review::Review>>("A page of reviews.")
        .override_output_type_description::<List<history::HistoryEntry>>("A page of events.")
        .override_output_type_description::<List<journal::JournalLine>>("A page of the journal.")
        .override_output_type_description::<List<anomaly::Anomaly>>("A page of anomalies.")
        .override_output_type_description::<List<anomaly::AccessAnomaly>>("A page of days of unusually many refusals.")
        .override_output_type_description::<List<account::Account>>("A page of accounts.")
        .override_output_type_description::<List<rights_query::ApiKey>>("A page of API keys.")
        .override_output_type_description::<List<rights_query::AccessEntry>>("A page of refusals.")
        .override_output_type_description::<List<audit_query::AuditEntry>>("A page of the audit.")
        .override_output_type_description::<List<webhook::Webhook>>("A page of webhooks.")
        .override_output_type_description::<List<person::PersonRecord>>(
            "A page of persons whom somebody asked to erase or to keep.",
        )
        .override_output_type_description::<List<webhook::WebhookFailure>>("A page of events that could not be delivered.")
        .finish()
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    schema().sdl()
}
