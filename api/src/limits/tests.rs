//! What is measured, and what is refused by which name.

use super::*;
use async_graphql::parser::{parse_query, types::DocumentOperations};

fn cost(query: &str) -> Result<u64, &'static str> {
    scan(query).map_err(|e| e.code)?;
    let document = parse_query(query).unwrap();
    let DocumentOperations::Single(operation) = &document.operations else { panic!("one operation") };
    let variables = Variables::from_json(serde_json::json!({ "n": 100 }));
    measure(&document, &operation.node, &variables).map(|measured| measured.cost).map_err(|e| e.code)
}

#[test]
fn attempts_to_sign_in_and_questions_about_the_schema_are_found_wherever_they_stand() {
    let found = |query: &str| {
        let document = parse_query(query).unwrap();
        let DocumentOperations::Single(operation) = &document.operations else { panic!("one operation") };
        let measured = measure(&document, &operation.node, &Variables::default()).unwrap();
        (measured.sign_ins, measured.introspects)
    };
    assert_eq!(found("mutation { a: login { x } b: login { x } tokenRefresh { login } }"), (2, false));
    let hidden = "mutation { ...A ... on Mutation { login { x } } } fragment A on Mutation { ...B ...B } \
                  fragment B on Mutation { accountRegister { x } }";
    assert_eq!(found(hidden), (3, false));
    assert_eq!(found("{ ...A } fragment A on Query { x: __schema { y } }"), (0, true));
    assert_eq!(found("{ __typename a { __type } }"), (0, false));
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
fn a_category_as_it_was_costs_the_tree_that_is_read_for_it() {
    assert_eq!(cost("{ category(id: 1) { name } }"), Ok(2));
    assert_eq!(cost("{ category(id: 1, asOf: null) { name } }"), Ok(2));
    assert_eq!(cost("{ category(id: 1, asOf: { position: 3 }) { name } }"), Ok(101));
    assert_eq!(cost("{ category(id: 1, asOf: { position: $none }) { name } }"), Ok(101));
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
    assert_eq!(cost(&many(",\t", 50_001)), Err("IGNORED_LIMIT"));
    assert_eq!(cost(&many("\u{feff}", 34_000)), Err("IGNORED_LIMIT"));
    assert_eq!(cost(&format!("{{ {} }}", "a".repeat(129))), Err("NAME_LIMIT"));
    assert_eq!(cost(&format!("{{ a(x: {}) }}", "9".repeat(129))), Err("NAME_LIMIT"));
    assert_eq!(cost(&format!("{{ a(x: {{y: [[{}]]}}) }}", "1 ".repeat(251))), Err("LIST_LIMIT"));
    assert_eq!(cost(&format!("query($x: [Int!] = [{}]) {{ a(x: $x) }}", "1 ".repeat(251))), Err("LIST_LIMIT"));
    assert!(cost(&format!("{{ a(x: [{}]) }}", "1 ".repeat(250))).is_ok());
    let list = |length: usize| Variables::from_json(serde_json::json!({ "x": { "y": vec![1; length] } }));
    assert!(check_variables(&list(250)).is_ok());
    assert_eq!(check_variables(&list(251)).map_err(|exceeded| exceeded.code), Err("LIST_LIMIT"));
}

#[test]
fn a_fragment_bomb_is_measured_in_no_time_and_refused() {
    let mut text = "{ a { ...f0 } } ".to_owned();
    for n in 0..60 {
        text += &format!("fragment f{n} on T {{ ...f{} ...f{} }} ", n + 1, n + 1);
    }
    assert_eq!(cost(&format!("{text} fragment f60 on T {{ x }}")), Err("FIELD_LIMIT"));
    // Nothing is inside: the last fragment is not there.
    assert_eq!(cost(&text), Err("FIELD_LIMIT"));
    assert_eq!(cost(&text.replace("{ a { ...f0 } }", "{ ...f0 }")), Err("FIELD_LIMIT"));
    assert_eq!(cost(&format!("{{ a {} }}", "...F ".repeat(2_001))), Err("FIELD_LIMIT"));
    assert_eq!(cost("{ a ...F }"), Ok(1), "an unknown fragment is for validation to report");
}

#[test]
fn brackets_in_strings_and_comments_do_not_count() {
    let brackets = "{".repeat(200);
    assert!(
        scan(&format!("{{ a(x: \"{brackets}\\\"{brackets}\", y: \"\"\"{brackets}\"{brackets}\"\"\") }} # {brackets}")).is_ok()
    );
}

#[test]
fn a_document_at_the_limit_is_parsed_and_one_beyond_it_is_not() {
    let code = |text: &str| scan(text).map_err(|exceeded| exceeded.code);
    let tokens = |count: usize| format!("{{{}}}", "a ".repeat(count - 2));
    assert_eq!((code(&tokens(10_000)), code(&tokens(10_001))), (Ok(()), Err("TOKEN_LIMIT")));
    assert!(parse_query(tokens(10_000)).is_ok());
    for (one, bytes) in [(",", 1), ("\n", 1), ("\u{feff}", 3)] {
        let blanks = |length: usize| format!("{{a{}}}", one.repeat(length / bytes));
        assert_eq!((code(&blanks(99_999)), code(&blanks(100_002))), (Ok(()), Err("IGNORED_LIMIT")), "{one:?}");
        assert!(parse_query(blanks(99_999)).is_ok(), "{one:?}");
    }
    let comment = |length: usize| format!("{{a}}#{}", "x".repeat(length - 1));
    assert_eq!((code(&comment(100_000)), code(&comment(100_001))), (Ok(()), Err("IGNORED_LIMIT")));
    assert!(parse_query(comment(100_000)).is_ok());
}

#[test]
fn a_string_ends_where_the_parser_ends_it_and_without_an_end_it_is_refused_before() {
    for open in ["\"", "\"a\\\"", "\"\"\"a\"\"", "\"\"\"a\\\"\"\"", "\"\"\"a\\\\\"\"\" b"] {
        let text = format!("{{ a(x: {open}");
        let refused = scan(&format!("query {{\n  {}", &text[2..])).unwrap_err();
        assert_eq!((refused.code, refused.at), ("GRAPHQL_PARSE_FAILED", Some(Pos { line: 2, column: 8 })), "{text}");
        assert!(parse_query(format!("{text}) }}")).is_err(), "{text}");
    }
    for closed in ["\"\"", "\"\\\\\"", "\"\"\"\"\"\"", "\"\"\"a\\\\\"\"\" b\"\"\"", "\"\"\"a\\ \"\"\""] {
        assert_eq!(cost(&format!("{{ a(x: {closed}) }}")), Ok(1), "{closed}");
    }
}

#[test]
fn the_usual_introspection_passes_and_types_of_types_of_types_do_not() {
    let usual = "{ __schema { types { fields { args { type { ofType { ofType { ofType { ofType { ofType { ofType { \
                 ofType { ofType { name } } } } } } } } } } } } } }";
    assert!(cost(usual).is_ok());
    let hostile = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }";
    assert_eq!(cost(hostile), Err("DEPTH_LIMIT"));
}
