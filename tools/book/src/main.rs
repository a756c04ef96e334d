//! Builds `docs/` as a book in `docs/book/`: mdBook, with formulas (`$…$`, `$$…$$`) as MathML, which every browser draws without a script, and
//! links to files of the repository that still lead there.
//!
//!     cargo run --manifest-path tools/book/Cargo.toml

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use mdbook_driver::MDBook;
use mdbook_preprocessor::book::{Book, Chapter};
use mdbook_preprocessor::errors::{Error, Result};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use pulldown_cmark::{Event, Options, Parser, Tag};
use pulldown_latex::config::{DisplayMode, RenderConfig};
use pulldown_latex::{Storage, push_mathml};

fn main() -> Result<()> {
    let mut book = MDBook::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs"))?;
    book.with_preprocessor(Formulas).with_preprocessor(OutsideLinks);
    book.build()
}

/// Applies changes, which do not overlap, to a text.
fn change(text: &mut String, mut changes: Vec<(Range<usize>, String)>) {
    changes.sort_by_key(|(range, _)| range.start);
    for (range, with) in changes.into_iter().rev() {
        text.replace_range(range, &with);
    }
}

/// Formulas as MathML.
struct Formulas;

impl Formulas {
    fn render(chapter: &mut Chapter) -> Result<()> {
        let mut changes = Vec::new();
        for (event, range) in
            Parser::new_ext(&chapter.content, Options::ENABLE_MATH | Options::ENABLE_TABLES).into_offset_iter()
        {
            let (formula, display_mode) = match event {
                Event::InlineMath(formula) => (formula, DisplayMode::Inline),
                Event::DisplayMath(formula) => (formula, DisplayMode::Block),
                _ => continue,
            };
            let storage = Storage::new();
            let config = RenderConfig { display_mode, annotation: Some(&formula), ..RenderConfig::default() };
            let mut markup = String::new();
            push_mathml(&mut markup, pulldown_latex::Parser::new(&formula, &storage), config)?;
            // An error in a formula is drawn in red by the library; here it is an error.
            if markup.contains("<merror") {
                return Err(Error::msg(format!("{}: the formula '{formula}' has a mistake", chapter.name)));
            }
            changes.push((range, markup.replace('\n', " ")));
        }
        change(&mut chapter.content, changes);
        Ok(())
    }
}

impl Preprocessor for Formulas {
    fn name(&self) -> &str {
        "formulas"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let mut result = Ok(());
        book.for_each_chapter_mut(|chapter| {
            if result.is_ok() {
                result = Self::render(chapter);
            }
        });
        result.map(|()| book)
    }
}

/// Links that leave `docs/` go one folder further up: pages are built one folder further down.
struct OutsideLinks;

/// Whether a path from this page leaves the folder of the book.
fn leaves(page: &Path, link: &str) -> bool {
    let mut depth = page.parent().map_or(0, |folder| folder.components().count()) as isize;
    for part in PathBuf::from(link).components() {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

impl Preprocessor for OutsideLinks {
    fn name(&self) -> &str {
        "outside-links"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        book.for_each_chapter_mut(|chapter| {
            let Some(page) = chapter.source_path.clone() else { return };
            let mut changes = Vec::new();
            for (event, range) in Parser::new_ext(&chapter.content, Options::ENABLE_TABLES).into_offset_iter() {
                let (Event::Start(Tag::Link { dest_url, .. }) | Event::Start(Tag::Image { dest_url, .. })) = event
                else {
                    continue;
                };
                let outside = !dest_url.contains("://") && leaves(&page, &dest_url);
                if let (true, Some(place)) = (outside, chapter.content[range.clone()].rfind(&*dest_url)) {
                    let start = range.start + place;
                    // mdBook takes what ends with `.md` for a page of the book.
                    let target = dest_url.replace(".md", ".md?plain=1");
                    changes.push((start..start + dest_url.len(), format!("../{target}")));
                }
            }
            change(&mut chapter.content, changes);
        });
        Ok(book)
    }
}
