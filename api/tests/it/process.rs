//! The binary as a process: its folder, its verbs, its exit codes.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

pub fn daybook(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command.env("DAYBOOK_DATA", folder);
    command
}

/// A child process that is killed, as kill -9 does, when this goes: also when an assertion fails.
pub struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It fails only when the process has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serving(folder: &Path) -> (Killed, String) {
    served(daybook(folder))
}

fn served(command: Command) -> (Killed, String) {
    let (child, said) = opened(command, &[]);
    (child, said["url"].as_str().unwrap().to_owned())
}

/// A shop that is served with these flags, and what it says once it is open.
pub fn opened(mut command: Command, flags: &[&str]) -> (Killed, Value) {
    command.args(["serve", "--listen", "127.0.0.1:0", "--json"]).args(flags).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_and_the_first_stops_with_exit_code_0() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, _) = serving(folder.path());
    let second = daybook(folder.path()).args(["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(errors(&second).contains("in use by another daybook process"), "{}", errors(&second));
    // Nor is it let in by another way, where it would have a vault of its own.
    let log = format!("sqlite:{}", folder.path().join("events.db").display());
    let other = tempfile::tempdir().unwrap();
    let third = daybook(other.path()).args(["serve", "--listen", "127.0.0.1:0", "--events", &log]).output().unwrap();
    assert_eq!(third.status.code(), Some(1));
    assert!(errors(&third).contains("must be in PostgreSQL"), "{}", errors(&third));
    let stopped = Command::new("kill").args(["-TERM", &first.0.id().to_string()]).status().unwrap();
    assert!(stopped.success() && first.0.wait().unwrap().success());
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = daybook(&file.join("shop")).args(["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("cannot be used"), "{}", errors(&output));
}

#[test]
fn a_token_is_one_line_and_a_wrong_role_is_a_wrong_flag() {
    let folder = tempfile::tempdir().unwrap();
    drop(serving(folder.path()));
    let token = daybook(folder.path()).args(["token", "--role", "auditor", "--ttl", "1m"]).output().unwrap();
    let line = String::from_utf8(token.stdout).unwrap();
    assert!(token.status.success() && line.trim().split('.').count() == 3 && line.lines().count() == 1);
    let wrong = daybook(folder.path()).args(["token", "--role", "king"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = std::fs::metadata(folder.path().join("vault.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_token_for_a_shop_that_is_not_there_makes_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let typo = folder.path().join("shpo");
    let token = daybook(&typo).args(["token", "--role", "auditor"]).output().unwrap();
    assert_eq!((token.status.code(), typo.exists()), (Some(1), false));
    assert!(errors(&token).contains("shpo cannot be used"), "{}", errors(&token));
}

#[test]
fn where_there_is_no_shop_nothing_is_made_but_by_who_opens_one() {
    let folder = tempfile::tempdir().unwrap();
    let verbs: [&[&str]; 7] = [
        &["token", "--role", "auditor"],
        &["token", "--role", "auditor", "--events", "sqlite:elsewhere.db"],
        &["keys", "rotate"],
        &["keys", "rotate-notary"],
        &["vault", "rekey", "--new-key", "new.key"],
        &["person", "export", "--customer", "zofia"],
        &["serve", "--listen", "127.0.0.1:0", "--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"],
    ];
    for verb in verbs {
        let output = daybook(folder.path()).args(verb).output().unwrap();
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{verb:?}: {said}");
        assert!(said.contains("there is no shop in the data folder") || said.contains("nowhere.pem"), "{verb:?}: {said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{verb:?}");
    }
}

#[test]
fn who_would_work_on_a_shop_that_is_served_is_told_what_does_it_there() {
    let folder = tempfile::tempdir().unwrap();
    let (_served, _) = serving(folder.path());
    let who = ["--customer", "zofia"];
    let verbs: [(&[&str], &str); 5] = [
        (&["export"], "query `person(…) { data }`"),
        (&["erase", "--reason", "case 7"], "mutation `personErase`"),
        (&["approve"], "mutation `personErasureApprove`"),
        (&["hold", "--name", "case 7", "--reason", "a lawsuit"], "mutation `legalHoldPlace`"),
        (&["release", "--name", "case 7"], "mutation `legalHoldLift`"),
    ];
    for (verb, instead) in verbs {
        let output = daybook(folder.path()).arg("person").args(verb).args(who).output().unwrap();
        assert!(output.status.code() == Some(1) && errors(&output).contains(instead), "{}", errors(&output));
    }
}

#[test]
fn an_import_of_own_rows_fails_when_rows_were_refused_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stock.csv");
    let import = |rows: &str| {
        std::fs::write(&file, format!("sku,location,quantity,reference\n{rows}")).unwrap();
        daybook(&folder.path().join("shop")).args(["import", "csv", "stock"]).arg(&file).output().unwrap()
    };
    let whole = import("TEA,main,40,D-17\n");
    assert!(whole.status.success(), "{}", errors(&whole));
    let partly = import("TEA,main,40,D-18\nTEA,attic,1,D-19\n");
    assert_eq!(partly.status.code(), Some(1));
    assert!(errors(&partly).contains("1 rows were refused"), "{}", errors(&partly));
    assert!(String::from_utf8_lossy(&partly.stdout).contains("row 2: the store has no location"));
}

#[test]
fn an_import_that_brings_nothing_in_leaves_no_folder_that_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let import = |data: &str, file: &str| {
        let file = folder.path().join(file);
        let output = daybook(&folder.path().join(data)).args(["import", "csv", "stock"]).arg(file).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        errors(&output)
    };
    let said = import("new", "nothing.csv");
    assert!(said.contains("nothing.csv"), "{said}");
    assert!(!folder.path().join("new").exists());
    // Somebody else's folder, empty or not, is left.
    std::fs::create_dir(folder.path().join("theirs")).unwrap();
    import("theirs", "nothing.csv");
    assert!(folder.path().join("theirs").exists());
    // What was brought in is gone on with: here, the rows that were not refused.
    std::fs::write(folder.path().join("stock.csv"), "sku,location,quantity,reference\nTEA,main,40,D-17\nTEA,attic,1,D-18\n")
        .unwrap();
    import("half", "stock.csv");
    assert!(folder.path().join("half/events.db").exists());
}

#[test]
fn an_address_in_use_is_refused_before_anything_is_decided() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_first, url) = serving(folder.path());
    let address = url.trim_start_matches("http://");
    let second = daybook(other.path()).args(["serve", "--listen", address]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(errors(&second).contains("cannot listen on"), "{}", errors(&second));
    assert!(!other.path().join("events.db").exists());
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let create = |url: &str| {
        let query = "mutation { cartCreate(input: { currency: \"EUR\" }) { cart { id } position } }";
        let body = serde_json::json!({ "query": query });
        let request = reqwest::Client::new().post(format!("{url}/graphql")).json(&body);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { request.send().await.unwrap().json::<Value>().await.unwrap() })["data"]["cartCreate"].clone()
    };
    let (first, url) = serving(folder.path());
    let before = create(&url);
    drop(first);
    let (_second, url) = serving(folder.path());
    let after = create(&url);
    assert_eq!(after["position"].as_u64().unwrap(), before["position"].as_u64().unwrap() + 1);
}

#[test]
fn origins_come_from_the_environment_too_and_a_wrong_one_is_a_wrong_flag() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daybook(folder.path());
    command.env("DAYBOOK_CORS_ORIGINS", "https://a.example,https://b.example");
    let (_server, url) = served(command);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for origin in ["https://a.example", "https://b.example"] {
        let request = reqwest::Client::new().get(format!("{url}/graphql?query=%7Bme%7Brole%7D%7D")).header("origin", origin);
        let response = runtime.block_on(request.send()).unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], origin);
    }
    let wrong = daybook(folder.path()).args(["serve", "--cors-origin", "*"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(errors(&wrong).contains("is not an origin"), "{}", errors(&wrong));
}

#[test]
fn a_moment_is_served_beside_the_shop_that_goes_on_and_a_wrong_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_shop, _) = serving(folder.path());
    let past = |args: &[&str]| daybook(folder.path()).args(["serve", "--listen", "127.0.0.1:0"]).args(args).output().unwrap();
    let mut command = daybook(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--json", "--read-only", "--as-of", "0"]).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(said["asOf"], serde_json::json!({ "moment": "position 0", "position": 0, "recorded_at": null }));
    assert_eq!(said.get("adminLink"), None);
    let beyond = past(&["--read-only", "--as-of", "99"]);
    assert_eq!(beyond.status.code(), Some(1));
    assert!(errors(&beyond).contains("the log ends at position 0, before position 99"), "{}", errors(&beyond));
    for wrong in [&["--read-only", "--as-of", "yesterday"][..], &["--as-of", "0"], &["--read-only", "--demo"]] {
        assert_eq!(past(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_done_and_cannot_be_printed_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    drop(serving(folder.path()));
    for verb in [&["token", "--role", "admin"][..], &["keys", "rotate"], &["permissions"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = daybook(folder.path()).args(verb).stdout(full).output().unwrap();
        let said = errors(&output);
        assert!(output.status.code() == Some(1) && said.contains("it was done, but"), "{verb:?}: {said}");
    }
}
