//! The command line: the verbs, and how their reports are printed.

use std::io::Write as _;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    CertificateArgs, CheckConsistencyArgs, CheckProofArgs, DiffArgs, DiffViewsArgs, EvidenceArgs, EvidenceCheckArgs, ExportArgs,
    ExportPersonArgs, Failure, HeadArgs, HistoryArgs, ImportArgs, NotaryKeyArgs, ProveArgs, ProveConsistencyArgs, RebuildArgs,
    ShowArgs, StateArgs, VerifyArgs, WhatIfArgs,
};

const EXAMPLES: &str = "\
Examples:
  daybook-replay verify  --log sqlite:shop/events.db
  daybook-replay history --log sqlite:shop/events.db stock/TEA-100@main
  daybook-replay state   --log sqlite:shop/events.db stock/TEA-100@main --at 2026-01-31T18:00:00Z
  daybook-replay export  --log sqlite:shop/events.db --out shop.jsonl
  daybook-replay verify  --log jsonl:shop.jsonl --json
  daybook-replay verify  --log postgres://auditor@db.example/shop?sslmode=verify-full

Every flag can also be given in the environment, such as DAYBOOK_LOG=sqlite:shop/events.db. Results go to standard output
and progress to standard error. The exit code is 0 only when everything was done and nothing was found wrong.";

/// Replays a shop's log: whether it is whole and unaltered, who did what and why, and what was true at any time.
#[derive(Debug, Parser)]
#[command(name = "daybook-replay", version, after_help = EXAMPLES)]
pub struct CommandLine {
    /// Print one JSON object on standard output instead of text.
    #[arg(long, global = true, env = "DAYBOOK_JSON")]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check that the log is whole, unaltered, readable and keeps the shop's rules.
    #[command(
        after_help = "Examples:\n  daybook-replay verify --log sqlite:shop/events.db --json > head.json\n  daybook-replay verify --log sqlite:shop/events.db --from-head head.json"
    )]
    Verify(VerifyArgs),
    /// Tell what happened in one stream: who, when, what and why.
    #[command(after_help = "Example:\n  daybook-replay history order/0197f0c2-7d3e-7000-8000-000000000001")]
    History(HistoryArgs),
    /// Show one record in full, and check its digest.
    #[command(after_help = "Example:\n  daybook-replay show 1200")]
    Show(ShowArgs),
    /// Show an aggregate as it is, or was.
    #[command(
        after_help = "Examples:\n  daybook-replay state stock/TEA-100@main --at 1200\n  daybook-replay state stock/TEA-100@main --at 2026-01-31T18:00:00+01:00\n  daybook-replay state stock/TEA-100@main --at occurred:2026-01-31T18:00:00Z"
    )]
    State(StateArgs),
    /// Show what changed in an aggregate between two moments.
    #[command(
        after_help = "Example:\n  daybook-replay diff stock/TEA-100@main --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z"
    )]
    Diff(DiffArgs),
    /// Fold the log into fresh views.
    #[command(
        after_help = "Examples:\n  daybook-replay rebuild all --into sqlite:fresh-views.db\n  daybook-replay rebuild orders --log sqlite:shop/events.db"
    )]
    Rebuild(RebuildArgs),
    /// Compare two sets of views, or the views of two moments, row by row; exit code 0 only if they are equal.
    #[command(
        after_help = "Examples:\n  daybook-replay diff-views sqlite:shop/views.db sqlite:fresh-views.db\n  daybook-replay diff-views --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z --projection orders"
    )]
    DiffViews(DiffViewsArgs),
    /// Replay a range of the log, and give one hash for each view and each type of aggregate.
    #[command(after_help = "Example:\n  daybook-replay certificate --log sqlite:shop/events.db --to 1200")]
    Certificate(CertificateArgs),
    /// Write events to a file, with a manifest of what must be in it.
    #[command(
        after_help = "Examples:\n  daybook-replay export --out shop.jsonl\n  daybook-replay export --out orders.jsonl --streams order,payment --from 1000 --to 2000\n  daybook-replay export --out year.parquet --format parquet --from 2026-01-01T00:00:00Z --resume"
    )]
    Export(ExportArgs),
    /// Pack everything that an auditor outside needs into one file.
    #[command(
        after_help = "Example:\n  daybook-replay evidence-pack --to 2026-03-31T23:59:59Z --heads heads.txt --verifier-key KEY --since q4.zip --out q1.zip"
    )]
    EvidencePack(EvidenceArgs),
    /// Check an evidence pack, without any database; exit code 0 only if it holds.
    #[command(after_help = "Example:\n  daybook-replay evidence-check q1.zip --since q4.zip --verifier-key KEY")]
    EvidenceCheck(EvidenceCheckArgs),
    /// Say what the past would have come to under other taxes, prices, promotions or anomaly rules.
    #[command(
        after_help = "Example:\n  echo '{\"taxes\":[{\"country\":\"DE\",\"rate_ppm\":190000,\"becomes_ppm\":160000}]}' > rules.json\n  daybook-replay what-if --rules rules.json"
    )]
    WhatIf(WhatIfArgs),
    /// Tell the head of the log: how many events it has and their root; signed if a key is given.
    #[command(
        after_help = "Examples:\n  daybook-replay head --log sqlite:shop/events.db\n  daybook-replay head --key notary.key >> heads.txt"
    )]
    Head(HeadArgs),
    /// Make the key that signs heads, or print its verifier key, for those who do not take them from a running shop.
    #[command(
        after_help = "Examples:\n  daybook-replay notary-key generate --name daybook/tea --out notary.key\n  daybook-replay notary-key show notary.key > notary.vkey"
    )]
    NotaryKey(NotaryKeyArgs),
    /// Prove that an event is in the log that has a signed head.
    #[command(after_help = "Example:\n  daybook-replay prove 1200 --head heads.txt --out proof.json")]
    Prove(ProveArgs),
    /// Check such a proof, without any database; exit code 0 only if it holds.
    #[command(after_help = "Example:\n  daybook-replay check-proof proof.json --head heads.txt --verifier-key KEY")]
    CheckProof(CheckProofArgs),
    /// Prove that the log with a later head begins with all that it had at an earlier one.
    #[command(after_help = "Example:\n  daybook-replay prove-consistency q4.txt q1.txt --out grown.json")]
    ProveConsistency(ProveConsistencyArgs),
    /// Check such a proof, without any database; exit code 0 only if it holds.
    #[command(after_help = "Example:\n  daybook-replay check-consistency grown.json --verifier-key KEY")]
    CheckConsistency(CheckConsistencyArgs),
    /// Tell everything that the log has about a person, opened with the vault.
    #[command(
        after_help = "Example:\n  DAYBOOK_VAULT_KEY=… daybook-replay export-person 0197f0c2-7d3e-4a6b-9c1d-5e8f2a4b6c40 --vault sqlite:shop/vault.db --record-as ana --reason CASE-7 --out person.json"
    )]
    ExportPerson(ExportPersonArgs),
    /// Make a log of an export again, exactly as it was.
    #[command(after_help = "Example:\n  daybook-replay import shop.jsonl --log sqlite:copy.db")]
    Import(ImportArgs),
}

