//! On SQLite: a process that dies before the n-th system call that changes a file of the shop, for each n.
//!
//! `DAYBOOK_STEPS=all` tries every call; unless told, one in a few dozen, others each time.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use event_schemas::Position;

use super::{Shop, all_are_there, shape};
use crate::{
    kill::{random, whole},
    tables,
};

const FOLDER: &str = "DAYBOOK_STEPS_FOLDER";
/// How many calls are tried unless all are.
const TRIED: u64 = 12;

fn urls(folder: &Path) -> [String; 2] {
    ["events.db", "views.db"].map(|name| format!("sqlite:{}", folder.join(name).display()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of a_process_that_dies_before_any_change_of_a_file_loses_and_doubles_nothing"]
async fn child_works_until_it_dies() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let [log, views] = urls(&folder);
    let shop = Shop::open(&log, &views).await;
    shop.work(1, |key, position| println!("\ntold {key} {position}")).await;
    shop.close().await;
}

/// The library that counts, and kills.
fn library(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories/failpoints/steps.c");
    let library = folder.join("steps.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).status();
    if !built.is_ok_and(|built| built.success()) {
        println!("skipped: a process that dies at a step needs a C compiler as `cc`, on Linux");
        return None;
    }
    Some(library)
}

/// A folder for a shop, and what became of those who worked in it.
struct Worked {
    folder: PathBuf,
    acknowledged: BTreeMap<String, Position>,
    /// What it died before, or how many calls it made.
    note: String,
}

/// Lets a child work in a folder, until it dies if it is to.
fn work(library: &Path, folder: &Path, die_at: Option<u64>) -> Worked {
    fs::create_dir_all(folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let noted = folder.with_extension("note");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["failpoints::steps::child_works_until_it_dies", "--exact", "--ignored", "--nocapture"]);
    child.env(FOLDER, &folder).env("LD_PRELOAD", library).env("DAYBOOK_STEPS", &folder).env("DAYBOOK_STEPS_NOTE", &noted);
    child.envs(die_at.map(|step| ("DAYBOOK_STEPS_DIE_AT", step.to_string())));
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(die_at.is_some() || output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let told = text.lines().filter_map(|line| line.strip_prefix("told ")?.split_once(' '));
    let acknowledged = told.filter_map(|(key, position)| Some((key.to_owned(), position.parse().ok()?))).collect();
    Worked { acknowledged, note: fs::read_to_string(noted).unwrap(), folder }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_before_any_change_of_a_file_loses_and_doubles_nothing() {
    let home = tempfile::tempdir().unwrap();
    let Some(library) = library(home.path()) else { return };
    let undisturbed = work(&library, &home.path().join("undisturbed"), None);
    let log = event_store::open_read_only(&urls(&undisturbed.folder)[0]).await.unwrap();
    let expected = shape(&whole(&*log).await);
    let calls: u64 = undisturbed.note.parse().unwrap();
    let all = std::env::var("DAYBOOK_STEPS").is_ok_and(|steps| steps == "all");
    let steps: Vec<u64> =
        if all { (1..=calls).collect() } else { (0..TRIED).map(|n| 1 + (n * calls + random(calls)) / TRIED).collect() };
    let mut died: BTreeMap<String, u64> = BTreeMap::new();
    for step in steps {
        let folder = home.path().join(step.to_string());
        let first = work(&library, &folder, Some(step));
        // Who was not answered asks again, and this time nothing fails.
        let second = work(&library, &folder, None);
        let log = event_store::open_read_only(&urls(&first.folder)[0]).await.unwrap();
        let events = whole(&*log).await;
        let what = format!("step {step}, {}", first.note);
        for acknowledged in [&first.acknowledged, &second.acknowledged] {
            all_are_there(acknowledged, &events);
        }
        assert_eq!(shape(&events), expected, "{what}");
        let verification = replay_tools::verify(log.clone(), 1, None, None).await.unwrap();
        assert!(verification.ok, "{what}: {verification}");
        let fresh = format!("sqlite:{}", home.path().join("fresh.db").display());
        let _ = fs::remove_file(home.path().join("fresh.db"));
        tables::assert_same(&tables::caught_up(&log, &urls(&folder)[1]).await, &tables::caught_up(&log, &fresh).await);
        *died.entry(first.note).or_default() += 1;
        fs::remove_dir_all(folder).unwrap();
    }
    println!("{} of {calls} steps; died before: {died:?}", died.values().sum::<u64>());
}
