//! TLS to a real server with a certificate of a made-up authority: who is who is checked as the address says.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::PathBuf,
    process::Command,
};

use event_store::{Log as _, OpenError, PostgresLog};
use tempfile::TempDir;
use test_postgres::Postgres;

use crate::facts::{orders, whole};

/// A server that takes no connection without TLS, and the folder in which the authorities' certificates are.
struct Secured {
    server: Postgres,
    folder: TempDir,
}

impl Secured {
    /// Starts it under the name `localhost`; none, with the reason printed, where it cannot be made.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if Command::new("openssl").arg("version").output().is_err() {
            println!("skipped: openssl is not installed here");
            return None;
        }
        let secured = Self { server: Postgres::start()?, folder };
        secured.make_authority("ours");
        secured.make_authority("other");
        secured.present("localhost");
        let data = secured.server.data();
        fs::write(data.join("pg_hba.conf"), "hostssl all all all trust\nlocal all all trust\n").unwrap();
        Some(secured)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(self.folder.path()).output().unwrap();
        assert!(made.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn make_authority(&self, name: &str) {
        let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        self.openssl(&format!("{key} -subj /CN={name} -keyout {name}.key -out {name}.crt"));
    }

    /// Gives the server a certificate of our authority for a host of this name, from its next start on.
    fn present(&self, host: &str) {
        let key = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        self.openssl(&format!("{key} -subj /CN={host} -keyout server.key -out server.csr"));
        fs::write(self.path("name"), format!("subjectAltName=DNS:{host}")).unwrap();
        self.openssl("x509 -req -in server.csr -CA ours.crt -CAkey ours.key -days 2 -extfile name -out server.crt");
        let data = self.server.data();
        let owner = fs::metadata(&data).unwrap();
        for file in ["server.key", "server.crt"] {
            fs::copy(self.path(file), data.join(file)).unwrap();

            chown(data.join(file), Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        self.server.psql("postgres", "ALTER SYSTEM SET ssl = on");
        self.server.psql("postgres", "SELECT pg_reload_conf()");
    }

    /// Opens the log with these options of the address.
    async fn open(&self, options: &str) -> Result<PostgresLog, OpenError> {
        let url = self.server.url("shop").replace("127.0.0.1", "localhost");
        let authorities = options.replace("sslrootcert=", &format!("sslrootcert={}/", self.folder.path().display()));
        PostgresLog::open(&format!("{url}?{authorities}"), Default::default()).await
    }

    async fn refused(&self, options: &str) -> String {
        match self.open(options).await {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{options}: it was opened"),
        }
    }
}

#[tokio::test]
async fn a_server_is_believed_by_its_certificate_and_name_as_the_address_says() {
    let Some(mut secured) = Secured::start() else { return };
    // The settings of who may connect are read again as well.
    secured.server.database("shop");
    secured.server.restart();
    let log = secured.open("sslmode=verify-full&sslrootcert=ours.crt").await.unwrap();
    log.append(0, orders("o", 3)).await.unwrap();
    assert_eq!(whole(&log).await.len(), 3);
    let encrypted = "SELECT count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'daybook'";
    assert_eq!(secured.server.psql("shop", encrypted).trim(), "0");
    // Encrypted, whoever is at the other end.
    assert_eq!(whole(&secured.open("sslmode=require").await.unwrap()).await.len(), 3);

    let refused = secured.refused("sslmode=disable").await;
    assert!(refused.contains("no encryption"), "{refused}");
    for mode in ["verify-ca", "verify-full"] {
        // Of an authority that nobody here knows.
        for authority in ["&sslrootcert=other.crt", ""] {
            let refused = secured.refused(&format!("sslmode={mode}{authority}")).await;
            assert!(refused.contains("UnknownIssuer"), "{mode}{authority}: {refused}");
        }
        let refused = secured.refused(&format!("sslmode={mode}&sslrootcert=nowhere.crt")).await;
        assert!(refused.contains("sslrootcert"), "{refused}");
    }
    drop(log);

    secured.present("db.example");
    secured.server.restart();
    let refused = secured.refused("sslmode=verify-full&sslrootcert=ours.crt").await;
    assert!(refused.contains("not valid for name"), "{refused}");
    assert_eq!(whole(&secured.open("sslmode=require").await.unwrap()).await.len(), 3);
}