/// Which log to read.
#[derive(Debug, Clone, Args)]
pub struct LogUrl {
    /// The log: sqlite:PATH, postgres://USER@HOST/DATABASE, or jsonl:PATH, csv:PATH or parquet:PATH for an export.
    // Its value may hold a password.
    #[arg(
        long,
        env = "DAYBOOK_LOG",
        hide_env_values = true,
        value_name = "URL",
        default_value = "sqlite:daybook-data/events.db"
    )]
    pub log: String,
}

/// What a verb has to say.
#[derive(Debug)]
pub struct Report {
    /// Whether everything was done and nothing was found wrong.
    pub ok: bool,
    /// For people.
    pub text: String,
    /// For scripts: one object.
    pub json: Value,
}

impl CommandLine {
    /// Runs the verb and gives what belongs on standard output, and whether all is well.
    ///
    /// # Errors
    /// Why the verb could not do its work.
    async fn report(self) -> Result<Report, Failure> {
        match self.verb {
            Verb::Verify(args) => args.run().await,
            Verb::History(args) => args.run().await,
            Verb::Show(args) => args.run().await,
            Verb::State(args) => args.run().await,
            Verb::Diff(args) => args.run().await,
            Verb::Rebuild(args) => args.run().await,
            Verb::DiffViews(args) => args.run().await,
            Verb::Certificate(args) => args.run().await,
            Verb::Export(args) => args.run().await,
            Verb::ExportPerson(args) => args.run().await,
            Verb::EvidencePack(args) => args.run().await,
            Verb::EvidenceCheck(args) => args.run(),
            Verb::WhatIf(args) => args.run().await,
            Verb::Head(args) => args.run().await,
            Verb::NotaryKey(args) => args.run().await,
            Verb::Prove(args) => args.run().await,
            Verb::CheckProof(args) => args.run().await,
            Verb::ProveConsistency(args) => args.run().await,
            Verb::CheckConsistency(args) => args.run().await,
            Verb::Import(args) => args.run().await,
        }
    }

    /// Runs the verb and prints its report. Gives whether all is well.
    pub async fn run(self) -> bool {
        let json = self.json;
        let report = self.report().await.unwrap_or_else(|failure| {
            eprintln!("daybook-replay: {failure}");
            let json = json!({ "ok": false, "error": failure.to_string() });
            Report { ok: false, text: String::new(), json }
        });
        let text = if json { format!("{}\n", report.json) } else { report.text };
        let printed = std::io::stdout().write_all(text.as_bytes());
        report.ok && printed.is_ok()
    }
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::Refused(error.to_string()))
}
