//! What a single operation may ask for: measured before anything runs, and refused by name.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::{
    Name, Pos, Value as ConstValue, Variables,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};

/// Letters of a name, and digits of a number. Ours are shorter, and a name that is none is compared with all of ours.
const NAME: usize = 128;
/// Things in a list that is sent along: a product may have so many variants, and no list that is taken is longer.
const LIST: u64 = 250;
/// Brackets inside brackets, before the text is parsed: parsing recurses.
const NESTING: u32 = 60;
/// Words and marks in the text.
const TOKENS: u32 = 10_000;
/// Bytes of blanks, commas and comments between them. The parser takes its time for each.
const IGNORED: usize = 100_000;
/// Fields inside fields.
const DEPTH: u64 = 15;
/// Fields inside fields of an introspection query, which asks types of types.
const INTROSPECTION_DEPTH: u64 = 20;
/// Lists of types inside lists of types of an introspection query.
const INTROSPECTION_LISTS: u64 = 3;
/// Fields that may be answered, a list counted as often as it may be long.
pub(crate) const COST: u64 = 20_000;
/// Fields as written, fragments counted where they are used, and each use as one more.
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
/// What a category as it was costs by itself: all categories are read for it, to know the tree as it was.
const WHOLE_TREE: u64 = 100;
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

/// Mutations that try a password, a code or a proof, or send a mail: a stranger may try them a few times a minute only.
const SIGN_INS: [&str; 16] = [
    "accountRegister",
    "accountVerificationResend",
    "accountVerify",
    "adminClaim",
    "emailChangeConfirm",
    "emailChangeRequest",
    "login",
    "loginSecondFactor",
    "oidcLoginBegin",
    "oidcLoginFinish",
    "passkeyLoginBegin",
    "passkeyLoginFinish",
    "passwordChange",
    "passwordReset",
    "passwordResetRequest",
    "secondFactorConfirm",
];

/// A limit that an operation breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// The stable name of the limit.
    pub(crate) code: &'static str,
    /// What the client reads.
    pub(crate) message: String,
    /// Where it is broken, if that is one place.
    pub(crate) at: Option<Pos>,
}

fn within(code: &'static str, what: &str, found: u64, most: u64) -> Result<(), Exceeded> {
    if found <= most {
        return Ok(());
    }
    Err(Exceeded { code, message: format!("the operation has {what} {found}, and at most {most} is allowed"), at: None })
}

/// Not every store can keep a NUL, so no text may have one.
fn nul_in_text() -> Exceeded {
    Exceeded { code: "BAD_USER_INPUT", message: "a text must not contain the character NUL (U+0000)".to_owned(), at: None }
}

/// Refuses variables with a NUL in a text, or with a list that is too long; [`scan`] and [`measure`] do so for the document.
pub(crate) fn check_variables(variables: &Variables) -> Result<(), Exceeded> {
    if variables.values().any(holds_nul) {
        return Err(nul_in_text());
    }
    within_lists(variables.values().map(longest_list).max().unwrap_or_default())
}

fn within_lists(longest: u64) -> Result<(), Exceeded> {
    within("LIST_LIMIT", "a list with a length of", longest, LIST)
}

/// The length of the longest list in a value.
fn longest_list(value: &ConstValue) -> u64 {
    match value {
        ConstValue::List(items) => items.iter().map(longest_list).fold(items.len() as u64, u64::max),
        ConstValue::Object(fields) => fields.values().map(longest_list).max().unwrap_or_default(),
        _ => 0,
    }
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
    let (mut nul, mut longest_name, mut ignored) = (bytes.contains(&0), 0, 0);
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at += match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                ignored += 1;
                1
            }
            // A byte order mark counts as a blank wherever it stands.
            0xef if rest.starts_with("\u{feff}".as_bytes()) => {
                ignored += 3;
                3
            }
            b'#' => {
                let length = rest.iter().position(|b| *b == b'\n' || *b == b'\r').unwrap_or(rest.len());
                ignored += length;
                length
            }
            b'"' => {
                tokens += 1;
                let length = string_length(rest).ok_or_else(|| string_without_end(&query[..at]))?;
                nul |= spells_nul(&rest[..length]);
                length
            }
            b if b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii() => {
                tokens += 1;
                let is_inside = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !(b.is_ascii() || *b == 0xef);
                let length = 1 + rest[1..].iter().position(|b| !is_inside(b)).unwrap_or(rest.len() - 1);
                longest_name = longest_name.max(length);
                length
            }
            mark => {
                tokens += 1;
                match mark {
                    b'{' | b'[' | b'(' => nesting += 1,
                    b'}' | b']' | b')' => nesting = nesting.saturating_sub(1),
                    _ => {}
                }
                deepest = deepest.max(nesting);
                if rest.starts_with(b"...") { 3 } else { 1 }
            }
        };
    }
    if nul {
        return Err(nul_in_text());
    }
    within("NAME_LIMIT", "a name with a length of", longest_name as u64, NAME as u64)?;
    within("TOKEN_LIMIT", "a number of tokens of", tokens.into(), TOKENS.into())?;
    within("IGNORED_LIMIT", "blanks, commas and comments with a length of", ignored as u64, IGNORED as u64)?;
    within("DEPTH_LIMIT", "a nesting of", deepest.into(), NESTING.into())
}

