//! The example operations of `docs/api/operations`: run one after the other as its README says, against a shop with the past
//! of the demo; and every root field of the schema is in one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};

use crate::{
    codes::{code_of, code_of_app, code_of_mail},
    process::{Process, bearer},
};

const LONG: Duration = Duration::from_secs(60);

/// A document with what it is run with.
struct Example {
    /// Its path below `docs/api/operations`, without the ending.
    path: String,
    document: String,
    /// `query`, `mutation` or `subscription`.
    kind: String,
    name: String,
    runs: Vec<Run>,
}

/// One run of an example.
struct Run {
    /// Under which name later examples find its answer.
    name: String,
    /// A role, the path of a token in an earlier answer, or none for a guest.
    caller: Option<String>,
    variables: Value,
    /// The code of the refusal that is the right answer.
    refused: Option<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/operations"))
}

/// The kind and the name of the operation of a document: of its first line that is no comment.
fn operation(document: &str) -> (&str, &str) {
    let line = document.lines().find(|line| !line.starts_with('#') && !line.is_empty()).unwrap_or_default();
    let mut words = line.split([' ', '(', '{']);
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

impl Run {
    fn of(run: &Value, operation: &str) -> Self {
        let known = ["as", "name", "refused", "variables"];
        let unknown = run.as_object().unwrap().keys().find(|key| !known.contains(&key.as_str()));
        assert_eq!(unknown, None, "{operation}: a run has {known:?} only");
        let text = |key: &str| run.get(key).map(|text| text.as_str().unwrap().to_owned());
        Self {
            name: text("name").unwrap_or_else(|| operation.to_owned()),
            caller: text("as"),
            variables: run.get("variables").cloned().unwrap_or_else(|| json!({})),
            refused: text("refused"),
        }
    }
}

impl Example {
    fn read(file: &Path) -> Self {
        let path = file.strip_prefix(folder()).unwrap().with_extension("").display().to_string();
        let document = std::fs::read_to_string(file).unwrap();
        let (kind, name) = operation(&document);
        assert!(["query", "mutation", "subscription"].contains(&kind) && !name.is_empty(), "{path}: `{kind} {name}`");
        let given = std::fs::read_to_string(file.with_extension("json")).map(|text| serde_json::from_str(&text).unwrap());
        let runs = match given {
            Ok(Value::Array(runs)) => runs,
            Ok(run) => vec![run],
            Err(_) => vec![json!({})],
        };
        let runs = runs.iter().map(|run| Run::of(run, name)).collect();
        Self { path, kind: kind.to_owned(), name: name.to_owned(), runs, document }
    }
}

/// All examples, in the order in which they are run.
fn examples() -> Vec<Example> {
    let mut files = Vec::new();
    for flow in std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        files.extend(std::fs::read_dir(flow).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.sort();
    let alone = files.iter().find(|file| !file.with_extension("graphql").exists());
    assert_eq!(alone, None, "variables without an operation");
    files
        .iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "graphql"))
        .map(|file| Example::read(file))
        .collect()
}

/// What examples answered, and where else they find what they need.
#[derive(Default)]
struct Answers {
    by_run: BTreeMap<String, Value>,
    /// Up to where the log was written.
    position: u64,
    /// The folder of the shop.
    data: PathBuf,
    /// The link that makes the first admin.
    admin_link: Option<String>,
}

impl Answers {
    /// What stands at a path such as `CreateCart.cartCreate.cart.id`, or what `mail`, `serve` and `totp` stand for.
    fn at(&self, path: &str) -> Value {
        let (run, fields) = path.split_once('.').unwrap();
        match run {
            "mail" => return code_of_mail(&self.data, fields).into(),
            "serve" => return code_of(self.admin_link.as_deref().unwrap(), fields).unwrap().into(),
            "totp" => return code_of_app(self.at(fields).as_str().unwrap(), 0).into(),
            _ => {}
        }
        let answer = self.by_run.get(run).unwrap_or_else(|| panic!("${path}: nothing called {run} was run before"));
        let found = answer.pointer(&format!("/{}", fields.replace('.', "/")));
        found.filter(|value| !value.is_null()).unwrap_or_else(|| panic!("${path}: nothing is there in {answer}")).clone()
    }

