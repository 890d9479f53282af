//! The command line: verbs, flags, and what each prints.

use std::{fmt::Display, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, Parser, Subcommand};
use event_schemas::Timestamp;
use event_store::Moment;
use identity::Keys;
use ipnet::IpNet;
use url::Url;

use crate::{
    LogFormat, OidcIssuer, Origin, RunningServer, ServeConfig,
    access::Role,
    accounts,
    bench::BenchArgs,
    data_folder::DataFolder,
    demo,
    import::{self, ImportArgs},
    net::{TransportArgs, network},
    notary::{self, NotaryArgs},
    persons::{self, PersonArgs, Retention},
    start_logging,
    vault_tools::{self, VaultArgs},
};

/// Daybook: an event-sourced commerce engine. One binary and a folder hold a whole shop.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  daybook serve                                open the shop in ./daybook-data on http://127.0.0.1:8080
  daybook serve --data /srv/tea --listen 0.0.0.0:80
  daybook token --role merchant --subject ana  print a token for a member of staff
  curl -H \"Authorization: Bearer $(daybook token --role analyst)\" \\
       -H 'Content-Type: application/json' -d '{\"query\":\"{ log { head } }\"}' http://127.0.0.1:8080/graphql

Every flag can also be set in the environment: --data is DAYBOOK_DATA, --log-format is DAYBOOK_LOG_FORMAT.
Exit code 0 means success; 1 means that it failed, with the reason on standard error; 2 means a wrong flag.";

/// The verbs.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one of them in a process")]
pub enum Verb {
    /// Serve the shop over GraphQL until stopped
    Serve(ServeArgs),
    /// Print one bearer token for a role
    Token(TokenArgs),
    /// Look after the keys that sign tokens
    Keys(KeysArgs),
    /// Move the vault, or replace its key
    Vault(VaultArgs),
    /// Bring in a shop's past
    Import(ImportArgs),
    /// Hand out what is kept about a person, erase them, or keep them from being erased
    Person(PersonArgs),
    /// Print who may do what: every operation by role, and every permission, as Markdown
    Permissions,
    /// Measure how fast this machine does what Daybook does
    Bench(BenchArgs),
}

/// Where the shop is kept, and how it logs: the same for every verb.
#[derive(Debug, Clone, Args)]
pub struct ShopArgs {
    /// The folder that holds the shop. `import`, and `serve` unless it is read-only, make it if it is absent; other verbs need it
    #[arg(long, global = true, env = "DAYBOOK_DATA", default_value = "./daybook-data", value_name = "DIR")]
    pub data: PathBuf,
    /// The log of events: sqlite:PATH or postgres://USER@HOST/DATABASE; sqlite:DIR/events.db unless given
    // Its value may hold a password.
    #[arg(long, global = true, env = "DAYBOOK_EVENTS", hide_env_values = true, value_name = "URL")]
    pub events: Option<String>,
    /// The views: sqlite:PATH or postgres://USER@HOST/DATABASE; sqlite:DIR/views.db unless given
    #[arg(long, global = true, env = "DAYBOOK_VIEWS", hide_env_values = true, value_name = "URL")]
    pub views: Option<String>,
    /// Where secrets and personal data of accounts are kept, encrypted: sqlite:PATH or postgres://USER@HOST/DATABASE; unless
    /// given, beside a log that is in PostgreSQL, else sqlite:DIR/vault.db
    #[arg(long, global = true, env = "DAYBOOK_VAULT", hide_env_values = true, value_name = "URL")]
    pub vault: Option<String>,
    /// How log lines look on standard error; text on a terminal
    #[arg(long, global = true, env = "DAYBOOK_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Which log lines are written: error, warn, info, debug, or per module as in `info,api=debug`
    #[arg(long, global = true, env = "DAYBOOK_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// Print the result as one JSON object on standard output
    #[arg(long, global = true, env = "DAYBOOK_JSON")]
    pub json: bool,
}

