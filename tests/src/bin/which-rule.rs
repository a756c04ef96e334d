//! Prints the tables of `docs/which-rule.md`.

fn main() {
    for table in lrp_tests::which_rule::tables() {
        println!("## {}\n\n{table}\n", table.title);
    }
}
