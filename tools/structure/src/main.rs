//! Prints which crate and which file of the workspace imports which, and checks the rules of the house in `layers.toml`: the direction of
//! imports, circles of crates and of files, `unsafe`, doc comments, and lines.
//!
//!     cargo run --manifest-path tools/structure/Cargo.toml --locked --quiet [-- [--lines] [--names] [WORKSPACE]]

mod circles;
mod house;
mod imports;
mod items;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use walkdir::WalkDir;

use crate::circles::{circles, file_circles};
use crate::house::{Crate, Rules};
use crate::imports::Imports;
use crate::tree::{File, Tree};

fn main() -> ExitCode {
    let (options, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = paths.first().map_or_else(|| here.join("../.."), PathBuf::from);
    let [all_lines, all_names] = ["--lines", "--names"].map(|wanted| options.iter().any(|option| option == wanted));
    if options.len() != usize::from(all_lines) + usize::from(all_names) {
        eprintln!("usage: lrp-structure [--lines] [--names] [WORKSPACE]");
        return ExitCode::FAILURE;
    }
    match Rules::read(&here.join("layers.toml")).and_then(|rules| check(&workspace, &rules, all_lines, all_names)) {
        Ok((text, errors)) => {
            print!("{text}");
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            ExitCode::from(u8::from(!errors.is_empty()))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The printed tables, with the lines of all files and the names that are imported, or not; and what breaks a rule.
fn check(workspace: &Path, rules: &Rules, all_lines: bool, all_names: bool) -> Result<(String, Vec<String>)> {
    let crates = Crate::all(workspace)?;
    let names: BTreeSet<String> = crates.iter().map(|member| member.name.replace('-', "_")).collect();
    let (mut text, mut errors) = (String::new(), Vec::new());
    let mut lines: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut found_circles = String::new();
    for member in &crates {
        for root in &member.roots {
            let tree = Tree::read(workspace, root)?;
            let imports = Imports::of(&tree, &names);
            print_files(&mut text, member, &tree, &imports, all_names)?;
            for circle in file_circles(&tree, &imports) {
                errors.push(print_circle(&mut found_circles, member, &tree, &imports, &circle)?);
            }
            lines.extend(tree.files.iter().map(|file| (file.path.clone(), file.lines)));
            if root.ends_with("src/lib.rs") {
                let is_exempt = |file: &&File| rules.docs.except.iter().any(|path| file.path.starts_with(path));
                for file in tree.files.iter().filter(|file| !is_exempt(file)) {
                    errors.extend(items::undocumented(&file.syntax).into_iter().map(|(line, name)| {
                        format!("{}:{line}: `{name}` is public without a doc comment: write one", file.path.display())
                    }));
                }
            }
        }
        check_unsafe(workspace, member, rules, &mut errors)?;
    }
    text += &found_circles;
    check_crates(&crates, rules, &mut errors);
    check_limits(rules, &lines, &mut errors);
    print_crates(&mut text, &crates, &lines)?;
    let mut largest: Vec<_> = lines.iter().collect();
    largest.sort_by_key(|&(_, &lines)| std::cmp::Reverse(lines));
    largest.truncate(if all_lines { usize::MAX } else { 15 });
    writeln!(text, "\nlines outside of tests, {}", if all_lines { "all files" } else { "largest files" })?;
    largest.iter().try_for_each(|(path, lines)| writeln!(text, "{lines:>7}  {}", path.display()))?;
    Ok((text, errors))
}

/// The files of a library or program, and what each imports: with names and lines, if those are wanted.
fn print_files(text: &mut String, member: &Crate, tree: &Tree, imports: &Imports, all_names: bool) -> Result<()> {
    let short = |file: usize| shortened(&tree.files[file].path, member);
    let wide = (0..tree.files.len()).map(|file| short(file).len()).max().unwrap_or(0);
    writeln!(text, "{}: files and their imports", tree.files[0].path.display())?;
    for file in 0..tree.files.len() {
        let files = || imports.files.range((file, 0)..(file + 1, 0)).map(|(&(_, to), _)| to);
        let crates = imports.crates.get(&file).into_iter().flatten().cloned();
        if all_names {
            writeln!(text, "  {}  {}", short(file), crates.collect::<Vec<_>>().join(", "))?;
            files().try_for_each(|to| writeln!(text, "  {}", import(member, tree, imports, (file, to))))?;
        } else {
            let all: Vec<String> = files().map(short).chain(crates).collect();
            writeln!(text, "  {:wide$}  {}", short(file), all.join(", "))?;
        }
    }
    writeln!(text)?;
    Ok(())
}

/// One import in a line: where, of which file, and of what.
fn import(member: &Crate, tree: &Tree, imports: &Imports, (from, to): (usize, usize)) -> String {
    let names = &imports.files[&(from, to)];
    let related = match (tree.is_part(from, to), tree.is_part(to, from)) {
        (true, _) => " (its parent)",
        (_, true) => " (its part)",
        _ => "",
    };
    let [from, to] = [from, to].map(|file| shortened(&tree.files[file].path, member));
    let (line, names) = (names.values().min().unwrap_or(&1), names.keys().cloned().collect::<Vec<_>>().join(", "));
    format!("  {from}:{line} imports {to}{related}: {names}")
}

/// A circle with its imports; its error names the first that is not of a module and its part.
fn print_circle(text: &mut String, member: &Crate, tree: &Tree, imports: &Imports, circle: &[usize]) -> Result<String> {
    let files: Vec<String> = circle.iter().map(|&file| shortened(&tree.files[file].path, member)).collect();
    let files = format!("{} files import each other in a circle: {}", circle.len(), files.join(", "));
    writeln!(text, "{}: {files}", member.name)?;
    let inside = || imports.files.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
    inside().try_for_each(|(&edge, _)| writeln!(text, "{}", import(member, tree, imports, edge)))?;
    writeln!(text)?;
    let first = inside().find(|((from, to), _)| !tree.is_part(*from, *to) && !tree.is_part(*to, *from));
    let (from, line) = first.map_or((circle[0], 1), |((from, _), names)| (*from, *names.values().min().unwrap_or(&1)));
    let path = tree.files[from].path.display();
    Ok(format!("{path}:{line}: {files}; move what two of them need into a file that imports neither"))
}

/// A file's path in its crate's sources.
fn shortened(path: &Path, member: &Crate) -> String {
    path.strip_prefix(member.dir.join("src")).unwrap_or(path).display().to_string()
}

fn print_crates(text: &mut String, crates: &[Crate], lines: &BTreeMap<PathBuf, usize>) -> Result<()> {
    writeln!(text, "crate         lines  files  imports (and for tests)")?;
    for member in crates {
        let own: Vec<usize> = lines.iter().filter(|(path, _)| path.starts_with(&member.dir)).map(|(_, n)| *n).collect();
        let list = |imports: &BTreeMap<String, usize>| imports.keys().cloned().collect::<Vec<_>>().join(", ");
        let dev =
            if member.dev_imports.is_empty() { String::new() } else { format!(" ({})", list(&member.dev_imports)) };
        let (total, imports) = (own.iter().sum::<usize>(), list(&member.imports));
        writeln!(text, "{:12} {total:>6} {:>6}  {imports}{dev}", member.name, own.len())?;
    }
    Ok(())
}

/// Direction and circles of the crates.
fn check_crates(crates: &[Crate], rules: &Rules, errors: &mut Vec<String>) {
    for member in crates {
        let manifest = member.dir.join("Cargo.toml");
        let manifest = manifest.display();
        if !rules.imports.contains_key(&member.name) {
            errors.push(format!("{manifest}:1: `{}` has no place: add it to [imports] in layers.toml", member.name));
            continue;
        }
        let allowed = rules.allowed(&member.name);
        for (import, line) in member.imports.iter().filter(|(import, _)| !allowed.contains(import.as_str())) {
            errors.push(format!(
                "{manifest}:{line}: `{}` must not import `{import}`: move what it needs to a crate below both",
                member.name
            ));
        }
    }
    let number = |name: &str| crates.iter().position(|member| member.name == name);
    let edges = |dev: bool| {
        let pairs = crates.iter().enumerate().flat_map(move |(from, member)| {
            let dev = member.dev_imports.keys().filter(move |_| dev);
            member.imports.keys().chain(dev).filter_map(move |name| Some((from, number(name)?)))
        });
        pairs.collect::<Vec<_>>()
    };
    let plain = circles(edges(false));
    let with_dev = circles(edges(true)).into_iter().filter(|circle| !plain.contains(circle));
    let all = plain.iter().cloned().map(|circle| (circle, "")).collect::<Vec<_>>();
    for (circle, by) in all.into_iter().chain(with_dev.map(|circle| (circle, " by dev-dependencies"))) {
        let names: Vec<&str> = circle.iter().map(|&member| crates[member].name.as_str()).collect();
        let member = &crates[circle[0]];
        let mut imports = member.imports.iter().chain(&member.dev_imports);
        let line = imports.find(|(name, _)| names.contains(&name.as_str())).map_or(1, |(_, line)| *line);
        let (manifest, names) = (member.dir.join("Cargo.toml"), names.join(", "));
        let remedy = "move what two of them need, or the tests, to another crate";
        errors.push(format!("{}:{line}: crates in a circle{by} ({names}): {remedy}", manifest.display()));
    }
}

/// `unsafe` in files that are not allowed to have it, and leave for files that have none.
fn check_unsafe(workspace: &Path, member: &Crate, rules: &Rules, errors: &mut Vec<String>) -> Result<()> {
    let mut unused: Vec<&PathBuf> =
        rules.unsafe_code.allow.iter().filter(|path| path.starts_with(&member.dir)).collect();
    let entries = WalkDir::new(workspace.join(&member.dir)).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(|entry| entry.file_name() != "target") {
        let entry = entry?;
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let path = entry.path().strip_prefix(workspace)?;
        // A file that is included may be no tokens of its own.
        let Ok(tokens) = fs::read_to_string(entry.path()).context("unreadable")?.parse() else { continue };
        if let [first, more @ ..] = &items::unsafe_lines(tokens)[..] {
            unused.retain(|allowed| !path.starts_with(allowed));
            if !rules.unsafe_code.allow.iter().any(|allowed| path.starts_with(allowed)) {
                let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
                errors.push(format!("{}:{first}: `unsafe`{more}: it belongs to lrp-kernels", path.display()));
            }
        }
    }
    errors.extend(
        unused
            .iter()
            .map(|path| format!("{}:1: contains no `unsafe`: take it from [unsafe] in layers.toml", path.display())),
    );
    Ok(())
}

fn check_limits(rules: &Rules, lines: &BTreeMap<PathBuf, usize>, errors: &mut Vec<String>) {
    for (path, &limit) in &rules.limits.each {
        for (file, &lines) in lines.iter().filter(|&(file, &lines)| file.starts_with(path) && lines > limit) {
            let file = file.display();
            errors.push(format!("{file}:{}: {lines} lines outside of tests, at most {limit}: split it", limit + 1));
        }
    }
    for (path, &limit) in &rules.limits.total {
        let total: usize = lines.iter().filter(|(file, _)| file.starts_with(path)).map(|(_, lines)| lines).sum();
        if total > limit {
            let path = path.display();
            errors.push(format!(
                "{path}:1: {total} lines outside of tests, at most {limit}: move some to where they belong"
            ));
        }
    }
}
