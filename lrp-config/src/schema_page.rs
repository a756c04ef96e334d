//! The reference page of the recipe format, in Markdown, made from its JSON Schema.

use std::sync::LazyLock;

use lrp_core::text::toml as toml_text;
use serde_json::{Map, Value};

use crate::schema::{default_in_words, plain, rules};

const HEAD: &str = "\
# The recipe format

<!-- Made by `lrp schema --markdown` from the types that recipes are read into: change their comments, not this page. -->

A recipe is a TOML file. `lrp schema` prints its JSON Schema, which is `configs/recipe.schema.json`; with

```toml
#:schema ./recipe.schema.json
```

as its first line (the path as seen from the recipe), editors that know Taplo, such as VS Code with Even Better TOML, complete keys
and values, show this documentation, and underline mistakes. `lrp plan` checks everything, also what no schema can know, such as
whether a model has the layers that a recipe names.
";

/// The page.
pub fn schema_page() -> String {
    let mut page = HEAD.to_owned();
    let root = plain();
    let sections = properties(root);
    section(&mut page, "Top level", text(root, "description"), sections.iter().filter(|(_, key)| !is_table(key)));
    for (name, value) in sections.iter().filter(|(_, key)| is_table(key)) {
        let (heading, inner) = match value.get("items") {
            Some(items) => (format!("`[[{name}]]`"), items),
            None => (format!("`[{name}]`"), value),
        };
        let mut about = text(value, "description").to_owned();
        // A list's entries have a description of their own.
        if value.get("items").is_some()
            && let Some((_, more)) = text(inner, "description").split_once("\n\n")
        {
            about += &format!(" {}", one_line(more));
        }
        section(&mut page, &heading, &about, properties(inner).iter());
        if name == "assign" {
            operators(&mut page, inner);
            rules_section(&mut page);
        }
    }
    page
}

/// The values of `ops` are too long for a cell.
fn operators(page: &mut String, assign: &Value) {
    let names = assign.pointer("/properties/ops/anyOf/0/enum").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<String> = names.map(|name| format!("`{}`", toml_text(name))).collect();
    *page += &format!("\nKinds and groups of operators are {}.\n", names.join(", "));
}

fn rules_section(page: &mut String) {
    *page += "\n## Rules\n\nA rule is written `{ type = \"gamma\", gamma = 0.25 }`, or by its bare name, `\"gamma\"`, with the defaults.\n";
    for (name, form) in rules() {
        *page += &format!("\n### `{name}`\n\n{}", text_of(form, "description"));
        match text_of(form, "x-source") {
            "" | "–" => *page += "\n",
            source => *page += &format!(" Source: {source}.\n"),
        }
        let keys: Vec<_> = form
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != "type")
            .collect();
        table(page, keys.iter().copied());
        for (name, key) in keys {
            if let Some(items) = key.get("items").filter(|items| items.get("properties").is_some()) {
                *page += &format!("\nThe keys of each of its `{name}`:\n");
                table(page, properties(items).iter());
            }
        }
    }
}

fn section<'a>(page: &mut String, heading: &str, about: &str, keys: impl Iterator<Item = (&'a String, &'a Value)>) {
    *page += &format!("\n## {heading}\n\n{}\n", about.trim());
    table(page, keys);
}

fn table<'a>(page: &mut String, keys: impl Iterator<Item = (&'a String, &'a Value)>) {
    let mut keys = keys.peekable();
    if keys.peek().is_none() {
        return;
    }
    *page += "\n| key | takes | default | what it is |\n|---|---|---|---|\n";
    for (name, key) in keys {
        let default = key.as_object().and_then(default_in_words).unwrap_or_else(|| "required".to_owned());
        let mut about = one_line(text(key, "description"));
        for choice in choices(key) {
            if let Some(value) = choice.get("const") {
                about += &format!("<br>`{}`: {}", toml_text(value), one_line(text(choice, "description")));
            }
        }
        if let Some(Value::Array(examples)) = key.get("examples") {
            let list: Vec<String> = examples.iter().map(|example| format!("`{}`", toml_text(example))).collect();
            about += &format!("<br>Example{}: {}", if list.len() == 1 { "" } else { "s" }, list.join(", "));
        }
        let cells = [format!("`{name}`"), takes(key), default, about].map(|cell| cell.replace('|', "\\|"));
        *page += &format!("| {} |\n", cells.join(" | "));
    }
}

/// The values of a key, in words.
fn takes(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return format!("`{}`", toml_text(value));
    }
    if let Some(title) = schema.get("title").and_then(Value::as_str) {
        return title.to_owned();
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values.iter().map(|value| format!("`{}`", toml_text(value))).collect::<Vec<_>>().join(", ");
    }
    if schema.pointer("/anyOf/1/properties/type/const").is_some() {
        return "a [rule](#rules)".to_owned();
    }
    let forms: Vec<String> = choices(schema).map(takes).collect();
    match forms.as_slice() {
        [] => {}
        [one @ .., list] if *list == format!("list of {}", one.join(", ")) => {
            return format!("{}, or a list of them", one.join(", "));
        }
        forms => return forms.join(", "),
    }
    let number = |name: &str| match (schema.get("minimum"), schema.get("exclusiveMinimum")) {
        (Some(least), _) => format!("{name} ≥ {least}"),
        (None, Some(bound)) => format!("{name} > {bound}"),
        (None, None) => name.to_owned(),
    };
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => format!("list of {}", takes(schema.get("items").unwrap_or(&Value::Null))),
        Some("boolean") => "`true`, `false`".to_owned(),
        Some("object") => {
            let keys: Vec<String> = properties(schema).keys().map(|key| format!("{key} = …")).collect();
            keys.iter().map(|key| format!("`{{ {key} }}`")).collect::<Vec<_>>().join(", ")
        }
        Some(name @ ("integer" | "number")) => number(name),
        Some(name) => name.to_owned(),
        None => "anything".to_owned(),
    }
}

/// The forms of a value that has several.
fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    let forms = ["anyOf", "oneOf"].into_iter().filter_map(|keyword| schema.get(keyword)?.as_array());
    forms.flatten()
}

fn properties(schema: &Value) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    schema.get("properties").and_then(Value::as_object).unwrap_or(&NONE)
}

fn is_table(key: &Value) -> bool {
    key.get("properties").is_some() || key.pointer("/items/properties").is_some()
}

fn text<'a>(schema: &'a Value, keyword: &str) -> &'a str {
    schema.get(keyword).and_then(Value::as_str).unwrap_or_default()
}

fn text_of<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a str {
    schema.get(keyword).and_then(Value::as_str).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
