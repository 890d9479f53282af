//! The verb `daybook person`: what whoever protects data does on the machine, without a server.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use domain::{ChangePersons, PersonCommand};
use event_schemas::{CustomerId, DataExported, Metadata, OrderId, PersonId};
use serde_json::{Value, json};

use crate::{
    ServeConfig, StartError,
    cli::{ShopArgs, say},
    data_folder::DataFolderError,
    graphql::global_id,
    persons::{self, Found, Others, Reader, Whom},
    serve::{self, Workshop},
    shop::Shop,
    start_logging,
};

/// How long the views may take to come to the log's end.
const CATCH_UP: Duration = Duration::from_secs(600);

/// Flags of `daybook person`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  daybook person export --email ana@example.com --out ana.json
  daybook person erase --customer 0197f0c2-7d3e-7000-8000-000000000001 --reason 'case 2026-118'
  daybook person hold --order 0197f0c2-7d3e-7000-8000-000000000002 --name 'case 7' --reason 'a lawsuit'
  daybook person release --order 0197f0c2-7d3e-7000-8000-000000000002 --name 'case 7'

A shop whose log is a file must not be served meanwhile: there, the GraphQL API does the same. Where --erasure-approval is set,
`erase` asks, and `approve` by somebody else agrees. What is given as a reason stays in the log: nothing about the person.")]
pub struct PersonArgs {
    /// Where the shop is kept.
    #[command(flatten)]
    pub shop: ShopArgs,
    /// Who does it; recorded, and needed where two persons have to agree
    #[arg(long = "as", global = true, env = "DAYBOOK_SUBJECT", value_name = "NAME")]
    pub by: Option<String>,
    /// Whether a second person has to agree that a person be erased, as given to `daybook serve`
    #[arg(long, global = true, env = "DAYBOOK_ERASURE_APPROVAL")]
    pub erasure_approval: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: PersonVerb,
}

