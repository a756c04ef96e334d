//! The program `lrp`, run as people run it: a process in a folder, its exit code, and what it prints and writes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The program, built once: Cargo does not build the binaries of other packages for a test.
pub fn lrp() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    // Without Cargo, as in an emulator, the one that stands beside this test; never after a failed build: it would be an old one.
    PROGRAM.get_or_init(|| build().unwrap_or_else(|why| sibling().expect(&why)))
}

/// Builds the program in the profile and target folder of this test, and gives its path; an error where Cargo cannot be run.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(cargo);
    // The features of the whole workspace, so that what was built for the tests is used again.
    command.args(["build", "--workspace", "--bin", "lrp", "--message-format", "json-render-diagnostics"]);
    if cfg!(feature = "tokenizer") {
        command.args(["--features", "lrp-cli/tokenizer"]);
    }
    command.current_dir(repository());
    if let Some(folder) = profile_folder() {
        let profile = folder.file_name().and_then(OsStr::to_str).unwrap_or("debug");
        command.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
        // Of a cross build, target/TRIPLE/PROFILE, this is target/TRIPLE: good enough, the program runs here anyway.
        command.arg("--target-dir").args(folder.parent());
    }
    let output = command.stderr(Stdio::piped()).output().map_err(|e| format!("cargo cannot be run: {e}"))?;
    assert!(output.status.success(), "lrp cannot be built:\n{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    let named_lrp = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == "lrp");
    executables.rfind(named_lrp).ok_or_else(|| "cargo named no program 'lrp'".to_owned())
}

/// `target/PROFILE`, where this test is `target/PROFILE/deps/NAME-HASH`.
fn profile_folder() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let deps = test.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "deps"))?;
    Some(deps.parent()?.to_path_buf())
}

/// The program as it was built before, for places where the tests run without Cargo.
fn sibling() -> Option<PathBuf> {
    let program = profile_folder()?.join(format!("lrp{}", std::env::consts::EXE_SUFFIX));
    program.is_file().then_some(program)
}

/// A temporary folder in which the program runs.
///
/// What belongs to the example is copied here, so that messages show short, relative paths.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    /// With these files of `examples/mnist`.
    pub fn with(examples: &[&str]) -> Self {
        let folder = Self::new();
        for name in examples {
            let from = repository().join("examples/mnist").join(name);
            let base = Path::new(name).file_name().unwrap_or_default();
            std::fs::copy(&from, folder.path(base)).expect("an example can be copied");
        }
        folder
    }

    /// With these folders of the repository, whole.
    pub fn with_folders(names: &[&str]) -> Self {
        let folder = Self::new();
        for name in names {
            copy(&repository().join(name), &folder.path(name)).expect("a folder can be copied");
        }
        folder
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, with its folders.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(self.0.path())).expect("a folder can be made");
        std::fs::write(&path, contents).expect("a file can be written");
        path
    }

    /// The contents of a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The names of the files in a folder, sorted.
    pub fn list(&self, name: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(name)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs `lrp` with these arguments, separated by blanks; `'…'` keeps an argument together.
    pub fn lrp(&self, arguments: &str) -> Run {
        let output = self.command(arguments).output().expect("lrp can be run");
        Run::new(arguments, &output)
    }

    /// The command that [`lrp`](Self::lrp) runs.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(lrp());
        command.args(split(arguments));
        self.prepare(&mut command);
        command
    }

    /// Makes a command run here, as on any other machine: what a developer has set must not change what is printed.
    pub fn prepare(&self, command: &mut Command) {
        command.current_dir(self.0.path()).stdin(Stdio::null());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "RUST_BACKTRACE", "RAYON_NUM_THREADS"] {
            command.env_remove(name);
        }
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            std::fs::copy(path, to)?;
        }
    }
    Ok(())
}

fn split(arguments: &str) -> Vec<String> {
    let mut list = Vec::new();
    for (i, part) in arguments.split('\'').enumerate() {
        // Every other part stood in quotes.
        if i % 2 == 1 {
            list.push(part.to_owned());
        } else {
            list.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    list
}

/// The result of a run of the program.
#[derive(Debug)]
pub struct Run {
    /// The arguments.
    pub arguments: String,
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Asserts what holds whatever was asked of the program: it does not panic, nor does it draw for a terminal here.
    pub fn new(arguments: &str, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
        let run = Self {
            arguments: arguments.to_owned(),
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        };
        assert!(matches!(run.code, Some(0..=2)), "a mistake of the program: {run}");
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains("panicked"), "{run}");
            assert!(!text.contains('\u{1b}') && !text.contains('\r'), "no colours or progress bars: {run}");
            let boxes = |c: char| ('\u{2500}'..='\u{259f}').contains(&c);
            assert!(!text.contains(boxes), "no box characters: {run}");
        }
        run
    }

    /// Asserts that it went well, and gives standard output.
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self}");
        &self.stdout
    }

    /// As [`ok`](Self::ok), and asserts that standard error is empty.
    pub fn silent(&self) -> &str {
        assert_eq!(self.stderr, "", "{self}");
        self.ok()
    }

    /// As [`ok`](Self::ok), and asserts that nothing but warnings stands on standard error.
    pub fn warned(&self) -> &str {
        assert!(self.stderr.lines().all(|line| line.starts_with("warning: ")), "{self}");
        self.ok()
    }

    /// As [`silent`](Self::silent), and reads standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.silent()).unwrap_or_else(|e| panic!("{e}: {self}"))
    }

    /// Asserts that the user's input was found wrong: exit code 2, a message on one screen, nothing on standard output.
    pub fn complaint(&self) -> &str {
        assert_eq!(self.code, Some(2), "{self}");
        assert_eq!(self.stdout, "", "{self}");
        assert!(!self.stderr.trim().is_empty(), "{self}");
        assert!(self.stderr.lines().count() <= 40, "more than a screen: {self}");
        assert!(self.stderr.lines().all(|line| line.chars().count() <= 120), "wider than a screen: {self}");
        &self.stderr
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        write!(f, "$ lrp {}\nexit code {code}\n", self.arguments)?;
        for (name, text) in [("standard output", &self.stdout), ("standard error", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "{name}:\n{}\n", text.trim_end())?;
            }
        }
        Ok(())
    }
}
