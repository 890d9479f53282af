//! What a single operation may ask for: measured before anything runs, and refused by name.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::{
    Name, Value as ConstValue, Variables,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};

/// Brackets inside brackets, before the text is parsed: parsing recurses.
const NESTING: u32 = 60;
/// Words and marks in the text.
const TOKENS: u32 = 10_000;
/// Fields inside fields.
const DEPTH: u64 = 15;
/// Fields inside fields of an introspection query, which asks types of types.
const INTROSPECTION_DEPTH: u64 = 20;
/// Lists of types inside lists of types of an introspection query.
const INTROSPECTION_LISTS: u64 = 3;
/// Fields that may be answered, a list counted as often as it may be long.
const COST: u64 = 20_000;
/// Fields as written, fragments counted where they are used.
const FIELDS: u64 = 2_000;
/// Fields under another name.
const ALIASES: u64 = 100;
/// Fields of the operation itself.
const ROOT_FIELDS: u64 = 30;
/// Directives.
const DIRECTIVES: u64 = 50;
/// Fragments.
const FRAGMENTS: usize = 100;
/// The length of a connection whose `first` is not given.
const DEFAULT_PAGE: u64 = 20;
/// The length of `sales` whose `first` is not given.
const SALES_ROWS: u64 = 1_000;
/// The length that a list without pages is taken to have: such lists belong to one thing, and most are shorter.
const WHOLE_LIST: u64 = 10;
/// The fields that answer such a list of things with fields of their own.
const WHOLE_LISTS: [&str; 21] = [
    "accounts",
    "attributes",
    "categories",
    "charges",
    "children",
    "deadLetters",
    "discounts",
    "fulfilments",
    "items",
    "lines",
    "options",
    "path",
    "payments",
    "priceRanges",
    "prices",
    "projections",
    "refunds",
    "returns",
    "shippingMethods",
    "trialBalance",
    "variants",
];

/// A limit that an operation breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// The stable name of the limit.
    pub(crate) code: &'static str,
    /// What the client reads.
    pub(crate) message: String,
}

fn within(code: &'static str, what: &str, found: u64, most: u64) -> Result<(), Exceeded> {
    if found <= most {
        return Ok(());
    }
    Err(Exceeded { code, message: format!("the operation has {what} {found}, and at most {most} is allowed") })
}

/// Not every store can keep a NUL, so no text may have one.
fn nul_in_text() -> Exceeded {
    Exceeded { code: "BAD_USER_INPUT", message: "a text must not contain the character NUL (U+0000)".to_owned() }
}

/// Refuses variables with a NUL in a text; [`scan`] does so for the text of the document.
pub(crate) fn without_nul(variables: &Variables) -> Result<(), Exceeded> {
    if variables.values().any(holds_nul) { Err(nul_in_text()) } else { Ok(()) }
}

fn holds_nul(value: &ConstValue) -> bool {
    match value {
        ConstValue::String(text) => text.contains('\0'),
        ConstValue::List(items) => items.iter().any(holds_nul),
        ConstValue::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        ConstValue::Null | ConstValue::Number(_) | ConstValue::Boolean(_) | ConstValue::Enum(_) | ConstValue::Binary(_) => false,
    }
}

/// Whether a string, with its quotes, has the escape of a NUL. Block strings have no such escapes.
fn spells_nul(string: &[u8]) -> bool {
    let mut at = if string.starts_with(b"\"\"\"") { string.len() } else { 0 };
    while at < string.len() {
        if string[at..].starts_with(b"\\u0000") {
            return true;
        }
        at += if string[at] == b'\\' { 2 } else { 1 };
    }
    false
}

