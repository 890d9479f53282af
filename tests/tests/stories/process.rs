//! The `daybook` binary as a process over a folder: started, asked, killed.

use std::{
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
}

impl Process {
    /// Serves a folder on a free port; returns once it answers.
    pub fn serve(folder: &Path) -> Self {
        Self::serve_with(folder, &[])
    }

    /// The same with settings in its environment.
    pub fn serve_with(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(binary("daybook"))
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"])
            .arg(folder)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map(Killed)
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server did not start: {line:?}"));
        Self { child, url: ready["url"].as_str().unwrap().trim_end_matches('/').to_owned() }
    }
    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }
}
