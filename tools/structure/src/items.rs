//! What single items must be: documented where they are public, and safe.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Field, Fields, ImplItem, Item, Meta, TraitItem, Visibility};

use crate::tree::{attributes, is_test};

/// The lines with the word `unsafe`.
pub fn unsafe_lines(tokens: TokenStream) -> Vec<usize> {
    let lines = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(ident) if ident == "unsafe" => vec![ident.span().start().line],
        TokenTree::Group(group) => unsafe_lines(group.stream()),
        _ => Vec::new(),
    });
    lines.collect()
}

/// Line and name of every public item without a doc comment.
pub fn undocumented(file: &syn::File) -> Vec<(usize, String)> {
    let mut docs = Docs(Vec::new());
    docs.visit_file(file);
    docs.0
}

struct Docs(Vec<(usize, String)>);

impl Docs {
    fn check(&mut self, attributes: &[Attribute], name: &syn::Ident) {
        if !attributes.iter().any(|attribute| attribute.path().is_ident("doc")) {
            self.0.push((name.span().start().line, name.to_string()));
        }
    }

    fn check_public(&mut self, visibility: &Visibility, attributes: &[Attribute], name: &syn::Ident) {
        if matches!(visibility, Visibility::Public(_)) {
            self.check(attributes, name);
        }
    }

    /// Fields with names, as in rustc's lint.
    fn check_fields(&mut self, fields: &Fields, all: bool) {
        for Field { vis, attrs, ident, .. } in fields {
            if let (Some(name), true) = (ident, all || matches!(vis, Visibility::Public(_))) {
                self.check(attrs, name);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Docs {
    fn visit_block(&mut self, _: &'ast syn::Block) {}

    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) || is_hidden(attributes(item)) {
            return;
        }
        match item {
            Item::Const(i) => self.check_public(&i.vis, &i.attrs, &i.ident),
            Item::Fn(i) => self.check_public(&i.vis, &i.attrs, &i.sig.ident),
            // A module in a file of its own has its doc comment there.
            Item::Mod(i) if i.content.is_some() => self.check_public(&i.vis, &i.attrs, &i.ident),
            Item::Static(i) => self.check_public(&i.vis, &i.attrs, &i.ident),
            Item::Type(i) => self.check_public(&i.vis, &i.attrs, &i.ident),
            Item::Union(i) => self.check_public(&i.vis, &i.attrs, &i.ident),
            Item::Struct(i) if matches!(i.vis, Visibility::Public(_)) => {
                self.check(&i.attrs, &i.ident);
                self.check_fields(&i.fields, false);
            }
            Item::Enum(i) if matches!(i.vis, Visibility::Public(_)) => {
                self.check(&i.attrs, &i.ident);
                for variant in i.variants.iter().filter(|variant| !is_hidden(&variant.attrs)) {
                    self.check(&variant.attrs, &variant.ident);
                    self.check_fields(&variant.fields, true);
                }
            }
            Item::Trait(i) if matches!(i.vis, Visibility::Public(_)) => {
                self.check(&i.attrs, &i.ident);
                for item in &i.items {
                    match item {
                        TraitItem::Const(i) if !is_hidden(&i.attrs) => self.check(&i.attrs, &i.ident),
                        TraitItem::Fn(i) if !is_hidden(&i.attrs) => self.check(&i.attrs, &i.sig.ident),
                        TraitItem::Type(i) if !is_hidden(&i.attrs) => self.check(&i.attrs, &i.ident),
                        _ => (),
                    }
                }
            }
            Item::Impl(i) if i.trait_.is_none() => {
                for item in &i.items {
                    match item {
                        ImplItem::Const(i) if !is_hidden(&i.attrs) => self.check_public(&i.vis, &i.attrs, &i.ident),
                        ImplItem::Fn(i) if !is_hidden(&i.attrs) => self.check_public(&i.vis, &i.attrs, &i.sig.ident),
                        _ => (),
                    }
                }
            }
            Item::Macro(i) if i.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) => {
                if let Some(name) = &i.ident {
                    self.check(&i.attrs, name);
                }
            }
            _ => (),
        }
        visit::visit_item(self, item);
    }
}

/// `#[doc(hidden)]`, or `#[allow(missing_docs, …)]`.
fn is_hidden(attributes: &[Attribute]) -> bool {
    let tokens = |meta: &Meta| match meta {
        Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    };
    attributes.iter().any(|attribute| {
        (attribute.path().is_ident("doc") && tokens(&attribute.meta) == "hidden")
            || (attribute.path().is_ident("allow") && tokens(&attribute.meta).starts_with("missing_docs"))
    })
}
