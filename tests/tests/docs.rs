//! The numbers in the docs are those that the repository computes.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use lrp_tests::agree::agree;
use lrp_tests::program::repository;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The cells of a Markdown table, row by row.
type Cells = Vec<Vec<String>>;

/// All tables of a page, by their heading row.
fn tables(page: &str) -> HashMap<Vec<String>, Cells> {
    let row = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut tables = HashMap::new();
    for block in page.split("\n\n").filter(|block| block.starts_with('|')) {
        let mut rows: Cells = block.lines().map(row).collect();
        let heading = rows.remove(0);
        tables.insert(heading, rows.split_off(1));
    }
    tables
}

/// Every table that `cargo run --release -p lrp-tests --bin which-rule` prints stands in the page.
#[test]
fn which_rule_shows_the_tables_that_are_computed() {
    let page = tables(include_str!("../../docs/which-rule.md"));
    for table in lrp_tests::which_rule::tables() {
        let text = table.to_string();
        let (heading, computed) = tables(&text).into_iter().next().expect("a table");
        let shown = page.get(&heading).unwrap_or_else(|| panic!("docs/which-rule.md lacks this table:\n\n{text}"));
        assert_eq!(shown.len(), computed.len(), "{text}");
        for (shown, computed) in shown.iter().zip(&computed) {
            let same = shown.len() == computed.len() && shown.iter().zip(computed).all(|(a, b)| agree(a, b));
            assert!(same, "docs/which-rule.md says {shown:?}, computed is {computed:?}");
        }
    }
}

/// Every test that `tests/README.md` names in a table is in the file that it links to.
#[test]
fn the_list_of_tests_names_tests_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let links = rows.flat_map(|row| row.split("[`").skip(1)).filter_map(|rest| rest.split_once("`](../"));
    let mut named = 0;
    for (test, rest) in links.filter(|(_, rest)| rest.contains(".rs)")) {
        let file = rest.split(')').next().unwrap();
        let source = fs::read_to_string(folder.join("..").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
        named += 1;
    }
    assert!(named > 30, "{named}");
}

/// All pages of the repository.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = ["target", "out", "book", "node_modules"].map(Into::into).contains(&name);
        if path.is_dir() && !skipped && !name.to_string_lossy().starts_with('.') {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// What headings are linked by: lower case, without punctuation, blanks as hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// The links of a page, and the anchors of its headings.
fn links_and_anchors(text: &str) -> (Vec<String>, BTreeSet<String>) {
    let (mut links, mut anchors, mut heading) = (Vec::new(), BTreeSet::new(), None::<String>);
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => links.push(dest_url.to_string()),
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|heading| anchor(&heading))),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    (links, anchors)
}

/// Every link leads to a file of the repository, and to a heading of it where it names one.
#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    pages(&repository(), &mut found);
    let (mut broken, mut seen) = (Vec::new(), 0);
    for page in found {
        let text = fs::read_to_string(&page).unwrap();
        for link in links_and_anchors(&text).0.iter().filter(|link| !link.contains("://")) {
            seen += 1;
            let (file, name) = link.split_once('#').map_or((link.as_str(), None), |(file, name)| (file, Some(name)));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let there = match name {
                None => target.exists(),
                Some(name) => fs::read_to_string(&target).is_ok_and(|text| links_and_anchors(&text).1.contains(name)),
            };
            if !there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty() && seen > 100, "{seen} links, of which these lead nowhere:\n{}", broken.join("\n"));
}

/// Every page of the book's folder is in the book.
#[test]
fn the_book_has_every_page() {
    let docs = repository().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<PathBuf> = links_and_anchors(&summary).0.iter().map(|link| docs.join(link)).collect();
    let mut found = Vec::new();
    pages(&docs, &mut found);
    let found: BTreeSet<PathBuf> = found.into_iter().filter(|page| !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, found);
}