/// Looks over the text before it is parsed: its words, its strings, and how deep its brackets nest.
pub(crate) fn scan(query: &str) -> Result<(), Exceeded> {
    let bytes = query.as_bytes();
    let (mut at, mut tokens, mut nesting, mut deepest) = (0, 0_u32, 0_u32, 0_u32);
    let mut nul = bytes.contains(&0);
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at += match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => 1,
            b'#' => rest.iter().position(|b| *b == b'\n' || *b == b'\r').unwrap_or(rest.len()),
            b'"' => {
                tokens += 1;
                let length = string_length(rest);
                nul |= spells_nul(&rest[..length.min(rest.len())]);
                length
            }
            b if b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii() => {
                tokens += 1;
                rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii())).unwrap_or(rest.len())
            }
            mark => {
                tokens += 1;
                match mark {
                    b'{' | b'[' | b'(' => nesting += 1,
                    b'}' | b']' | b')' => nesting = nesting.saturating_sub(1),
                    _ => {}
                }
                deepest = deepest.max(nesting);
                1
            }
        };
    }
    if nul {
        return Err(nul_in_text());
    }
    within("TOKEN_LIMIT", "a number of tokens of", tokens.into(), TOKENS.into())?;
    within("DEPTH_LIMIT", "a nesting of", deepest.into(), NESTING.into())
}

/// The length of a string or block string that starts here; to the end of the text when it is not closed.
fn string_length(text: &[u8]) -> usize {
    let quotes: &[u8] = if text.starts_with(b"\"\"\"") { b"\"\"\"" } else { b"\"" };
    let mut at = quotes.len();
    while at < text.len() {
        if text[at] == b'\\' {
            at += 2;
        } else if text[at..].starts_with(quotes) {
            return at + quotes.len();
        } else {
            at += 1;
        }
    }
    text.len()
}

/// How large a part of an operation is.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    depth: u64,
    cost: u64,
    fields: u64,
    aliases: u64,
    directives: u64,
    /// Fields at its own level.
    top: u64,
    introspection_depth: u64,
    introspection_lists: u64,
    /// Whether it asks for the rows of a connection, in a fragment or not.
    rows: bool,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            depth: self.depth.max(other.depth),
            cost: self.cost.saturating_add(other.cost),
            fields: self.fields.saturating_add(other.fields),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            top: self.top.saturating_add(other.top),
            introspection_depth: self.introspection_depth.max(other.introspection_depth),
            introspection_lists: self.introspection_lists.max(other.introspection_lists),
            rows: self.rows || other.rows,
        }
    }
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    /// Each fragment is measured once, however often it is spread: a fragment bomb costs as much as its text.
    measured: BTreeMap<&'a str, Size>,
    open: BTreeSet<&'a str>,
}

