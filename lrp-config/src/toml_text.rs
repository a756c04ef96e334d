//! JSON values as a recipe would write them, on one line.

use serde_json::Value;

/// The value as TOML.
pub(crate) fn toml_text(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let keys: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", toml_text(value))).collect();
            format!("{{ {} }}", keys.join(", "))
        }
        // Strings, numbers and booleans are the same in both.
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back() {
        for text in ["1e-6", "0.25", "true", "\"a \\\"b\\\"\"", "[0, 1]", "{ gamma = 0.25, type = \"gamma\" }"] {
            let value: Value =
                toml::from_str::<toml::Table>(&format!("x = {text}")).unwrap()["x"].clone().try_into().unwrap();
            assert_eq!(toml_text(&value), text);
        }
    }
}
