//! Each check on a small workspace of its own.

use std::fs;

use super::*;

/// The printed tables and errors for a workspace of these files.
fn checked(rules: &str, files: &[(&str, &str)]) -> (String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    check(dir.path(), &toml::from_str(rules).unwrap(), true, false).unwrap()
}

/// The same for one crate `a`, of which the files in `src` are given.
fn checked_crate(rules: &str, files: &[(&str, &str)]) -> (String, Vec<String>) {
    let sources: Vec<_> = files.iter().map(|(path, text)| (format!("a/src/{path}"), *text)).collect();
    let mut files: Vec<_> = sources.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.push(("Cargo.toml", "[workspace]\nmembers = ['a']"));
    files.push(("a/Cargo.toml", "[package]\nname = 'a'"));
    checked(&format!("{rules}\n[imports]\na = []"), &files)
}

/// Does `file.rs  imports` stand in the table?
fn assert_imports(text: &str, file: &str, imports: &str) {
    let found = text.lines().find_map(|line| line.trim().strip_prefix(file)).expect(file);
    assert_eq!(found.trim(), imports, "{text}");
}

const SIBLINGS: &str = "mod x;\nmod y;";

#[test]
fn siblings_in_a_circle_are_found() {
    let files = [("lib.rs", SIBLINGS), ("x.rs", "\nuse crate::y::Y;\nstruct X;"), ("y.rs", "struct Y(super::x::X);")];
    let (text, errors) = checked_crate("", &files);
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("a/src/x.rs:2: 2 files import each other in a circle: x.rs, y.rs; move"),
        "{errors:?}"
    );
    assert!(text.contains("  y.rs:1 imports x.rs: X\n"), "{text}");
}

#[test]
fn a_module_and_its_parts_are_no_circle() {
    let files = [
        ("lib.rs", "mod x;\npub(crate) fn root() { x::one() }"),
        ("x.rs", "mod y;\nmod z;\npub fn one() { crate::root(); y::two(); z::three() }"),
        ("x/y.rs", "use super::z;\npub fn two() { super::one(); z::three() }"),
        ("x/z.rs", "pub fn three() { super::one(); crate::root() }"),
    ];
    let (text, errors) = checked_crate("docs.except = ['a']", &files);
    assert!(errors.is_empty(), "{errors:?}");
    assert_imports(&text, "x/y.rs", "x.rs, x/z.rs");
}

#[test]
fn a_circle_through_a_module_and_its_part_is_found() {
    let files = [
        ("lib.rs", SIBLINGS),
        ("x/mod.rs", "mod part;\nstruct X;\nfn f() { part::f() }"),
        ("x/part.rs", "pub fn f() { crate::y::f() }"),
        ("y.rs", "use crate::x::X;\npub fn f() {}"),
    ];
    let (text, errors) = checked_crate("", &files);
    assert!(errors[0].contains("3 files import each other in a circle: x/mod.rs, x/part.rs, y.rs;"), "{errors:?}");
    assert!(text.contains("x/mod.rs:3 imports x/part.rs (its part): f"), "{text}");
}

#[test]
fn imports_lead_through_re_exports() {
    let files = [
        ("lib.rs", "mod x;\nmod y;\nmod z;\npub use x::{X, Other as Renamed};\npub use z::*;"),
        ("x.rs", "pub struct X;\npub struct Other;"),
        ("y.rs", "use crate::{Renamed, Z};\nuse crate::x as module;\nfn f() { say!(\"{}\", module::X::new()) }"),
        ("z.rs", "pub struct Z;"),
    ];
    let (text, errors) = checked_crate("", &files);
    assert_imports(&text, "y.rs", "x.rs, z.rs");
    assert!(errors.iter().all(|error| error.contains("without a doc comment")), "{errors:?}");
}

