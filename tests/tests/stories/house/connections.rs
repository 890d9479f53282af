//! The security page names every way in and out: each option that takes an address, each secret that is one, and each piece of
//! code that opens a connection.

use clap::{Command, CommandFactory as _};

use super::{Text, kept};

/// What options call a value that says where somebody is.
const ADDRESSES: [&str; 5] = ["ADDRESS", "CIDR", "HOST", "ORIGIN", "URL"];

/// What they call a value that does not.
const OTHERS: [&str; 12] =
    ["DIR", "FILE", "FOLDER", "FORMAT", "ID", "LEVEL", "N", "NAME", "POSITION|TIME", "RATE", "TIME", "TYPE=DAYS"];

/// What opens a connection, or waits for one.
const OPENERS: [&str; 9] = [
    "TcpListener::bind(",
    "TcpStream::connect(",
    "UdpSocket::bind(",
    "Client::builder()",
    "Client::new()",
    "SmtpTransport::<",
    "PgPoolOptions::new(",
    "PgConnection::connect",
    "PgListener::connect",
];

/// Where that may stand, and by which words the page names it. What measures connects to shops that it has started itself.
const KNOWN: [(&str, &str); 8] = [
    ("api/src/serve.rs", "`--listen"),
    ("api/src/bench/", "`daybook bench`"),
    ("event-store/src/postgres/", "`--events"),
    ("projections/src/postgres", "`--views"),
    ("vault/src/postgres", "`--vault"),
    ("identity/src/oidc.rs", "`--oidc-issuer"),
    ("identity/src/smtp.rs", "`DAYBOOK_SMTP_URL`"),
    ("webhooks/src/sender.rs", "the URLs of webhooks"),
];

/// What the page says of ways in and out.
fn section(kept: &[Text]) -> &str {
    let page = kept.iter().find(|file| file.path == "docs/security.md").expect("there is a security page");
    let (_, rest) = page.text.split_once("**Where they come in:**").expect("it says where they come in");
    rest.split("\n## ").next().unwrap_or_default()
}

/// Options of a command that take an address and are not named, and those that nobody can tell.
fn unnamed(command: &Command, section: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
        let Some(long) = argument.get_long() else { continue };
        for value in argument.get_value_names().into_iter().flatten().map(clap::builder::Str::as_str) {
            if ADDRESSES.contains(&value) && !section.contains(&format!("`--{long}")) {
                findings.push(format!("docs/security.md does not say where `--{long}` leads"));
            } else if !ADDRESSES.contains(&value) && !OTHERS.contains(&value) {
                findings.push(format!("say whether the {value} of `--{long}` is an address"));
            }
        }
    }
    findings
}

/// Code that opens a connection where nobody knows of it, and addresses in the environment that are not named.
fn undeclared(file: &Text, section: &str) -> Vec<String> {
    if !file.is_rust() || file.path.starts_with("tests/") || !file.path.contains("/src/") {
        return Vec::new();
    }
    let known = KNOWN.iter().find(|(place, _)| file.path.starts_with(place)).is_some_and(|(_, words)| section.contains(words));
    let code = file.text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    let mut findings = Vec::new();
    for (number, line) in code {
        if OPENERS.iter().any(|opener| line.contains(opener)) && !known {
            findings.push(file.finding(number, "docs/security.md does not say where this leads"));
        }
        let name = line.split("secret(\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        if name.ends_with("_URL") && !section.contains(&format!("`{name}`")) {
            findings.push(file.finding(number, &format!("docs/security.md does not say where {name} leads")));
        }
    }
    findings
}

#[test]
fn every_way_in_and_out_is_named_on_the_security_page() {
    let kept = kept();
    let section = section(&kept);
    let daybook = api::cli::Cli::command();
    let serve = daybook.find_subcommand("serve").expect("the shop can be served");
    let mut findings = unnamed(serve, section);
    findings.extend(kept.iter().flat_map(|file| undeclared(file, section)));
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    for (place, _) in KNOWN {
        let opens = |file: &Text| file.path.starts_with(place) && OPENERS.iter().any(|opener| file.text.contains(opener));
        assert!(kept.iter().any(opens), "{place} opens no connection any more");
    }
}

#[test]
fn a_planted_way_out_is_found() {
    let argument = |long: &'static str, value: &'static str| clap::Arg::new(long).long(long).value_name(value);
    let command = Command::new("serve").args([
        argument("listen", "ADDRESS"),
        argument("mirror", "URL"),
        argument("data", "DIR"),
        argument("peer", "PEER"),
        clap::Arg::new("demo").long("demo").action(clap::ArgAction::SetTrue),
    ]);
    let section = "at `--listen`, and in PostgreSQL (`--events`)";
    let expected = ["docs/security.md does not say where `--mirror` leads", "say whether the PEER of `--peer` is an address"];
    assert_eq!(unnamed(&command, section), expected);

    let code = "let a = TcpStream::connect(there);\nlet b = secret(\"DAYBOOK_MIRROR_URL\")?;\n#[cfg(test)]\nClient::new()\n";
    let expected = [
        "domain/src/mirror.rs:1: docs/security.md does not say where this leads",
        "domain/src/mirror.rs:2: docs/security.md does not say where DAYBOOK_MIRROR_URL leads",
    ];
    assert_eq!(undeclared(&Text::planted("domain/src/mirror.rs", code), section), expected);
    assert_eq!(undeclared(&Text::planted("tests/tests/mirror.rs", code), section), [""; 0]);
    let connects = Text::planted("event-store/src/postgres/rows.rs", "PgPoolOptions::new()\n");
    assert_eq!(undeclared(&connects, section), [""; 0]);
}