    /// A value in which each text `$PATH` is what stands there.
    fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => text.strip_prefix('$').map_or_else(|| value.clone(), |path| self.at(path)),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.fill(value))).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }
}

/// The first answer of an event stream.
async fn first_event(mut response: reqwest::Response) -> Value {
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        let event = text.split("\n\n").find_map(|event| event.strip_prefix("event: next\ndata: ")?.strip_suffix('}'));
        if let Some(data) = event {
            return serde_json::from_str(&format!("{data}}}")).unwrap();
        }
    }
    panic!("the events ended: {text}")
}

/// Checks an answer: nothing is wrong with it, nothing is missing, and it is refused as it should be.
fn check(answer: &Value, refused: Option<&str>) -> Result<(), String> {
    let fields = answer["data"].as_object().filter(|_| answer.get("errors").is_none()).ok_or("there are errors")?;
    for (name, field) in fields {
        if field.is_null() {
            return Err(format!("{name} is null"));
        }
        let codes: Vec<_> = field["userErrors"].as_array().into_iter().flatten().map(|error| error["code"].as_str()).collect();
        if codes != refused.map(Some).into_iter().collect::<Vec<_>>() {
            return Err(format!("{name} has userErrors {codes:?}, not {refused:?}"));
        }
    }
    Ok(())
}

/// Runs one example; gives the root fields that it answered.
async fn run(shop: &Process, example: &Example, answers: &mut Answers) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for run in &example.runs {
        let body = json!({ "query": example.document, "variables": answers.fill(&run.variables) });
        let accept = if example.kind == "subscription" { "text/event-stream" } else { "application/graphql-response+json" };
        let mut request = reqwest::Client::new().post(format!("{}/graphql", shop.url)).header("Accept", accept).json(&body);
        request = request.header("Daybook-Min-Position", answers.position);
        if let Some(caller) = &run.caller {
            let authorization = match caller.strip_prefix('$') {
                Some(path) => format!("Bearer {}", answers.at(path).as_str().unwrap()),
                None => bearer(&answers.data, caller, &[]),
            };
            request = request.header("Authorization", authorization);
        }
        let answer = async {
            let response = request.send().await.unwrap();
            if example.kind == "subscription" { first_event(response).await } else { response.json::<Value>().await.unwrap() }
        };
        let answer = tokio::time::timeout(LONG, answer).await.unwrap_or_else(|_| panic!("{}: no answer", example.path));
        if let Err(wrong) = check(&answer, run.refused.as_deref()) {
            panic!("{}, {}: {wrong}\nvariables: {}\nanswer: {answer}", example.path, run.name, body["variables"]);
        }
        for (name, field) in answer["data"].as_object().unwrap() {
            fields.insert(format!("{} {name}", example.kind));
            answers.position = answers.position.max(field["position"].as_u64().unwrap_or_default());
        }
        let twice = answers.by_run.insert(run.name.clone(), answer["data"].clone());
        assert!(twice.is_none(), "{}: two runs are called {}", example.path, run.name);
    }
    fields
}

/// The fields of `Query`, `Mutation` and `Subscription` in a schema as it is kept: `query orders`.
pub fn root_fields(schema: &str) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for (kind, root) in [("query", "Query"), ("mutation", "Mutation"), ("subscription", "Subscription")] {
        let body = schema.split(&format!("\ntype {root} {{\n")).nth(1).unwrap().split("\n}").next().unwrap();
        // Between two pairs of quotes stands a description, whose lines can look like fields.
        let own = body.split("\"\"\"").step_by(2).flat_map(str::lines).filter_map(|line| line.strip_prefix('\t'));
        let named = own.filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()));
        fields.extend(named.filter_map(|line| Some(format!("{kind} {}", line.split_once(['(', ':'])?.0))));
    }
    fields
}

