//! The numbers in the docs are those that the repository computes.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

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

/// Equal, or numbers that differ by what another processor's rounding may do: two per cent, or two units of the last digit (a
/// picture more or less, where pictures are counted).
fn agree(a: &str, b: &str) -> bool {
    let words = |text: &str| {
        text.replace('−', "-").replace(['%', '<'], " ").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let number = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => {
            let digits = a.split(['.', 'e']).nth(1).filter(|_| a.contains('.')).map_or(0, str::len);
            let unit = if a.contains('e') { 9.0 * x.abs() } else { 10_f64.powi(-i32::try_from(digits).unwrap()) };
            (x - y).abs() <= (0.02 * x.abs()).max(2.0 * unit)
        }
        _ => a == b,
    };
    let (a, b) = (words(a), words(b));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| number(a, b))
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

/// Every test that the page names in a table is in the file that it links to.
#[test]
fn verification_names_tests_that_exist() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs");
    let page = fs::read_to_string(docs.join("verification.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let links = rows.flat_map(|row| row.split("[`").skip(1)).filter_map(|rest| rest.split_once("`](../"));
    let mut named = 0;
    for (test, rest) in links.filter(|(_, rest)| rest.contains(".rs)")) {
        let file = rest.split(')').next().unwrap();
        let source = fs::read_to_string(docs.join("..").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
        named += 1;
    }
    assert!(named > 30, "{named}");
}

#[test]
fn numbers_may_differ_by_rounding_only() {
    assert!(agree("0.189", "0.190") && agree("26 of 36", "27 of 36") && agree("98.1 %", "97.9 %") && agree("–", "–"));
    assert!(agree("< 1e-14", "< 1e-13"));
    assert!(
        !agree("0.189", "0.212") && !agree("26 of 36", "31 of 36") && !agree("1e-14", "1e-9") && !agree("yes", "no")
    );
}
