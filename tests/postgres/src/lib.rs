//! Real PostgreSQL servers for tests: each test starts its own, on a free port of the loopback address, and stops or kills it.
//!
//! PostgreSQL refuses to run as root, so under root the server runs as the user `postgres` (or `nobody`). The server dies
//! with the thread that started it: start it on the thread of the test itself, never on a pool's.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod proxy;

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use self::proxy::{CutAt, Mode, Proxy};

/// How long a server may take to answer, also after a crash and beside a build.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running PostgreSQL server with a folder of its own; gone with its folder when dropped.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// Starts a server, or prints why the test is skipped when this machine has no PostgreSQL.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// As [`Postgres::start`], with settings such as `fsync=off`.
    ///
    /// # Panics
    /// If PostgreSQL is there and does not start.
    pub fn start_with(settings: &[&str]) -> Option<Self> {
        let mut postgres = Self::stopped_with(settings, &[])?;
        postgres.restart();
        Some(postgres)
    }

    /// As [`Postgres::start_with`], but it is only made, with these options of `initdb`, and not started yet.
    ///
    /// # Panics
    /// If PostgreSQL is there and makes no data folder.
    pub fn stopped_with(settings: &[&str], init: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL is not installed here; ./test.sh installs it");
            return None;
        };
        let folder = TempDir::with_prefix("daybook-postgres-").expect("a folder for the server");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a folder that the server may enter");
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let postgres = Self { programs, folder, settings, environment: Vec::new(), port: free_port(), server: None };
        postgres.init(init);
        Some(postgres)
    }

    /// Sets variables of the server's environment from its next start on.
    pub fn set_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        self.environment.extend(variables);
    }

    /// The address of a database of this server; it is made when it is not there.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn database(&self, name: &str) -> String {
        let there = self.psql("postgres", &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"));
        if there.trim().is_empty() {
            self.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
        }
        self.url(name)
    }

    /// The address of a database of this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where `pg_dump` and the other programs of the server are.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// What `psql` prints for some SQL: rows only, columns separated by `|`.
    ///
    /// # Panics
    /// If it fails.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let output = self.try_psql(database, sql).expect("psql runs");
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// As [`Postgres::psql`], for SQL that may fail.
    ///
    /// # Errors
    /// If `psql` itself cannot be run.
    pub fn try_psql(&self, database: &str, sql: &str) -> io::Result<Output> {
        let url = self.url(database);
        Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql])
            .output()
    }

    /// Kills the server and all its processes with SIGKILL, as a crash of the machine would, but for the page cache.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // A parent that stands still makes no child that would be missed below.
        signal("STOP", server.id());
        let mut pids = children_of(server.id());
        pids.push(server.id());
        for pid in &pids {
            signal("KILL", *pid);
        }
        drop(server.wait());
        let begun = Instant::now();
        while pids.iter().any(|pid| is_alive(*pid)) && begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server without waiting for its clients, as an operator would.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// Starts the server again on the same port and data.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|log| panic!("PostgreSQL does not come up:\n{log}"));
    }

    /// As [`Postgres::restart`], for a server that may not come up.
    ///
    /// # Errors
    /// What the server has logged, if it ended instead.
    pub fn try_restart(&mut self) -> Result<(), String> {
        self.end("INT");
        self.run();
        self.wait()
    }

    /// Waits until the server answers, such as after one of its processes was killed.
    ///
    /// # Errors
    /// What the server has logged, if it ended instead.
    pub fn wait(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while !self.try_psql("postgres", "SELECT 1").expect("psql runs").status.success() {
            let ended = self.server.as_mut().and_then(|server| server.try_wait().ok().flatten());
            if ended.is_some() || begun.elapsed() > PATIENCE {
                return Err(self.log());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn end(&mut self, how: &str) {
        let Some(mut server) = self.server.take() else { return };
        signal(how, server.id());
        drop(server.wait());
    }

    fn init(&self, options: &[&str]) {
        let root = is_root();
        let home = fs::metadata(self.folder.path()).expect("the server's folder");
        if let (true, Some((uid, gid))) = (root, server_user()) {
            chown(self.folder.path(), Some(uid), Some(gid)).expect("a folder of the server's user");
        } else {
            assert!(home.uid() != 0, "root cannot run PostgreSQL, and there is no other user");
        }
        let data = self.data();
        let mut init = self.program("initdb");
        init.args(["-D", &data.to_string_lossy(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]);
        let output = init.args(options).output().expect("initdb runs");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&mut self) {
        let log =
            fs::File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a log of the server");
        let mut command = self.program("postgres");
        command.args(["-D", &self.data().to_string_lossy(), "-p", &self.port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"]);
        // After a crash a server syncs all its files before it begins: in one call, not in a thousand.
        command.args(["-c", "recovery_init_sync_method=syncfs"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(command.spawn().expect("postgres starts"));
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A program of the server, as the server's user, that dies with this thread.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        if let (true, Some((uid, gid))) = (is_root(), server_user()) {
            command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
        }
        command.args(["--pdeathsig=QUIT"]).arg(self.programs.join(name)).current_dir(self.folder.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end("QUIT");
    }
}

/// Where the newest installed PostgreSQL has its programs.
fn programs() -> Option<PathBuf> {
    let version = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or(0);
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let newest = installed.filter(|path| path.join("bin/initdb").exists()).max_by_key(|path| version(path));
    newest.map(|path| path.join("bin")).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
    })
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The user and group that a server runs as when the test runs as root.
fn server_user() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(|pid| parent_of(*pid).is_some_and(|(of, _)| of == parent)).collect()
}

/// The parent and the state of a process: `pid (name) state parent …`.
fn parent_of(pid: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut after_name = stat.rsplit_once(')')?.1.split_whitespace();
    let state = after_name.next()?.chars().next()?;
    Some((after_name.next()?.parse().ok()?, state))
}

fn is_alive(pid: u32) -> bool {
    parent_of(pid).is_some_and(|(_, state)| state != 'Z')
}

/// Sends a signal, such as `KILL` or `STOP`, to a process; one that is gone does not mind.
pub fn signal(name: &str, pid: u32) {
    drop(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_is_there_after_a_kill() {
        let Some(mut postgres) = Postgres::start() else { return };
        postgres.database("shop");
        postgres.psql("shop", "CREATE TABLE t (n INT); INSERT INTO t VALUES (42)");
        postgres.kill();
        assert!(!postgres.try_psql("shop", "SELECT 1").unwrap().status.success());
        postgres.restart();
        assert_eq!(postgres.psql("shop", "SELECT n FROM t").trim(), "42");
    }
}