/// What is wrong with the fields that the examples use: those in none of them without a reason, and reasons without need.
fn uncovered(fields: &BTreeSet<String>, used: &BTreeSet<String>, exceptions: &Map<String, Value>) -> Vec<String> {
    let missing = fields.difference(used).filter(|field| exceptions.get(*field).is_none_or(|reason| reason == ""));
    let missing = missing.map(|field| format!("no example uses `{field}`"));
    let needless = exceptions.keys().filter(|field| used.contains(*field) || !fields.contains(*field));
    missing.chain(needless.map(|field| format!("`{field}` is no exception"))).collect()
}

/// A store with a second location, as the example of a transfer has it.
fn open_a_back_room(data: &Path) {
    drop(Process::serve(data));
    let file = data.join("store.json");
    let mut store: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    store["locations"] = json!(["main", "backroom"]);
    std::fs::write(file, store.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_operation_runs_without_an_error_and_every_root_field_is_in_one() {
    let data = tempfile::tempdir().unwrap();
    open_a_back_room(data.path());
    // Nothing of the examples' webhook leaves this machine.
    let settings = [("DAYBOOK_DEMO", "true"), ("DAYBOOK_WEBHOOK_ALLOW", "127.0.0.0/8"), ("DAYBOOK_RATE_LIMIT", "off")];
    let shop = Process::serve_with(data.path(), &settings);
    let mut answers = Answers { data: data.path().to_owned(), admin_link: shop.admin_link.clone(), ..Answers::default() };
    let (mut used, examples) = (BTreeSet::new(), examples());
    let names: BTreeSet<_> = examples.iter().map(|example| example.name.as_str()).collect();
    assert_eq!(names.len(), examples.len(), "each operation has a name of its own");
    for example in &examples {
        used.extend(run(&shop, example, &mut answers).await);
    }
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../api/schema.graphql")).unwrap();
    let exceptions = std::fs::read_to_string(folder().join("exceptions.json")).unwrap();
    let uncovered = uncovered(&root_fields(&schema), &used, &serde_json::from_str(&exceptions).unwrap());
    assert!(uncovered.is_empty(), "{}", uncovered.join("\n"));
    println!("{} examples in {} runs use all of {} root fields", examples.len(), answers.by_run.len(), used.len());
}

#[test]
fn a_field_without_an_example_and_a_reason_without_need_are_found() {
    let schema = "\ntype Mutation {\n\ta(\n\t\tinput: In!\n\t): A!\n}\n\
                  type Query {\n\t\"\"\"\n\tText: b.\n\t\"\"\"\n\tb: Int\n\tc: Int\n}\n\
                  type Subscription {\n\td: Int\n}\n";
    let fields = root_fields(schema);
    assert_eq!(fields, ["mutation a", "query b", "query c", "subscription d"].map(str::to_owned).into());
    let used = ["mutation a", "subscription d"].map(str::to_owned).into();
    let exceptions = json!({ "mutation a": "it was new", "query c": "it needs a browser", "query e": "it was removed" });
    let expected = ["no example uses `query b`", "`mutation a` is no exception", "`query e` is no exception"];
    assert_eq!(uncovered(&fields, &used, exceptions.as_object().unwrap()), expected);
}

#[test]
fn an_answer_that_is_not_as_it_should_be_is_found() {
    let refused = |code: &str| json!({ "data": { "a": { "userErrors": [{ "code": code }] } } });
    assert_eq!(check(&json!({ "data": { "a": 1 } }), None), Ok(()));
    assert_eq!(check(&refused("NOT_PAID"), Some("NOT_PAID")), Ok(()));
    for (answer, code) in [
        (json!({ "errors": [] }), None),
        (json!({ "data": { "a": 1 }, "errors": [] }), None),
        (json!({ "data": { "a": null } }), None),
        (refused("NOT_PAID"), None),
        (refused("NOT_PAID"), Some("NOT_FOUND")),
        (json!({ "data": { "a": { "userErrors": [] } } }), Some("NOT_PAID")),
    ] {
        assert!(check(&answer, code).is_err(), "{answer}");
    }
}
