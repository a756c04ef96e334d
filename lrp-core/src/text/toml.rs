//! JSON values as TOML writes them, on one line: the parameters of rules, and the values of recipes.

use std::fmt::{self, Write};

use serde_json::Value;
use toml_writer::{TomlStringBuilder, TomlWrite as _};

use super::{is_hidden, number};

/// The value as TOML, in one line. What a terminal or an editor would act on stands there as escapes.
pub fn toml(value: &Value) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(value, &mut text);
    text
}

fn write(value: &Value, to: &mut String) -> fmt::Result {
    match value {
        Value::String(text) if text.contains(is_hidden) => write_escaped(text, to),
        Value::String(text) => to.value(text),
        Value::Array(items) => {
            to.open_array()?;
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    to.val_sep()?;
                    to.space()?;
                }
                write(item, to)?;
            }
            to.close_array()
        }
        Value::Object(table) => {
            to.open_inline_table()?;
            for (i, (key, item)) in table.iter().enumerate() {
                if i > 0 {
                    to.val_sep()?;
                }
                to.space()?;
                to.key(key)?;
                to.space()?;
                to.keyval_sep()?;
                to.space()?;
                write(item, to)?;
            }
            to.space()?;
            to.close_inline_table()
        }
        // TOML's own writer would make 1e-6 a 0.000001.
        Value::Number(value) => match value.as_f64().filter(|_| value.is_f64()) {
            Some(value) => to.write_str(&number(value)),
            None => write!(to, "{value}"),
        },
        // JSON has no other word for a number that is not finite.
        Value::Null => to.write_str("nan"),
        Value::Bool(value) => to.value(*value),
    }
}

/// A string between `"`, where everything can be an escape.
fn write_escaped(text: &str, to: &mut String) -> fmt::Result {
    let mut quoted = String::new();
    quoted.value(TomlStringBuilder::new(text).as_basic())?;
    for c in quoted.chars() {
        match c {
            c if is_hidden(c) => write!(to, "\\U{:08x}", u32::from(c))?,
            c => to.push(c),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        ::toml::from_str::<::toml::Table>(&format!("x = {text}")).unwrap()["x"].clone().try_into().unwrap()
    }

    #[test]
    fn reads_back() {
        for text in ["1e-6", "0.25", "true", "'a \"b\"'", "[0, 1.0]", "{ \"a b\" = [\"c\"], gamma = 0.25 }"] {
            assert_eq!(toml(&read(text)), text);
        }
    }

    #[test]
    fn nothing_acts_on_a_terminal() {
        let hidden = Value::from("a\"b\\\u{1b}\u{9b}\u{202e}\n\u{e0001}ü.onnx");
        let text = toml(&hidden);
        assert_eq!(read(&text), hidden);
        assert!(!text.contains(is_hidden) && text.contains('ü'), "{text}");
    }
}
