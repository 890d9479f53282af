//! The command line: verbs, flags, and what each prints.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    LogFormat, Origin, ServeConfig,
    access::{Caller, Role},
    bench::BenchArgs,
    data_folder::DataFolder,
    demo,
    import::{self, ImportArgs},
    start_logging,
    token::TokenKey,
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
pub enum Verb {
    /// Serve the shop over GraphQL until stopped
    Serve(ServeArgs),
    /// Print one bearer token for a role
    Token(TokenArgs),
    /// Bring in a shop's past
    Import(ImportArgs),
    /// Measure how fast this machine does what Daybook does
    Bench(BenchArgs),
}

/// Where the shop is kept, and how it logs: the same for every verb.
#[derive(Debug, Clone, Args)]
pub struct ShopArgs {
    /// The folder that holds the shop; created if absent
    #[arg(long, global = true, env = "DAYBOOK_DATA", default_value = "./daybook-data", value_name = "DIR")]
    pub data: PathBuf,
    /// The log of events: sqlite:PATH or postgres://USER@HOST/DATABASE; sqlite:DIR/events.db unless given
    // Its value may hold a password.
    #[arg(long, global = true, env = "DAYBOOK_EVENTS", hide_env_values = true, value_name = "URL")]
    pub events: Option<String>,
    /// The views: sqlite:PATH or postgres://USER@HOST/DATABASE; sqlite:DIR/views.db unless given
    #[arg(long, global = true, env = "DAYBOOK_VIEWS", hide_env_values = true, value_name = "URL")]
    pub views: Option<String>,
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
  DAYBOOK_DATA=/srv/tea daybook serve --log-format json

Stop it with Ctrl-C or SIGTERM: it finishes what it has begun, then exits with 0.")]
pub struct ServeArgs {
    /// Where the shop is kept.
    #[command(flatten)]
    pub shop: ShopArgs,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, env = "DAYBOOK_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Fill an empty shop with a past to look at: products, stock and sixty days of orders
    #[arg(long, env = "DAYBOOK_DEMO")]
    pub demo: bool,
    /// An origin (scheme, host, and the port if it is no usual one) whose pages may use the shop from a browser; may be given again
    #[arg(long = "cors-origin", env = "DAYBOOK_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN")]
    pub cors_origins: Vec<Origin>,
}

/// Flags of `daybook token`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  daybook token --role merchant
  daybook token --role finance --subject ana --ttl 15m
  daybook token --role auditor --data /srv/tea --json

Whoever has the token has the role until it ends. The key that signs it is token.key in the data folder.")]
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

/// A failure, as the operator reads it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs one verb; the exit code is 0 only on success.
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.verb {
        Verb::Serve(args) => serve(args),
        Verb::Token(args) => token(args),
        Verb::Import(args) => import::run(args),
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
        let (json, demo, data) = (args.shop.json, args.demo, args.shop.data.clone());
        let server = crate::start(ServeConfig::from(args)).await?;
        let url = format!("http://{}", server.address());
        if demo {
            let (key, now) = (TokenKey::open(&DataFolder::create(&data)?)?, chrono::Utc::now());
            let greeting =
                if json { demo::greeting_json(&url, &key, now)?.to_string() } else { demo::greeting(&url, &key, now)? };
            println!("{greeting}");
        } else if json {
            println!("{}", serde_json::json!({ "url": url }));
        } else {
            println!("The shop is open at {url} (GraphQL at {url}/graphql)");
        }
        stop_signal().await?;
        server.shutdown().await;
        Ok(())
    })
}

impl From<ServeArgs> for ServeConfig {
    fn from(args: ServeArgs) -> Self {
        Self {
            data: args.shop.data,
            events: args.shop.events,
            views: args.shop.views,
            listen: args.listen,
            demo: args.demo,
            cors_origins: args.cors_origins,
        }
    }
}

/// Waits for SIGTERM or Ctrl-C.
async fn stop_signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

fn bench(args: BenchArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(crate::bench::run(args))?)
}

fn token(args: TokenArgs) -> Result<(), Failure> {
    let folder = DataFolder::existing(&args.shop.data)?;
    let caller = Caller { role: args.role, subject: args.subject };
    let (token, expires_at) = TokenKey::open(&folder)?.issue(&caller, args.ttl, chrono::Utc::now())?;
    if args.shop.json {
        let expires_at = event_schemas::rfc3339(expires_at);
        println!("{}", serde_json::json!({ "token": token, "role": args.role.name(), "expires_at": expires_at }));
    } else {
        println!("{token}");
    }
    Ok(())
}

/// Reads a time such as `90s`, `15m`, `1h` or `7d`, up to ten years.
fn parse_duration(text: &str) -> Result<Duration, String> {
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
    fn a_time_is_read_with_its_unit_and_nonsense_is_refused() {
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        for bad in ["", "m", "15", "15w", "0s", "-1s", "99999999999999999999d", "5000d", "1µ"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
