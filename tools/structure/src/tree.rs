//! The modules of a crate, as `mod` items tie them together; what is for tests only is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, Token, UseTree, punctuated::Punctuated};

/// A source file.
pub struct File {
    /// From the root of the workspace.
    pub path: PathBuf,
    /// Lines outside of `#[cfg(test)] mod`.
    pub lines: usize,
    pub syntax: syn::File,
    /// The module that the file is.
    pub module: usize,
}

/// A module: a file or a part of one.
#[derive(Default)]
pub struct Module {
    pub file: usize,
    pub parent: Option<usize>,
    pub children: BTreeMap<String, usize>,
    /// Names of what it defines, modules aside.
    pub items: BTreeSet<String>,
    pub uses: Vec<Use>,
}

/// One name that a `use` brings, or all of a module's (no name).
#[derive(Clone)]
pub struct Use {
    pub name: Option<String>,
    pub path: Vec<String>,
    pub line: usize,
}

/// All modules of one library or program.
#[derive(Default)]
pub struct Tree {
    pub files: Vec<File>,
    pub modules: Vec<Module>,
}

impl Tree {
    /// Reads a root file (`lib.rs`, `main.rs`) and all files under it.
    pub fn read(workspace: &Path, root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_file(workspace, root, None, root.parent().context("a root file is in no folder")?)?;
        Ok(tree)
    }

    fn read_file(&mut self, workspace: &Path, path: &Path, parent: Option<usize>, parts: &Path) -> Result<usize> {
        let text = fs::read_to_string(workspace.join(path)).with_context(|| path.display().to_string())?;
        let syntax =
            syn::parse_file(&text).with_context(|| format!("{}: a syntax error; see cargo check", path.display()))?;
        let (file, module) = (self.files.len(), self.modules.len());
        let lines = text.lines().count() - test_lines(&syntax.items);
        self.files.push(File { path: path.into(), lines, syntax, module });
        self.modules.push(Module { file, parent, ..Module::default() });
        let items = std::mem::take(&mut self.files[file].syntax.items);
        self.add(workspace, &items, module, parts)?;
        self.files[file].syntax.items = items;
        Ok(module)
    }

    /// Takes a module's items; the files of its parts are in the folder `parts`.
    fn add(&mut self, workspace: &Path, items: &[Item], module: usize, parts: &Path) -> Result<()> {
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            let Item::Mod(ItemMod { ident, content, .. }) = item else {
                self.modules[module].items.extend(name(item));
                let mut uses = Uses(Vec::new());
                uses.visit_item(item);
                self.modules[module].uses.extend(uses.0);
                continue;
            };
            let below = parts.join(ident.to_string());
            let child = match content {
                Some((_, items)) => {
                    let (child, file) = (self.modules.len(), self.modules[module].file);
                    self.modules.push(Module { file, parent: Some(module), ..Module::default() });
                    self.add(workspace, items, child, &below)?;
                    child
                }
                None => {
                    let places = [below.with_extension("rs"), below.join("mod.rs")];
                    let Some(path) = places.iter().find(|path| workspace.join(path).is_file()) else {
                        bail!("{}: no file for `mod {ident}`", places[0].display());
                    };
                    self.read_file(workspace, path, Some(module), &below)?
                }
            };
            self.modules[module].children.insert(ident.to_string(), child);
        }
        Ok(())
    }

    /// Whether a file's module has another file's among its parts, at any depth.
    pub fn is_part(&self, part: usize, of: usize) -> bool {
        let of = self.files[of].module;
        self.above(self.files[part].module).skip(1).any(|module| module == of)
    }

    /// A module, its parent, and so on up to the root.
    pub fn above(&self, module: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(module), |&module| self.modules[module].parent)
    }
}

/// The `use`s of an item, those in function bodies included.
struct Uses(Vec<Use>);

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() && !is_test(&item.attrs) {
            self.0.append(&mut flat(&item.tree));
        }
    }
}

/// A tree of `use` as a list.
pub fn flat(tree: &UseTree) -> Vec<Use> {
    fn walk(tree: &UseTree, mut path: Vec<String>, uses: &mut Vec<Use>) {
        let line = tree.span().start().line;
        let (last, name) = match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                return walk(&part.tree, path, uses);
            }
            UseTree::Group(group) => return group.items.iter().for_each(|tree| walk(tree, path.clone(), uses)),
            UseTree::Glob(_) => return uses.push(Use { name: None, path, line }),
            UseTree::Name(name) => (name.ident.to_string(), None),
            UseTree::Rename(rename) => (rename.ident.to_string(), Some(rename.rename.to_string())),
        };
        if last != "self" {
            path.push(last);
        }
        let name = name.or_else(|| path.last().cloned());
        uses.push(Use { name, path, line });
    }
    let mut uses = Vec::new();
    walk(tree, Vec::new(), &mut uses);
    uses
}

/// The attributes of an item.
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Union(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// The name that an item defines.
fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(i) => &i.ident,
        Item::Enum(i) => &i.ident,
        Item::Fn(i) => &i.sig.ident,
        Item::Macro(i) => i.ident.as_ref()?,
        Item::Static(i) => &i.ident,
        Item::Struct(i) => &i.ident,
        Item::Trait(i) => &i.ident,
        Item::Type(i) => &i.ident,
        Item::Union(i) => &i.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// Whether attributes leave something out of all builds but those for tests.
pub fn is_test(attributes: &[Attribute]) -> bool {
    fn needs_test(meta: &Meta) -> bool {
        let Meta::List(list) = meta else { return meta.path().is_ident("test") };
        let Ok(inner) = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) else { return false };
        match () {
            () if list.path.is_ident("all") => inner.iter().any(needs_test),
            () if list.path.is_ident("any") => inner.iter().all(needs_test),
            () => list.path.is_ident("cfg") && inner.iter().any(needs_test),
        }
    }
    attributes.iter().any(|attribute| needs_test(&attribute.meta))
}

/// The lines that modules for tests take in a file.
fn test_lines(items: &[Item]) -> usize {
    struct Lines(usize);
    impl<'ast> Visit<'ast> for Lines {
        fn visit_item_mod(&mut self, item: &'ast ItemMod) {
            match is_test(&item.attrs) {
                true => self.0 += item.span().end().line + 1 - item.span().start().line,
                false => visit::visit_item_mod(self, item),
            }
        }
    }
    let mut lines = Lines(0);
    items.iter().for_each(|item| lines.visit_item(item));
    lines.0
}