#[test]
fn what_is_for_tests_is_no_import_and_has_no_lines() {
    let files = [
        ("lib.rs", "mod x;\nmod y;\n#[cfg(test)]\nmod none;"),
        ("x.rs", "use crate::y::Y;\nstruct X;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
        ("y.rs", "struct Y;\n#[cfg(all(test, unix))]\nuse crate::x::X;"),
    ];
    let (text, errors) = checked_crate("[limits.each]\n'a/src' = 3", &files);
    assert_imports(&text, "y.rs", "");
    assert_eq!(errors, Vec::<String>::new());
    assert!(text.contains("      2  a/src/x.rs\n"), "{text}");
}

#[test]
fn crates_import_in_one_direction() {
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = ['a', 'b', 'c', 'd']"),
        ("a/Cargo.toml", "[package]\nname = 'a'\n[dependencies]\nb.workspace = true\n[dev-dependencies]\nc = {}"),
        ("b/Cargo.toml", "[package]\nname = 'b'\n[dependencies]\nserde = '1'"),
        ("c/Cargo.toml", "[package]\nname = 'c'\n[target.'cfg(unix)'.dependencies]\na = { path = '../a' }\nb = {}"),
        ("d/Cargo.toml", "[package]\nname = 'd'"),
    ];
    let (text, errors) = checked("[imports]\nb = ['a']\nc = ['b']\na = []", &files);
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[0].starts_with("a/Cargo.toml:4: `a` must not import `b`: move"), "{errors:?}");
    assert!(errors[1].starts_with("d/Cargo.toml:1: `d` has no place: add it"), "{errors:?}");
    assert!(errors[2].starts_with("a/Cargo.toml:6: crates in a circle by dev-dependencies (a, c): move"), "{errors:?}");
    assert!(text.contains("  b (c)\n"), "{text}");
}

#[test]
fn unsafe_code_is_only_where_it_may_be() {
    let files = [
        ("lib.rs", "mod x;\nmod y;\nmod z;\n#[cfg(test)]\nmod tests {\n    fn f() { unsafe { g() } }\n}"),
        ("x.rs", "unsafe fn f() {}"),
        ("y.rs", "// unsafe\n#![allow(unsafe_code)]\nconst Y: &str = \"unsafe\";"),
        ("z.rs", "unsafe extern \"C\" {}\nunsafe impl Send for Z {}"),
    ];
    let (_, errors) = checked_crate("unsafe.allow = ['a/src/x.rs', 'a/src/y.rs']", &files);
    let wanted = [
        "a/src/lib.rs:6: `unsafe`: it belongs to lrp-kernels",
        "a/src/z.rs:1: `unsafe` (and 1 more): it belongs to lrp-kernels",
        "a/src/y.rs:1: contains no `unsafe`: take it from [unsafe] in layers.toml",
    ];
    assert_eq!(errors, wanted);
}

#[test]
fn public_items_have_doc_comments() {
    let documented = "//! Module.\n/// S.\npub struct S {\n    /// A field.\n    pub a: u8,\n    b: u8,\n}\npub(crate) fn f() {}\n\
                      pub use x as y;\n#[doc(hidden)]\npub fn g() {}\n#[allow(missing_docs, reason = \"r\")]\npub fn h() {}\nimpl S {\n    fn private() {}\n}\n";
    let missing = "mod inner {\n    pub fn f1() {}\n}\n/// E.\npub enum E1 {\n    V1 { f2: u8 },\n    /// V.\n    V2(u8),\n}\n/// T.\n\
                   pub trait T1 {\n    fn f3();\n}\nimpl E1 {\n    pub fn f4() {}\n}\n";
    let names = |text| {
        let file = [("lib.rs", text)];
        checked_crate("", &file).1.iter().map(|e| e.split('`').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(names(documented).is_empty());
    assert_eq!(names(missing), ["f1", "V1", "f2", "f3", "f4"]);
    assert!(checked_crate("docs.except = ['a']", &[("lib.rs", missing)]).1.is_empty());
}

#[test]
fn files_and_crates_have_limits() {
    let files = [("lib.rs", "mod x;\n\nfn f() {}\n"), ("x.rs", "\n\n")];
    let (_, errors) = checked_crate("[limits]\neach = { 'a/src' = 2 }\ntotal = { a = 4, 'a/src/x.rs' = 2 }", &files);
    let wanted = [
        "a/src/lib.rs:3: 3 lines outside of tests, at most 2: split it",
        "a:1: 5 lines outside of tests, at most 4: move some to where they belong",
    ];
    assert_eq!(errors, wanted);
}

#[test]
fn the_direction_of_the_workspace_is_complete() {
    let rules = Rules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("layers.toml")).unwrap();
    let unknown = rules.imports.values().flatten().find(|name| !rules.imports.contains_key(*name));
    assert_eq!(unknown, None);
    assert!(rules.allowed("lrp-cli").contains("lrp-core"));
    assert!(rules.imports.keys().all(|name| !rules.allowed(name).contains(name.as_str())));
}
