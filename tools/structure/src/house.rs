//! The workspace's crates and the rules for them in `layers.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use toml::{Table, Value};

/// `layers.toml`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Which crate may import which directly; these' imports too.
    pub imports: BTreeMap<String, Vec<String>>,
    #[serde(default, rename = "unsafe")]
    pub unsafe_code: Unsafe,
    #[serde(default)]
    pub docs: Docs,
    #[serde(default)]
    pub limits: Limits,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Unsafe {
    pub allow: Vec<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Docs {
    pub except: Vec<PathBuf>,
}

/// Lines of each file under a path, and of all of them together.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub each: BTreeMap<PathBuf, usize>,
    pub total: BTreeMap<PathBuf, usize>,
}

impl Rules {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// All crates that a crate may import.
    pub fn allowed(&self, name: &str) -> BTreeSet<&str> {
        let (mut allowed, mut open) = (BTreeSet::new(), vec![name]);
        while let Some(next) = open.pop() {
            for import in self.imports.get(next).into_iter().flatten() {
                if allowed.insert(import.as_str()) {
                    open.push(import);
                }
            }
        }
        allowed
    }
}

/// A member of the workspace.
pub struct Crate {
    pub name: String,
    /// From the root of the workspace.
    pub dir: PathBuf,
    /// `lib.rs`, `main.rs` and other programs' roots.
    pub roots: Vec<PathBuf>,
    /// Crates of the workspace that it imports, and those for tests only; with their lines in its Cargo.toml.
    pub imports: BTreeMap<String, usize>,
    pub dev_imports: BTreeMap<String, usize>,
}

impl Crate {
    /// The members of a workspace.
    pub fn all(workspace: &Path) -> Result<Vec<Self>> {
        let read = |path: &Path| -> Result<(String, Table)> {
            let text = fs::read_to_string(workspace.join(path)).with_context(|| path.display().to_string())?;
            let table = text.parse().with_context(|| path.display().to_string())?;
            Ok((text, table))
        };
        let (_, root) = read(Path::new("Cargo.toml"))?;
        let members = root.get("workspace").and_then(|table| table.get("members")).and_then(Value::as_array);
        let members = members.context("Cargo.toml: no members of a workspace")?;
        let mut crates = Vec::new();
        for dir in members.iter().filter_map(Value::as_str).map(PathBuf::from) {
            let (text, manifest) = read(&dir.join("Cargo.toml"))?;
            let name = manifest.get("package").and_then(|table| table.get("name")).and_then(Value::as_str);
            let name = name.with_context(|| format!("{}/Cargo.toml: no name", dir.display()))?.to_owned();
            let roots = roots(workspace, &dir)?;
            let [imports, dev_imports] = [&["dependencies", "build-dependencies"][..], &["dev-dependencies"]]
                .map(|tables| dependencies(&manifest, tables, &text));
            crates.push(Self { name, dir, roots, imports, dev_imports });
        }
        let names: BTreeSet<String> = crates.iter().map(|member| member.name.clone()).collect();
        for member in &mut crates {
            member.imports.retain(|name, _| names.contains(name));
            member.dev_imports.retain(|name, _| names.contains(name));
        }
        Ok(crates)
    }
}

/// Root files of a crate in the usual places.
fn roots(workspace: &Path, dir: &Path) -> Result<Vec<PathBuf>> {
    let mut roots = vec![dir.join("src/lib.rs"), dir.join("src/main.rs")];
    let programs = workspace.join(dir).join("src/bin");
    if programs.is_dir() {
        for program in fs::read_dir(programs)? {
            let path = dir.join("src/bin").join(program?.file_name());
            roots.push(if path.extension().is_some() { path } else { path.join("main.rs") });
        }
    }
    roots.retain(|path| workspace.join(path).is_file());
    roots.sort();
    Ok(roots)
}

/// The dependencies in some of a manifest's tables and their lines.
fn dependencies(manifest: &Table, tables: &[&str], text: &str) -> BTreeMap<String, usize> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let found = places.flat_map(|place| tables.iter().filter_map(|&table| place.get(table)?.as_table()));
    let line = |name: &str| text.lines().position(|line| line.split(['.', ' ', '=']).next() == Some(name));
    found.flat_map(Table::keys).map(|name| (name.clone(), line(name).map_or(1, |line| line + 1))).collect()
}