/// Measures an operation and gives its cost: the fields that it may have answered.
///
/// # Errors
/// The first limit that it breaks.
pub(crate) fn measure(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Result<u64, Exceeded> {
    within("FRAGMENT_LIMIT", "a number of fragments of", document.fragments.len() as u64, FRAGMENTS as u64)?;
    let mut measure = Measure { document, operation, variables, measured: BTreeMap::new(), open: BTreeSet::new() };
    let size = measure.selection_set(&operation.selection_set.node)?;
    within("DEPTH_LIMIT", "a depth of", size.depth, DEPTH)?;
    within("DEPTH_LIMIT", "an introspection depth of", size.introspection_depth, INTROSPECTION_DEPTH)?;
    within("DEPTH_LIMIT", "an introspection of lists of lists of", size.introspection_lists, INTROSPECTION_LISTS)?;
    within("ROOT_FIELD_LIMIT", "a number of root fields of", size.top, ROOT_FIELDS)?;
    within("ALIAS_LIMIT", "a number of aliases of", size.aliases, ALIASES)?;
    within("DIRECTIVE_LIMIT", "a number of directives of", size.directives, DIRECTIVES)?;
    within("FIELD_LIMIT", "a number of fields of", size.fields, FIELDS)?;
    within("COST_LIMIT", "a cost of", size.cost, COST)?;
    Ok(size.cost)
}

impl<'a> Measure<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet) -> Result<Size, Exceeded> {
        set.items.iter().try_fold(Size::default(), |size, item| {
            let (next, directives) = match &item.node {
                Selection::Field(field) => (self.field(&field.node)?, field.node.directives.len()),
                Selection::FragmentSpread(spread) => {
                    (self.fragment(spread.node.fragment_name.node.as_str())?, spread.node.directives.len())
                }
                Selection::InlineFragment(fragment) => {
                    (self.selection_set(&fragment.node.selection_set.node)?, fragment.node.directives.len())
                }
            };
            let directives = Size { directives: directives as u64, ..Size::default() };
            Ok(size.beside(next).beside(directives))
        })
    }

    fn fragment(&mut self, name: &'a str) -> Result<Size, Exceeded> {
        if let Some(size) = self.measured.get(name) {
            return Ok(*size);
        }
        // An unknown fragment is for validation to report.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Size::default());
        };
        if !self.open.insert(name) {
            return Err(Exceeded { code: "FRAGMENT_CYCLE", message: format!("the fragment `{name}` contains itself") });
        }
        let size = self.selection_set(&fragment.node.selection_set.node)?;
        self.open.remove(name);
        self.measured.insert(name, size);
        Ok(size)
    }

    fn field(&mut self, field: &'a Field) -> Result<Size, Exceeded> {
        let inner = self.selection_set(&field.selection_set.node)?;
        let name = field.name.node.as_str();
        let mut size = Size {
            depth: inner.depth + 1,
            cost: inner.cost.saturating_mul(self.length(field, inner.rows)).saturating_add(1),
            fields: inner.fields.saturating_add(1),
            aliases: inner.aliases.saturating_add(u64::from(field.alias.is_some())),
            top: 1,
            introspection_depth: inner.introspection_depth + 1,
            introspection_lists: inner.introspection_lists,
            rows: matches!(name, "nodes" | "edges"),
            ..inner
        };
        match name {
            "fields" | "inputFields" | "interfaces" | "possibleTypes" => size.introspection_lists += 1,
            "__schema" | "__type" => return Ok(Size { depth: 1, ..size }),
            _ => {}
        }
        if !matches!(name, "__schema" | "__type") && field.selection_set.node.items.is_empty() {
            size.introspection_depth = 1;
        }
        Ok(size)
    }

    /// How often the fields inside are answered: the page asked for, or the usual length of such a list.
    fn length(&self, field: &Field, rows: bool) -> u64 {
        let numbers = ["first", "last"].into_iter().filter_map(|name| match self.argument(field, name)? {
            ConstValue::Number(number) => number.as_u64(),
            _ => None,
        });
        if let Some(page) = numbers.max() {
            return page.max(1);
        }
        if let Some(ConstValue::List(ids)) = self.argument(field, "ids") {
            return ids.len() as u64;
        }
        match field.name.node.as_str() {
            _ if rows => DEFAULT_PAGE,
            "sales" => SALES_ROWS,
            name if WHOLE_LISTS.contains(&name) => WHOLE_LIST,
            _ => 1,
        }
    }

    /// An argument as it will be when the operation runs: a variable that is not given has the default of its definition.
    fn argument(&self, field: &Field, name: &str) -> Option<ConstValue> {
        let value = field.get_argument(name)?.node.clone();
        value.into_const_with(|variable| self.variable(&variable).ok_or(())).ok()
    }

    fn variable(&self, name: &Name) -> Option<ConstValue> {
        self.variables.get(name).cloned().or_else(|| {
            let definition = self.operation.variable_definitions.iter().find(|definition| definition.node.name.node == *name)?;
            definition.node.default_value.as_ref().map(|value| value.node.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::{parse_query, types::DocumentOperations};

    fn cost(query: &str) -> Result<u64, &'static str> {
        scan(query).map_err(|e| e.code)?;
        let document = parse_query(query).unwrap();
        let DocumentOperations::Single(operation) = &document.operations else { panic!("one operation") };
        measure(&document, &operation.node, &Variables::from_json(serde_json::json!({ "n": 100 }))).map_err(|e| e.code)
    }

    #[test]
    fn a_list_costs_as_often_as_it_may_be_long() {
        assert_eq!(cost("{ a }"), Ok(1));
        assert_eq!(cost("{ a(first: 10) { nodes { b } } }"), Ok(21));
        assert_eq!(cost("query($n: Int) { a(first: $n) { nodes { b } } }"), Ok(201));
        assert_eq!(cost("{ a { nodes { b } } }"), Ok(41));
        assert_eq!(cost("{ nodes(ids: [1, 2, 3]) { b } }"), Ok(4));
        assert_eq!(cost("{ a(first: 100) { nodes { b(first: 100) { nodes { c } } } } }"), Err("COST_LIMIT"));
    }

    #[test]
    fn the_default_of_a_variable_counts_when_the_variable_is_not_given() {
        let orders = "orders(first: $size) { nodes { payments { id refunds { id reason at } } } }";
        assert_eq!(cost(&format!("query($size: Int = 100) {{ {orders} }}")), Err("COST_LIMIT"));
        assert_eq!(cost("query($n: Int = 5) { a(first: $n) { nodes { b } } }"), Ok(201), "the given value, not the default");
    }

    #[test]
    fn rows_asked_for_in_a_fragment_are_rows() {
        let plain = cost("{ products { nodes { title } } }");
        assert_eq!(plain, Ok(41));
        assert_eq!(cost("{ products { ...F } } fragment F on ProductConnection { nodes { title } }"), plain);
        assert_eq!(cost("{ products { ... on ProductConnection { nodes { title } } } }"), plain);
        let nested = "{ products { ...F } } fragment F on ProductConnection { nodes { variants { product { variants { \
                      prices { price { amountMinor } } } } } } }";
        assert_eq!(cost(nested), Err("COST_LIMIT"));
    }

    #[test]
    fn lists_without_pages_count_although_types_lead_back_to_themselves() {
        let round = "{ products(first: 100) { nodes { variants { product { variants { sku price { amountMinor } } } } } } }";
        assert_eq!(cost(round), Err("COST_LIMIT"));
        let sales = "{ sales { units orders gross { amountMinor } net { amountMinor } } }";
        assert!(cost(sales).is_ok());
        assert_eq!(cost(&format!("{{ {} }}", "sales { units orders orders units orders } ".repeat(5))), Err("COST_LIMIT"));
    }

    #[test]
    fn the_catalog_with_variants_and_prices_stays_within_the_limit() {
        let prices = "{ products(first: 20) { nodes { id title slug variants { sku name price { amountMinor currency } } } } }";
        assert!(cost(prices).is_ok());
        let stock = "{ products(first: 100) { nodes { variants { sku price { amountMinor } availability { available } } } } }";
        assert!(cost(stock).is_ok());
    }

    #[test]
    fn each_limit_is_refused_by_its_name() {
        let many = |part: &str, n: usize| format!("{{ {} }}", part.repeat(n));
        assert_eq!(cost(&format!("{}a{}", "{ a ".repeat(20), "}".repeat(20))), Err("DEPTH_LIMIT"));
        assert_eq!(cost(&format!("{}a{}", "{a".repeat(20_000), "}".repeat(20_000))), Err("TOKEN_LIMIT"));
        assert_eq!(cost(&format!("{{ a(x: {}1{}) }}", "[".repeat(500), "]".repeat(500))), Err("DEPTH_LIMIT"));
        assert_eq!(cost(&many("a ", 31)), Err("ROOT_FIELD_LIMIT"));
        assert_eq!(cost(&format!("{{ a {} }}", many("x: b ", 101))), Err("ALIAS_LIMIT"));
        assert_eq!(cost(&format!("{{ a {} }}", many("b ", 2_001))), Err("FIELD_LIMIT"));
        assert_eq!(cost(&format!("{{ a {} }}", "@include(if: true) ".repeat(51))), Err("DIRECTIVE_LIMIT"));
        assert_eq!(cost("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"), Err("FRAGMENT_CYCLE"));
    }

    #[test]
    fn a_fragment_bomb_is_measured_in_no_time_and_refused() {
        let mut text = "{ a { ...f0 } } ".to_owned();
        for n in 0..60 {
            text += &format!("fragment f{n} on T {{ ...f{} ...f{} }} ", n + 1, n + 1);
        }
        text += "fragment f60 on T { x }";
        assert_eq!(cost(&text), Err("FIELD_LIMIT"));
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let brackets = "{".repeat(200);
        assert!(
            scan(&format!("{{ a(x: \"{brackets}\\\"{brackets}\", y: \"\"\"{brackets}\"{brackets}\"\"\") }} # {brackets}"))
                .is_ok()
        );
    }

    #[test]
    fn the_usual_introspection_passes_and_types_of_types_of_types_do_not() {
        let usual = "{ __schema { types { fields { args { type { ofType { ofType { ofType { ofType { ofType { ofType { \
                     ofType { ofType { name } } } } } } } } } } } } } }";
        assert!(cost(usual).is_ok());
        let hostile = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }";
        assert_eq!(cost(hostile), Err("DEPTH_LIMIT"));
    }
}