/// Flags of `daybook serve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  daybook serve                                the shop in ./daybook-data on http://127.0.0.1:8080
  daybook serve --demo                         a shop with sixty days behind it, and queries to try
  daybook serve --listen 127.0.0.1:0 --json    on a free port; prints {\"url\":…} once it answers
  daybook serve --cors-origin https://shop.example --cors-origin http://localhost:5173
  daybook serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem --allowed-host shop.example --production
  daybook serve --trusted-proxy 127.0.0.1      behind a proxy on this machine, which limits go by the clients of
  daybook serve --read-only --as-of 2026-01-31T18:00:00Z --listen 127.0.0.1:8081
  DAYBOOK_DATA=/srv/tea daybook serve --log-format json

As long as there is no admin, it prints a link that makes the first one. Secrets come from the environment only:
DAYBOOK_VAULT_KEY (else vault.key in the folder), DAYBOOK_SMTP_URL with DAYBOOK_MAIL_FROM (else mails become files in
the folder), DAYBOOK_OIDC_CLIENT_SECRET.

Stop it with Ctrl-C or SIGTERM: it finishes what it has begun, then exits with 0.")]
pub struct ServeArgs {
    /// Where the shop is kept.
    #[command(flatten)]
    pub shop: ShopArgs,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, env = "DAYBOOK_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = listen_address)]
    pub listen: SocketAddr,
    /// Where browsers reach the shop, such as `https://shop.example`: for links in mails, passkeys, and as the issuer of tokens;
    /// http://localhost with the port unless given
    #[arg(long, env = "DAYBOOK_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<Url>,
    /// An OpenID Connect issuer with which customers may log in too
    #[arg(long, env = "DAYBOOK_OIDC_ISSUER", value_name = "URL", requires = "oidc_client_id")]
    pub oidc_issuer: Option<String>,
    /// The shop's id at that issuer; its secret is DAYBOOK_OIDC_CLIENT_SECRET in the environment
    #[arg(long, env = "DAYBOOK_OIDC_CLIENT_ID", value_name = "ID", requires = "oidc_issuer")]
    pub oidc_client_id: Option<String>,
    /// Fill an empty shop with a past to look at: products, stock and sixty days of orders
    #[arg(long, env = "DAYBOOK_DEMO")]
    pub demo: bool,
    /// An origin (scheme, host, and the port if it is no usual one) whose pages may use the shop from a browser; may be given
    /// again
    #[arg(long = "cors-origin", env = "DAYBOOK_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN")]
    pub cors_origins: Vec<Origin>,
    /// A network beyond the public one that webhooks may be sent to, also without TLS, such as 10.0.0.0/8 or 127.0.0.1; may be
    /// given again
    #[arg(
        long = "webhook-allow",
        env = "DAYBOOK_WEBHOOK_ALLOW",
        value_delimiter = ',',
        value_parser = network,
        value_name = "CIDR"
    )]
    pub webhook_allow: Vec<IpNet>,
    /// Show the shop and let nobody change it: nothing is written to its log, nothing is sent, and a server may go on with it
    #[arg(long, env = "DAYBOOK_READ_ONLY", conflicts_with = "demo")]
    pub read_only: bool,
    /// The moment to show it as of, with all of its views: a position of the log; a time by which it had been recorded, such as
    /// 2026-01-31T18:00:00Z; or a time by which it had happened, such as occurred:2026-01-31T18:00:00Z. Now unless given
    #[arg(long, env = "DAYBOOK_AS_OF", value_name = "POSITION|TIME", requires = "read_only")]
    pub as_of: Option<Moment>,
    /// Go on with a new vault though the one that the log needs is lost, and with it accounts and all that it sealed. To be given
    /// once; with --read-only, which writes nothing, each time
    #[arg(long)]
    pub accept_new_vault: bool,
    /// Whether a second person has to agree that a person be erased
    #[arg(long, env = "DAYBOOK_ERASURE_APPROVAL")]
    pub erasure_approval: bool,
    /// How long to keep what is known of who never bought: cart=90 erases whoever is known only from carts that expired 90 days
    /// ago; for ever unless given
    #[arg(long, env = "DAYBOOK_RETAIN", value_name = "TYPE=DAYS")]
    pub retain: Option<Retention>,
    /// Signed heads of the log.
    #[command(flatten)]
    pub notary: NotaryArgs,
    /// Connections, limits and documents.
    #[command(flatten)]
    pub transport: TransportArgs,
}

/// Flags of `daybook token`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  daybook token --role merchant
  daybook token --role finance --subject ana --ttl 15m
  daybook token --role auditor --data /srv/tea --json

