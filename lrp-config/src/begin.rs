//! `start = …`: the relevance that the walk starts with, at the output or inside the network.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use lrp_core::text::shown;
use lrp_core::{Model, NodeId, Scalar};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde_json::json;
use toml::de::ValueDeserializer;

use crate::inside::nodes_at;
use crate::misfit::Misfit;
use crate::names::NameGlob;
use crate::start::Start;
use crate::values::{Count, ValueError};

/// Where the walk starts, and with what.
#[derive(Debug, Clone, PartialEq)]
pub enum Begin {
    /// At the output.
    Output(Start),
    /// Inside the network.
    Inside(StartAt),
}

/// A start inside the network: the relevance that a node receives in the walk from the target's own value, or of some of its channels.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartAt {
    /// The node inside the network where the walk starts, with the relevance that it receives: a glob over names that matches one node.
    #[schemars(example = &"layer3")]
    pub at: NameGlob,
    /// The channels of that node whose relevance is kept.
    #[serde(default, deserialize_with = "channels")]
    #[schemars(with = "Option<Vec<Count>>", extend("minItems" = 1, "x-default" = "all"), example = json!([17, 42]))]
    pub channels: Option<Vec<usize>>,
}

fn channels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<usize>>, D::Error> {
    let channels = Vec::<Count>::deserialize(deserializer)?;
    if channels.is_empty() {
        return Err(D::Error::custom(ValueError::empty_list()));
    }
    Ok(Some(channels.into_iter().map(|Count(channel)| channel).collect()))
}

impl StartAt {
    /// The node.
    ///
    /// # Errors
    /// When the model has no such node, or several, or the node has not these channels.
    pub fn node<T: Scalar>(&self, model: &Model<T>) -> Result<NodeId, Misfit> {
        let nodes = nodes_at(std::slice::from_ref(&self.at), model)?;
        let [node] = nodes[..] else {
            let names: Vec<String> =
                nodes.iter().take(3).map(|id| format!("'{}'", shown(&model.node(*id).name))).collect();
            return Err(Misfit {
                message: format!(
                    "'{}' is the name of {} nodes: {} …",
                    shown(self.at.text()),
                    nodes.len(),
                    names.join(", ")
                ),
                help: "a walk starts at one node: give its whole name, as `lrp layers` shows it".to_owned(),
            });
        };
        let count = model.node(node).shape.first().copied().unwrap_or(0);
        match self.channels.iter().flatten().find(|channel| **channel >= count) {
            None => Ok(node),
            Some(channel) => Err(Misfit {
                message: format!("'{}' has no channel {channel}", shown(&model.node(node).name)),
                help: format!("its channels are 0 to {}", count.saturating_sub(1)),
            }),
        }
    }
}

/// As a recipe writes it.
impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ at = {:?}", self.at.text())?;
        self.channels.as_ref().map_or(Ok(()), |channels| write!(f, ", channels = {channels:?}"))?;
        f.write_str(" }")
    }
}

/// Reads a start from a command line: a word, or a table as in a recipe.
impl FromStr for Begin {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        match text {
            "logit" => Ok(Begin::Output(Start::Logit)),
            "one" => Ok(Begin::Output(Start::One)),
            table if table.starts_with('{') => {
                let read = ValueDeserializer::parse(table).and_then(Begin::deserialize);
                read.map_err(|error| ValueError::from_text(error.message()))
            }
            _ => Err(ValueError::new("expected logit, one or a table")
                .help("such as { at = \"layer3\", channels = [17, 42] }")),
        }
    }
}

impl<'de> Deserialize<'de> for Begin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Begins;

        impl<'de> Visitor<'de> for Begins {
            type Value = Begin;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"logit\", \"one\" or { at = \"layer3\", channels = [17, 42] }")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Begin, E> {
                Start::deserialize(word.into_deserializer()).map(Begin::Output)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Begin, A::Error> {
                StartAt::deserialize(MapAccessDeserializer::new(map)).map(Begin::Inside)
            }
        }

        deserializer.deserialize_any(Begins)
    }
}

impl JsonSchema for Begin {
    fn schema_name() -> Cow<'static, str> {
        "Begin".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (start, table) = (generator.subschema_for::<Start>(), generator.subschema_for::<StartAt>());
        json_schema!({ "anyOf": [start, table] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::graph::Builder;
    use lrp_core::ops::{Activation, Function};

    #[test]
    fn words_and_tables() {
        let read = |text: &str| text.parse::<Begin>();
        assert_eq!(read("one"), Ok(Begin::Output(Start::One)));
        let Ok(Begin::Inside(at)) = read("{ at = \"layer3\", channels = [17, 42] }") else { panic!() };
        assert_eq!(
            (at.to_string().as_str(), &at.channels),
            ("{ at = \"layer3\", channels = [17, 42] }", &Some(vec![17, 42]))
        );
        for (text, says) in [
            ("two", "expected logit, one or a table"),
            ("{ channels = [1] }", "missing field `at`"),
            ("{ at = \"a\", channels = [] }", "the list is empty"),
            ("{ at = \"a\", channels = [-1] }", "an integer from 0 up"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn one_node_with_these_channels() {
        let mut net = Builder::<f64>::new();
        let relu = || Activation::new(Function::Relu, &[2]).unwrap();
        let x = net.input("x", &[2]);
        let first = net.add("a/Relu", relu(), &[x]).unwrap();
        let last = net.add("b/Relu", relu(), &[first]).unwrap();
        let model = net.finish(last).unwrap();
        let node = |text: &str| match text.parse::<Begin>() {
            Ok(Begin::Inside(at)) => at.node(&model),
            other => panic!("{other:?}"),
        };
        assert_eq!(node("{ at = \"a/*\", channels = [1] }"), Ok(first));
        assert!(
            node("{ at = \"*/Relu\" }").unwrap_err().message.contains("is the name of 2 nodes: 'a/Relu', 'b/Relu'")
        );
        assert_eq!(node("{ at = \"b/Relu\", channels = [2] }").unwrap_err().help, "its channels are 0 to 1");
    }
}
