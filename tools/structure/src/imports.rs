//! Which file of a crate imports which: `use` and all other paths, led through re-exports to the file that defines the item.
//!
//! Only names are looked at: a call of a method on a value whose type is never named is no import here.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Item, ItemMod, ItemUse, Macro, MetaList, Path};

use crate::tree::{Tree, attributes, flat, is_test};

/// The import of one file by another: names, and the line of a use of each.
pub type Names = BTreeMap<String, usize>;

/// All imports of a crate's files: (importing file, imported file).
#[derive(Default)]
pub struct Imports {
    pub files: BTreeMap<(usize, usize), Names>,
    /// Other crates of the workspace that a file names.
    pub crates: BTreeMap<usize, BTreeSet<String>>,
}

impl Imports {
    /// Of the files of a tree; `crates` are the workspace's, as code names them.
    pub fn of(tree: &Tree, crates: &BTreeSet<String>) -> Self {
        let mut imports = Self::default();
        for (file, source) in tree.files.iter().enumerate() {
            let mut paths = Paths { tree, crates, module: source.module, file, imports: &mut imports };
            paths.visit_file(&source.syntax);
        }
        imports
    }
}

/// What a path leads to.
#[derive(Clone)]
enum Found {
    Module(usize),
    Item { file: usize, name: String },
}

/// The names that are being looked up, and where.
type Open = Vec<(usize, String)>;

impl Tree {
    /// The item or module that a path leads to, seen from a module. `open` ends circles of `use`.
    fn resolve(&self, from: usize, path: &[String], open: &mut Open) -> Option<Found> {
        let (mut module, mut rest) = (from, path);
        loop {
            let (first, after) = rest.split_first()?;
            let step = match first.as_str() {
                "crate" => self.above(module).last(),
                "self" => Some(module),
                "super" => self.modules[module].parent,
                _ => break,
            };
            (module, rest) = (step?, after);
            if rest.is_empty() {
                return Some(Found::Module(module));
            }
        }
        let whole = rest.len() == path.len();
        while let [name, after @ ..] = rest {
            match self.look_up(module, name, after.is_empty(), open) {
                Some(Found::Module(child)) => (module, rest) = (child, after),
                Some(item) => return Some(item),
                // Another crate, the prelude, a local name.
                None if whole && rest.len() == path.len() => return None,
                // Made by a macro, or by a derive.
                None => return Some(Found::Item { file: self.modules[module].file, name: name.clone() }),
            }
        }
        Some(Found::Module(module))
    }

    /// A name in a module: as the last of a path an item first, before others a module.
    fn look_up(&self, at: usize, name: &str, last: bool, open: &mut Open) -> Option<Found> {
        let key = (at, name.to_owned());
        if open.contains(&key) {
            return None;
        }
        open.push(key);
        let module = &self.modules[at];
        let child = module.children.get(name).map(|&child| Found::Module(child));
        let item = module.items.contains(name).then(|| Found::Item { file: module.file, name: name.to_owned() });
        let mut found: Vec<Found> = child.into_iter().chain(item).collect();
        for import in module.uses.iter().filter(|import| import.name.as_deref() == Some(name)) {
            found.extend(self.resolve(at, &import.path, open));
        }
        let globs = if found.is_empty() { &module.uses[..] } else { &[] };
        for glob in globs.iter().filter(|glob| glob.name.is_none()) {
            if let Some(Found::Module(of)) = self.resolve(at, &glob.path, open) {
                found.extend(self.look_up(of, name, last, open));
            }
        }
        open.pop();
        let is_wanted = |found: &Found| matches!(found, Found::Item { .. }) == last;
        found.iter().find(|found| is_wanted(found)).or(found.first()).cloned()
    }
}

/// Visits all paths of a file.
struct Paths<'a> {
    tree: &'a Tree,
    crates: &'a BTreeSet<String>,
    module: usize,
    file: usize,
    imports: &'a mut Imports,
}

impl Paths<'_> {
    fn add(&mut self, path: &[String], line: usize) {
        if let [first, _, ..] = path
            && self.crates.contains(first)
        {
            self.imports.crates.entry(self.file).or_default().insert(first.replace('_', "-"));
        }
        if let Some(Found::Item { file, name }) = self.tree.resolve(self.module, path, &mut Open::new())
            && file != self.file
        {
            self.imports.files.entry((self.file, file)).or_default().entry(name).or_insert(line);
        }
    }

    /// Paths in what a macro or an attribute is given.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add(&std::mem::take(&mut path), line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() && colons < 2 => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                _ => (),
            }
            self.add(&std::mem::take(&mut path), line);
            colons = 0;
        }
        self.add(&path, line);
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() {
            let outer = self.module;
            self.module = self.tree.modules[outer].children[&item.ident.to_string()];
            visit::visit_item_mod(self, item);
            self.module = outer;
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for import in flat(&item.tree) {
            self.add(&import.path, import.line);
            // A module that is imported as a name is no import of what is in it; all of what is in it is.
            if import.name.is_none()
                && let Some(Found::Module(of)) = self.tree.resolve(self.module, &import.path, &mut Open::new())
                && self.tree.modules[of].file != self.file
            {
                let names = self.imports.files.entry((self.file, self.tree.modules[of].file)).or_default();
                names.entry("*".to_owned()).or_insert(import.line);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add(&names, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_macro(self, item);
        self.add_tokens(item.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast MetaList) {
        self.add_tokens(list.tokens.clone());
    }
}