Whoever has the token has the role until it ends. The keys that sign it are in the vault, so give --events (or --vault) as to
`daybook serve`. `daybook keys rotate` replaces them, and ends all tokens within 16 minutes.")]
pub struct TokenArgs {
    /// Where the shop is kept.
    #[command(flatten)]
    pub shop: ShopArgs,
    /// What the token allows
    #[arg(long, env = "DAYBOOK_ROLE")]
    pub role: Role,
    /// Who it is for; recorded with everything done with it
    #[arg(long, env = "DAYBOOK_SUBJECT", value_name = "NAME")]
    pub subject: Option<String>,
    /// How long it holds, such as 30s, 15m, 1h or 7d
    #[arg(long, env = "DAYBOOK_TTL", default_value = "1h", value_parser = parse_duration, value_name = "TIME")]
    pub ttl: Duration,
}

/// Flags of `daybook keys`.
#[derive(Debug, Clone, Args)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: KeysVerb,
}

/// What can be done about the keys that sign tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum KeysVerb {
    /// Make another key: the one before holds for 16 more minutes, so that sessions go on
    Rotate {
        /// Where the shop is kept.
        #[command(flatten)]
        shop: ShopArgs,
    },
    /// Make another key that signs heads of the log: what the one before signed is believed as far as the log goes now
    RotateNotary {
        /// Where the shop is kept.
        #[command(flatten)]
        shop: ShopArgs,
    },
}

/// A failure, as the operator reads it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints what a verb has done. That stays done when it cannot be printed, as on a full disk, and whoever asked is told so.
///
/// # Errors
/// If it cannot be printed.
pub(crate) fn say(done: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let said = writeln!(out, "{done}").and_then(|()| out.flush());
    said.map_err(|error| format!("it was done, but what there is to say of it could not be printed: {error}").into())
}

/// Runs one verb; the exit code is 0 only on success.
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.verb {
        Verb::Serve(args) => serve(args),
        Verb::Token(args) => token(args),
        Verb::Keys(KeysArgs { verb: KeysVerb::Rotate { shop } }) => rotate_keys(shop),
        Verb::Keys(KeysArgs { verb: KeysVerb::RotateNotary { shop } }) => rotate_notary(shop),
        Verb::Vault(args) => vault_tools::run(args),
        Verb::Import(args) => import::run(args),
        Verb::Person(args) => persons::run(args),
        Verb::Permissions => permissions(),
        Verb::Bench(args) => bench(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: ServeArgs) -> Result<(), Failure> {
    start_logging(args.shop.log_format, &args.shop.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (json, demo) = (args.shop.json, args.demo);
        let server = crate::start(ServeConfig::from(args)).await?;
        // Before anyone can know that the shop is open: without this, the signal would end the process.
        let stopped = stop_signal()?;
        say(opened(&server, json, demo).await?)?;
        stopped.await;
        server.shutdown().await;
        Ok(())
    })
}

/// What `daybook serve` says once the shop is open.
async fn opened(server: &RunningServer, json: bool, demo: bool) -> Result<String, Failure> {
    let url = server.url();
    let admin_link = server.admin_link().await?;
    if json {
        let mut said = if demo { demo::greeting_json(&url, server)? } else { serde_json::json!({ "url": url }) };
        if let Some(said) = said.as_object_mut() {
            said.extend(admin_link.map(|link| ("adminLink".to_owned(), link.into())));
            said.extend(server.as_of().map(|as_of| ("asOf".to_owned(), as_of)));
        }
        return Ok(said.to_string());
    }
    let mut said =
        if demo { demo::greeting(&url, server)? } else { format!("The shop is open at {url} (GraphQL at {url}/graphql)") };
    if let Some(as_of) = server.as_of() {
        let moment = as_of["moment"].as_str().unwrap_or_default();
        said.push_str(&format!("\nIt is read-only, as of {moment}, when the log ended at position {}", as_of["position"]));
    }
    if let Some(link) = admin_link {
        said.push_str(&format!("\nThere is no admin yet. This link makes the first one, once:\n  {link}\n"));
    }
    Ok(said)
}

