//! Child processes: this test binary, started again for one of its ignored tests.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

const PATH: &str = "DAYBOOK_TEST_PATH";

/// This binary as a command that runs one of its tests over a path.
pub fn command(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(PATH, path);
    command
}

/// `command`, started by a shell that first runs `setup`; in namespaces of its own, where it may mount, if `may_mount`.
pub fn after(setup: &str, may_mount: bool, command: &Command) -> Command {
    let mut shell = Command::new(if may_mount { "unshare" } else { "sh" });
    if may_mount {
        shell.args(["--user", "--map-root-user", "--mount", "sh"]);
    }
    shell.args([OsStr::new("-c"), OsStr::new(&format!("{setup}; exec \"$0\" \"$@\"")), command.get_program()]);
    shell.args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// Why nothing can be mounted here, if nothing can.
pub fn cannot_mount(folder: &Path) -> Option<String> {
    let tried = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none"])
        .arg(folder)
        .output();
    match tried {
        Ok(tried) if tried.status.success() => None,
        Ok(tried) => Some(String::from_utf8_lossy(&tried.stderr).into_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// In a child: the path it was given. Run by hand, it has nothing to do.
pub fn path() -> Option<PathBuf> {
    std::env::var_os(PATH).map(PathBuf::from)
}

/// In a child: tells the parent a number.
pub fn tell(number: u64) {
    println!("\ntold {number}");
}

/// A running child and the numbers it tells.
pub struct Told {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Told {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Kills it, so that nothing of it runs on: no destructor, no flush.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for its end, which must be a success.
    pub fn finish(mut self) {
        for line in &mut self.lines {
            println!("{}", line.unwrap());
        }
        assert!(self.child.wait().unwrap().success());
    }
}

impl Iterator for Told {
    type Item = u64;
    fn next(&mut self) -> Option<u64> {
        // The last line of a killed child may be cut off: it counts only if it is whole.
        self.lines.find_map(|line| line.ok()?.strip_prefix("told ")?.parse().ok())
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
