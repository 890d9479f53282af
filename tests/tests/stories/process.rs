//! The `daybook` binary as a process over a folder: started, asked, killed.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// A binary of this workspace, as built together with this test.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join(name);
    assert!(binary.exists(), "{} is not built: test the whole workspace, or run `cargo build --bins` first", binary.display());
    binary
}

/// A child process that is killed, as kill -9 does, when this goes.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It fails only when the process has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A serving process. It is killed when this goes.
pub struct Process {
    child: Killed,
    /// Where it answers, such as `http://127.0.0.1:34567`.
    pub url: String,
    /// The link that makes the first admin, as long as there is none.
    pub admin_link: Option<String>,
}

impl Process {
    /// Serves a folder on a free port; returns once it answers.
    pub fn serve(folder: &Path) -> Self {
        Self::serve_with(folder, &[])
    }

    /// The same with settings in its environment.
    pub fn serve_with(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::serve_into(folder, 0, &[], environment, Stdio::null())
    }

    /// The same on a port that was chosen before.
    pub fn serve_on(folder: &Path, port: u16, environment: &[(&str, &str)]) -> Self {
        Self::serve_into(folder, port, &[], environment, Stdio::null())
    }

    /// The same, with its log lines in a file.
    pub fn serve_logged(folder: &Path, environment: &[(&str, &str)], lines: &Path) -> Self {
        Self::serve_into(folder, 0, &[], environment, File::create(lines).unwrap().into())
    }

    /// The shop of a folder as it was at a moment; returns once its views are built and it answers.
    pub fn serve_as_of(folder: &Path, moment: &str) -> Self {
        Self::serve_into(folder, 0, &["--read-only", "--as-of", moment], &[], Stdio::null())
    }

    fn serve_into(folder: &Path, port: u16, more: &[&str], environment: &[(&str, &str)], lines: Stdio) -> Self {
        let mut child = Command::new(binary("daybook"))
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--json", "--data"])
            .arg(folder)
            .args(more)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(lines)
            .spawn()
            .map(Killed)
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server did not start: {line:?}"));
        let url = ready["url"].as_str().unwrap().trim_end_matches('/').to_owned();
        Self { child, url, admin_link: ready["adminLink"].as_str().map(ToOwned::to_owned) }
    }

    /// Where browsers reach it, unless it was told another URL: under a name, as passkeys need.
    pub fn public_url(&self) -> String {
        self.url.replace("127.0.0.1", "localhost")
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Whether the process has ended by itself.
    pub fn is_gone(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_some()
    }
}

/// What an `Authorization` header says of somebody with a role at the shop of a folder, which is served with these settings.
pub fn bearer(folder: &Path, role: &str, settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(binary("daybook"));
    let made = command.args(["token", "--role", role, "--data"]).arg(folder).envs(settings.iter().copied()).output().unwrap();
    assert!(made.status.success(), "daybook token --role {role}: {}", String::from_utf8_lossy(&made.stderr));
    format!("Bearer {}", String::from_utf8(made.stdout).unwrap().trim())
}