/// A string that begins behind a text and is not closed. The parser takes long to find that, when much follows.
fn string_without_end(before: &str) -> Exceeded {
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let message = format!("the string that begins at line {line}, column {column} has no end");
    Exceeded { code: "GRAPHQL_PARSE_FAILED", message, at: Some(Pos { line, column }) }
}

/// The length of a string or block string that starts here; none when it is not closed. In a block string a backslash means
/// itself, but for `\"""` (GraphQL, 2.9.4).
fn string_length(text: &[u8]) -> Option<usize> {
    let (quotes, escape): (&[u8], &[u8]) = if text.starts_with(b"\"\"\"") { (b"\"\"\"", b"\\\"\"\"") } else { (b"\"", b"\\") };
    let mut at = quotes.len();
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with(quotes) {
            return Some(at + quotes.len());
        }
        // Of a string, whatever follows the backslash is skipped with it.
        at += if rest.starts_with(escape) { escape.len().max(2) } else { 1 };
    }
    None
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
    /// Attempts to sign in at its own level.
    sign_ins: u32,
    /// Whether it asks for the schema at its own level.
    introspects: bool,
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
            sign_ins: self.sign_ins.saturating_add(other.sign_ins),
            introspects: self.introspects || other.introspects,
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

/// What an operation within the limits asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// The fields that it may have answered.
    pub(crate) cost: u64,
    /// How often it tries to sign in, to register or to reset a password.
    pub(crate) sign_ins: u32,
    /// Whether it asks for the schema.
    pub(crate) introspects: bool,
}

/// Measures an operation.
///
/// # Errors
/// The first limit that it breaks.
pub(crate) fn measure(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Result<Measured, Exceeded> {
    within("FRAGMENT_LIMIT", "a number of fragments of", document.fragments.len() as u64, FRAGMENTS as u64)?;
    let defaults = operation.variable_definitions.iter().filter_map(|definition| definition.node.default_value.as_ref());
    within_lists(defaults.map(|value| longest_list(&value.node)).max().unwrap_or_default())?;
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
    Ok(Measured { cost: size.cost, sign_ins: size.sign_ins, introspects: size.introspects })
}

impl<'a> Measure<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet) -> Result<Size, Exceeded> {
        set.items.iter().try_fold(Size::default(), |size, item| {
            let (next, directives) = match &item.node {
                Selection::Field(field) => (self.field(&field.node)?, field.node.directives.len()),
                Selection::FragmentSpread(spread) => {
                    let inside = self.fragment(spread.node.fragment_name.node.as_str())?;
                    // One by itself: whatever follows a spread takes time for it, also where nothing is inside.
                    (Size { fields: inside.fields.saturating_add(1), ..inside }, spread.node.directives.len())
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
            return Err(Exceeded { code: "FRAGMENT_CYCLE", message: format!("the fragment `{name}` contains itself"), at: None });
        }
        let size = self.selection_set(&fragment.node.selection_set.node)?;
        self.open.remove(name);
        self.measured.insert(name, size);
        Ok(size)
    }

    fn field(&mut self, field: &'a Field) -> Result<Size, Exceeded> {
        for (_, value) in &field.arguments {
            // Variables were checked before, and their defaults are with the operation.
            let written = value.node.clone().into_const_with(|_| Ok::<_, ()>(ConstValue::Null)).unwrap_or_default();
            within_lists(longest_list(&written))?;
        }
        let inner = self.selection_set(&field.selection_set.node)?;
        let name = field.name.node.as_str();
        let mut size = Size {
            depth: inner.depth + 1,
            cost: inner.cost.saturating_mul(self.length(field, inner.rows)).saturating_add(self.own_cost(field)),
            fields: inner.fields.saturating_add(1),
            aliases: inner.aliases.saturating_add(u64::from(field.alias.is_some())),
            top: 1,
            introspection_depth: inner.introspection_depth + 1,
            introspection_lists: inner.introspection_lists,
            rows: matches!(name, "nodes" | "edges"),
            sign_ins: u32::from(SIGN_INS.contains(&name)),
            introspects: matches!(name, "__schema" | "__type"),
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

    /// What a field costs before those inside it.
    fn own_cost(&self, field: &Field) -> u64 {
        let is_past = || field.get_argument("asOf").is_some() && self.argument(field, "asOf") != Some(ConstValue::Null);
        if field.name.node == "category" && is_past() { WHOLE_TREE } else { 1 }
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
mod tests;
