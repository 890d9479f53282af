//! The address of a PostgreSQL database: how to connect to it, and how to name it without its password.

use std::{fmt, io, str::FromStr as _, time::Duration};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::OpenError;

/// The options of an address that are understood. Any other is refused: a misspelt `sslmode` must not go unnoticed.
const OPTIONS: &[&str] = &[
    "application_name",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// How long connecting may take, unless the address says.
const CONNECT: Duration = Duration::from_secs(10);

/// The address of a PostgreSQL database, as `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`. What it lacks is
/// taken from the variables of libpq (`PGHOST`, `PGPASSWORD`, `PGSSLMODE`, …) and its password file. It prints without the password.
#[derive(Clone)]
pub struct PostgresAddress {
    options: PgConnectOptions,
    connect_timeout: Duration,
}

impl PostgresAddress {
    /// Whether a store's address is one of these.
    pub fn is_one(url: &str) -> bool {
        matches!(url.split_once(':'), Some(("postgres" | "postgresql", _)))
    }

    /// Reads an address.
    ///
    /// # Errors
    /// [`OpenError::Unavailable`] if it is not one, or has an option that is not known.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        // The address itself is not repeated: nobody knows where in it the password is.
        let wrong = |reason: String| OpenError::Unavailable("the PostgreSQL database".to_owned(), reason);
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut connect_timeout = CONNECT;
        let mut kept = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if !OPTIONS.contains(&name) {
                return Err(wrong(format!("its address has an option that is not one of {}", OPTIONS.join(", "))));
            }
            if name == "connect_timeout" {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                let seconds = seconds.ok_or_else(|| wrong("its connect_timeout is not a number of seconds".to_owned()))?;
                connect_timeout = Duration::from_secs(seconds);
            } else {
                kept.push(option);
            }
        }
        let options = PgConnectOptions::from_str(&format!("{base}?{}", kept.join("&")))
            .map_err(|error| wrong(format!("its address cannot be read: {error}")))?;
        let options = if options.get_application_name().is_none() { options.application_name("daybook") } else { options };
        Ok(Self { options, connect_timeout })
    }

    /// How to connect to it.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// How long connecting may take.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Connects within that time, with these options.
    pub(super) async fn connect(&self, options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the server does not answer in time");
        let connected = tokio::time::timeout(self.connect_timeout, PgConnection::connect_with(options)).await;
        connected.unwrap_or_else(|_| Err(sqlx::Error::Io(late())))
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, port) = (self.options.get_username(), self.options.get_port());
        let database = self.options.get_database().unwrap_or(user);
        match self.options.get_socket() {
            Some(socket) => write!(f, "postgres://{user}@{}:{port}/{database}", socket.display()),
            None => write!(f, "postgres://{user}@{}:{port}/{database}", self.options.get_host()),
        }
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;

    use super::*;

    fn refused(url: &str) -> String {
        match PostgresAddress::parse(url) {
            Ok(address) => panic!("{address}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_prints_without_its_password() {
        let urls = [
            "postgres://ana:s3cret@db.example:5433/shop",
            "postgresql://ana@db.example:5433/shop?password=s3cret&sslmode=require",
            "postgres://?user=ana&password=s3cret&host=db.example&port=5433&dbname=shop",
        ];
        for url in urls {
            let address = PostgresAddress::parse(url).unwrap();
            assert_eq!(address.to_string(), "postgres://ana@db.example:5433/shop");
            assert_eq!(format!("{address:?}"), "postgres://ana@db.example:5433/shop");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_the_password() {
        let urls = [
            "postgres://ana:s3cret@db.example:port/shop",
            "postgres://ana:s3cret@db.example/shop?sslmode=perhaps",
            "postgres://ana@db.example/shop?pasword=s3cret",
            "postgres://ana:s3cret@db.example/shop?connect_timeout=soon",
        ];
        for url in urls {
            let refusal = refused(url);
            assert!(!refusal.contains("s3cret"), "{refusal}");
        }
    }

    #[test]
    fn options_are_understood_or_refused() {
        let address = PostgresAddress::parse("postgres://h/shop?sslmode=verify-full&connect_timeout=3").unwrap();
        assert!(matches!(address.options().get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(address.connect_timeout(), Duration::from_secs(3));
        assert!(refused("postgres://h/shop?sslmod=verify-full").contains("sslmode"));
        assert!(refused("postgres://h/shop?sslmode=maybe").contains("maybe"));
    }

    #[test]
    fn an_address_says_who_connects() {
        let name = |url: &str| PostgresAddress::parse(url).unwrap().options().get_application_name().map(str::to_owned);
        assert_eq!(name("postgres://h/shop").as_deref(), Some("daybook"));
        assert_eq!(name("postgres://h/shop?application_name=node-2").as_deref(), Some("node-2"));
    }
}
