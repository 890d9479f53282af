//! The permission matrix: which role may use which operation, as introspection shows it, written down in `docs/api`. That the
//! operations themselves agree is tested cell by cell over HTTP in `api/tests/it/rights.rs`.

use std::fmt::Write as _;

use async_graphql::Request;
use event_schemas::AccountId;
use identity::{Authenticated, Subject};
use uuid::Uuid;

use crate::access::{Caller, CustomRoles, Permission, Role};

const ABOUT: &str = "\
# Who may do what

Printed by `daybook permissions` (`api/src/graphql/permissions.rs`), and tested cell by cell over HTTP
(`api/tests/it/rights.rs`). After a change: `UPDATE=1 cargo test -p api the_permission_matrix`.

`guest` is who sends no token; all others have an account with that one role, `customer` being an account without any. Who has
several roles may do what any of them may; a role of the shop's own may do what its permissions allow. An API key has
permissions and no account, and a token made with `daybook token` has a role and no account: to both, what is only for accounts
(marked *own*) is closed.

That an operation is open does not mean that everything is there: a cart, an order, a payment or a review of a customer is there
for that customer and for staff with the permission, and for nobody else, whatever the way in. The first table says who may ask
at all.
";

const OWN: &str = "own";
const YES: &str = "yes";

/// An account with a role.
fn account(role: Role) -> Caller {
    let roles = vec![role.name().to_owned()];
    let subject = Subject::Account { id: AccountId(Uuid::nil()), session: Uuid::nil(), roles };
    Caller::of(Authenticated { subject, expires_at: None }, &CustomRoles::new())
}

/// The names of the fields of a root that a caller is shown.
async fn shown(root: &str, caller: Caller) -> Vec<String> {
    let query = format!("{{ __schema {{ root: {root} {{ fields(includeDeprecated: true) {{ name }} }} }} }}");
    let answer = super::schema().execute(Request::new(query).data(caller)).await;
    let data = answer.data.into_json().unwrap_or_default();
    let fields = data["__schema"]["root"]["fields"].as_array().cloned().unwrap_or_default();
    fields.iter().filter_map(|field| field["name"].as_str().map(str::to_owned)).collect()
}

async fn rows(root: &str) -> String {
    // A token without an account is shown what the role may do, without what is for accounts.
    let guest = shown(root, Caller::anonymous()).await;
    let mut columns = vec![(guest.clone(), guest)];
    for role in Role::ALL {
        columns.push((shown(root, account(role)).await, shown(root, Caller::operator(role, None)).await));
    }
    let mut all = columns.last().map(|(with_account, _)| with_account.clone()).unwrap_or_default();
    all.sort();
    let mut text = String::new();
    for operation in all {
        let cell = |(with_account, by_role): &(Vec<String>, Vec<String>)| {
            let is_shown = |column: &Vec<String>| column.contains(&operation);
            if is_shown(by_role) {
                YES
            } else if is_shown(with_account) {
                OWN
            } else {
                ""
            }
        };
        let cells: Vec<&str> = columns.iter().map(cell).collect();
        let _ = writeln!(text, "| `{operation}` | {} |", cells.join(" | "));
    }
    text
}

fn header(first: &str, roles: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<&str> = roles.collect();
    let rule = "|---".repeat(names.len() + 1);
    format!("| {first} | {} |\n{rule}|\n", names.join(" | "))
}

/// Who may do what, as Markdown: a table of operations by role for each root, and one of permissions.
pub async fn permission_matrix() -> String {
    let mut text = ABOUT.to_owned();
    let names = || std::iter::once("guest").chain(Role::ALL.into_iter().map(Role::name));
    for (title, root) in [("Queries", "queryType"), ("Mutations", "mutationType"), ("Subscriptions", "subscriptionType")] {
        let _ = write!(text, "\n## {title}\n\n{}{}", header("operation", names()), rows(root).await);
    }
    let _ = write!(text, "\n## Permissions\n\n{}", header("permission", Role::ALL.into_iter().map(Role::name)));
    for permission in Permission::ALL {
        let cells: Vec<&str> =
            Role::ALL.into_iter().map(|role| if role.permissions().has(*permission) { YES } else { "" }).collect();
        let _ = writeln!(text, "| `{}` | {} |", permission.name(), cells.join(" | "));
    }
    text
}
