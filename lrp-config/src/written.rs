//! Values of selectors, as a recipe writes them.

use lrp_core::text::toml;
use serde_json::Value;

/// A value, or a list of values.
pub(crate) fn one_or_list<'v>(values: impl Iterator<Item = &'v str>) -> String {
    let values: Vec<Value> = values.map(Value::from).collect();
    match values.as_slice() {
        [one] => toml(one),
        _ => toml(&Value::Array(values)),
    }
}