impl From<ServeArgs> for ServeConfig {
    fn from(args: ServeArgs) -> Self {
        let oidc = args.oidc_issuer.zip(args.oidc_client_id);
        Self {
            data: args.shop.data,
            events: args.shop.events,
            views: args.shop.views,
            vault: args.shop.vault,
            listen: args.listen,
            public_url: args.public_url,
            oidc: oidc.map(|(issuer, client_id)| OidcIssuer { issuer, client_id }),
            demo: args.demo,
            cors_origins: args.cors_origins,
            webhook_allow: args.webhook_allow,
            accept_new_vault: args.accept_new_vault,
            erasure_approval: args.erasure_approval,
            retention: args.retain,
            notary: args.notary,
            transport: args.transport.into(),
            read_only: args.read_only,
            as_of: args.as_of,
        }
    }
}

/// Reads where to listen: an address of this machine and a port.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let why = "write an address and a port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for all addresses of this machine";
    text.parse().map_err(|_| why.to_owned())
}

/// Reads where browsers reach the shop: a scheme, a host, perhaps a port, and nothing behind it.
fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let has_host = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    if is_plain && has_host && url.username().is_empty() && url.password().is_none() {
        return Ok(url);
    }
    Err("write a scheme and a host, such as https://shop.example".to_owned())
}

/// Catches SIGTERM and Ctrl-C from now on; what it gives is done when one of them has come.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Catches Ctrl-C from now on; what it gives is done when it has come.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

fn bench(args: BenchArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(crate::bench::run(args))?)
}

fn token(args: TokenArgs) -> Result<(), Failure> {
    let now = chrono::Utc::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keys = runtime.block_on(keys(&args.shop, now))?;
    let (token, expires_at) = accounts::operator_token(&keys, args.role, args.subject.as_deref(), args.ttl, now)?;
    if args.shop.json {
        let expires_at = event_schemas::rfc3339(expires_at);
        say(serde_json::json!({ "token": token, "role": args.role.name(), "expires_at": expires_at }))
    } else {
        say(token)
    }
}

fn rotate_keys(shop: ShopArgs) -> Result<(), Failure> {
    let now = chrono::Utc::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kid = runtime.block_on(async { Ok::<_, Failure>(keys(&shop, now).await?.rotate(now).await?) })?;
    if shop.json {
        say(serde_json::json!({ "kid": kid }))
    } else {
        say(format!("Tokens are signed with the key {kid} from now on."))
    }
}

fn permissions() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    say(runtime.block_on(crate::graphql::permission_matrix()).trim_end())
}

fn rotate_notary(shop: ShopArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let known = runtime.block_on(async {
        let folder = DataFolder::of_shop(&shop.data, shop.events.as_deref(), shop.vault.as_deref())?;
        let vault = accounts::open_vault(&folder, shop.vault.as_deref(), shop.events.as_deref()).await?;
        let url = shop.events.clone().unwrap_or_else(|| folder.sqlite_url("events.db"));
        Ok::<_, Failure>(notary::rotate(&vault, &*event_store::open_read_only(&url).await?).await?)
    })?;
    if shop.json {
        say(serde_json::json!(known))?;
    } else if let Some(current) = known.keys.first() {
        say(format!("Heads of the log are signed with this key from now on:\n{}", current.key))?;
    }
    Ok(())
}

/// The keys that sign the tokens of a shop that may be served at the same time.
async fn keys(shop: &ShopArgs, now: Timestamp) -> Result<Arc<Keys>, Failure> {
    let folder = DataFolder::of_shop(&shop.data, shop.events.as_deref(), shop.vault.as_deref())?;
    let vault = accounts::open_vault(&folder, shop.vault.as_deref(), shop.events.as_deref()).await?;
    Ok(accounts::known_keys(&vault, now).await?)
}

/// Reads a time such as `90s`, `15m`, `1h` or `7d`, up to ten years.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time; write 30s, 15m, 1h or 7d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count
        .checked_mul(seconds)
        .filter(|seconds| (1..=10 * 366 * 86_400).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("`{text}` is not between a second and ten years"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_that_cannot_be_listened_on_is_refused_with_one_that_can() {
        for wrong in ["foo", "8080", "localhost:8080"] {
            let refused = Cli::try_parse_from(["daybook", "serve", "--listen", wrong]).unwrap_err().to_string();
            assert!(refused.contains("such as 127.0.0.1:8080"), "{refused}");
        }
    }

    #[test]
    fn a_time_is_read_with_its_unit_and_nonsense_is_refused() {
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        for bad in ["", "m", "15", "15w", "0s", "-1s", "99999999999999999999d", "5000d", "1µ"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