/// What can be done about a person.
#[derive(Debug, Clone, Subcommand)]
pub enum PersonVerb {
    /// Write everything about a person to a file, for them to read
    Export {
        /// Who.
        #[command(flatten)]
        who: Who,
        /// The file, which must not be there yet; standard output unless given
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Why, as the reference of a ticket or a case: 1 to 64 letters, digits and -_.:/#
        #[arg(long, value_name = "REFERENCE")]
        reason: Option<String>,
    },
    /// Erase a person for ever
    Erase {
        /// Who.
        #[command(flatten)]
        who: Who,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Agree to an erasure that somebody else asked for
    Approve {
        /// Who.
        #[command(flatten)]
        who: Who,
    },
    /// Forbid that a person be erased
    Hold {
        /// Who.
        #[command(flatten)]
        who: Who,
        /// The hold's name
        #[arg(long)]
        name: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Lift such a hold
    Release {
        /// Who.
        #[command(flatten)]
        who: Who,
        /// The hold's name
        #[arg(long)]
        name: String,
    },
}

/// Who is meant: one of these says it.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Who {
    /// The id of a key of theirs, as it stands in sealed texts
    #[arg(long, value_name = "ID")]
    pub person: Option<PersonId>,
    /// The customer that they are, or the API's id of their account
    #[arg(long, value_name = "ID", value_parser = global_id::customer)]
    pub customer: Option<CustomerId>,
    /// An e-mail address that they gave; every cart and order is opened
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// An order of theirs, by its id in the log or in the API
    #[arg(long, value_name = "ID", value_parser = global_id::order)]
    pub order: Option<OrderId>,
}

impl Who {
    fn whom(self) -> Result<Whom, Failure> {
        let by_key = self.person.map(Whom::Person).or(self.customer.map(Whom::Customer));
        let found = by_key.or(self.order.map(Whom::Order)).or(self.email.map(Whom::Email));
        found.ok_or_else(|| "say who: --person, --customer, --email or --order".into())
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Who takes somebody's data along, and why.
type By<'a> = (&'a str, Option<String>);

/// Does it, on a shop that is not served.
///
/// # Errors
/// When the shop cannot be opened, nobody is found, or a rule forbids it.
pub fn run(args: PersonArgs) -> Result<(), Failure> {
    start_logging(args.shop.log_format, &args.shop.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = ServeConfig::new(args.shop.data.clone(), ([127, 0, 0, 1], 0).into());
        (config.events, config.views) = (args.shop.events.clone(), args.shop.views.clone());
        (config.vault, config.erasure_approval) = (args.shop.vault.clone(), args.erasure_approval);
        let workshop = serve::workshop(config).await.map_err(|error| refused(error, &args.verb))?;
        let done = done(&workshop, args).await;
        workshop.close().await;
        done
    })
}

/// Why the shop cannot be worked on; of one that is being served, what does the same there.
fn refused(error: StartError, verb: &PersonVerb) -> Failure {
    let StartError::DataFolder(DataFolderError::InUse(folder)) = &error else { return error.into() };
    let instead = match verb {
        PersonVerb::Export { .. } => "query `person(…) { data }`",
        PersonVerb::Erase { .. } => "mutation `personErase`",
        PersonVerb::Approve { .. } => "mutation `personErasureApprove`",
        PersonVerb::Hold { .. } => "mutation `legalHoldPlace`",
        PersonVerb::Release { .. } => "mutation `legalHoldLift`",
    };
    let folder = folder.display();
    format!("the shop in {folder} is in use; while it is being served, use the {instead} of its GraphQL API instead").into()
}

async fn done(workshop: &Workshop, args: PersonArgs) -> Result<(), Failure> {
    let shop = &workshop.shop;
    let head = shop.log.head().await?.position;
    shop.views.wait_for(head, CATCH_UP).await?;
    let actor = args.by.as_ref().map_or_else(|| "admin".to_owned(), |name| format!("admin:{name}"));
    let (by, needs_approval) = (actor.clone(), shop.erasure_approval);
    let (who, command) = match args.verb {
        PersonVerb::Export { who, out, reason } => {
            return export(shop, &persons::find(shop, &who.whom()?).await?, out, (&actor, reason)).await;
        }
        PersonVerb::Erase { who, reason } => (who, PersonCommand::Erase { by, reason, customer_id: None, needs_approval }),
        PersonVerb::Approve { who } => (who, PersonCommand::Approve { by }),
        PersonVerb::Hold { who, name, reason } => (who, PersonCommand::PlaceHold { name, reason }),
        PersonVerb::Release { who, name } => (who, PersonCommand::LiftHold { name }),
    };
    let mut found = persons::find(shop, &who.whom()?).await?;
    persons::with_a_key(shop, &mut found).await?;
    let mut others = Others::default();
    if matches!(command, PersonCommand::Erase { .. } | PersonCommand::Approve { .. }) {
        must_be_one(&found)?;
        if persons::leads_nowhere(shop, &found).await? {
            return Err(persons::LEADS_NOWHERE.into());
        }
        others = persons::others_under_same_address(shop, &found).await?;
    }
    let asked = matches!(command, PersonCommand::Erase { .. });
    let ids: Vec<_> = found.persons.iter().copied().collect();
    let decision = ChangePersons { persons: ids.clone(), customers: found.customer_of.clone(), command };
    let outcome = shop.engine.submit(decision, metadata(shop, actor)).await?;
    let erased = persons::erased_in(&outcome.changes);
    persons::finish(shop, &erased).await?;
    let answer = json!({
        "persons": ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "position": outcome.position,
        "erased": !erased.is_empty(),
        "hasUnsealed": found.plain,
        "keptUnderSameAddress": others.persons.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    say(if args.shop.json { answer.to_string() } else { in_words(&found, erased.len(), asked, &others) })
}

fn must_be_one(found: &Found) -> Result<(), Failure> {
    let customers: Vec<_> = found.customers.iter().map(ToString::to_string).collect();
    if found.is_several() { Err(format!("these are several customers: {}", customers.join(", ")).into()) } else { Ok(()) }
}

fn in_words(found: &Found, erased: usize, asked: bool, others: &Others) -> String {
    let keys = |count| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
    let done = match (erased, found.plain) {
        (0, _) if asked => format!("recorded for {}: it is erased once somebody else approves.", keys(found.persons.len())),
        (0, _) => format!("recorded for {}.", keys(found.persons.len())),
        (_, true) => format!("{} destroyed. Some of it was recorded before it was sealed: that stays readable.", keys(erased)),
        (_, false) => format!("{} destroyed: nothing that was sealed for them can be read any more.", keys(erased)),
    };
    match others.in_words() {
        Some(others) => format!("{done} {others}."),
        None => done,
    }
}

/// Hands out everything about somebody, by whom and why.
async fn export(shop: &Shop, found: &Found, out: Option<PathBuf>, by: By<'_>) -> Result<(), Failure> {
    if persons::is_unknown(shop, found).await? {
        return Err("nothing is known about such a person".into());
    }
    must_be_one(found)?;
    let copy: Value = persons::copy_of(shop, found, Reader::Protector).await?;
    let text = serde_json::to_string_pretty(&copy)? + "\n";
    // All that can fail comes before it is written down that it was handed out, but for the writing itself.
    let file = out.map(|path| new_file(&path).map(|file| (file, path))).transpose()?;
    let handed_out = hand_out(shop, found, &text, file.as_ref().map(|(file, _)| file), by).await;
    let Some((_, path)) = &file else { return handed_out };
    let shown = path.display();
    match &handed_out {
        Ok(()) => eprintln!("everything about them is in {shown}, which only you can read"),
        Err(_) => {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!(%error, file = %shown, "the file that is not whole could not be removed");
            }
        }
    }
    handed_out
}

/// A file that only its owner can read, and that was not there.
fn new_file(path: &Path) -> Result<File, Failure> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{} is there already: name another file", path.display()),
        _ => format!("{} cannot be written: {error}", path.display()),
    };
    Ok(options.open(path).map_err(refused)?)
}

/// Writes down that somebody's data is handed out, and hands it out.
async fn hand_out(shop: &Shop, found: &Found, text: &str, file: Option<&File>, (actor, reason): By<'_>) -> Result<(), Failure> {
    for whom in found.names() {
        let export = DataExported {
            exporter: actor.to_owned(),
            what: format!("person/{whom}"),
            format: "json".to_owned(),
            reason: reason.clone(),
            from_position: None,
            to_position: None,
        };
        shop.audit_log.exported(export).await?;
    }
    match file {
        None => say(text.trim_end()),
        Some(mut file) => {
            file.write_all(text.as_bytes())?;
            Ok(file.sync_all()?)
        }
    }
}

fn metadata(shop: &Shop, actor: String) -> Metadata {
    let command_id = shop.engine.ids().next();
    Metadata { actor, command_id, correlation_id: None, causation_id: None, trace_id: None, idempotency: None }
}
