//! JSON values as a recipe would write them, on one line.

pub(crate) use lrp_core::text::toml as toml_text;

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
