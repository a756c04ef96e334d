//! `gate = …` and `signal = …` of the rule `product`: one of a product's two inputs, by its number or by the name of a node.
//!
//! A name is looked for among the nodes that make one factor and not the other: the factor's own node, and those before it
//! back to (and including) the first weighted layers, products, normalizations, recurrent layers and inputs of the model.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use lrp_core::operator::Group;
use lrp_core::{Model, NodeId, Scalar};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::names::NameGlob;
use crate::selector::SelectorError;
use crate::values::ValueError;

/// The number of nodes that a message lists for each input.
const LISTED: usize = 6;

/// One input of a product, for [`Product`](lrp_rules::Product) in a [`Composite`](crate::Composite).
#[derive(Debug, Clone, PartialEq)]
pub enum Factor {
    /// Input 0 or 1.
    Input(usize),
    /// The input that a node of such a name makes.
    Name(NameGlob),
}

impl Factor {
    /// The input that is made by a node whose name this glob matches.
    ///
    /// # Errors
    /// When it is no glob.
    pub fn named(glob: &str) -> Result<Self, SelectorError> {
        SelectorError::glob(glob).map(Factor::Name)
    }

    /// The input of this product that is meant.
    ///
    /// # Errors
    /// When a name is found among the nodes of both inputs, or of neither: in words.
    pub(crate) fn input_of<T: Scalar>(&self, model: &Model<T>, product: NodeId) -> Result<usize, String> {
        let glob = match self {
            Factor::Input(input) => return Ok(*input),
            Factor::Name(glob) => glob,
        };
        let node = model.node(product);
        let &[a, b] = node.inputs.as_slice() else { return Err(format!("'{}' has not two inputs", node.name)) };
        let named = |id: &NodeId| glob.means(model.node(*id));
        // The node that is the factor itself decides before those that it is made from.
        match (a != b && named(&a), a != b && named(&b)) {
            (true, false) => return Ok(0),
            (false, true) => return Ok(1),
            _ => {}
        }
        let [before_a, before_b] = [a, b].map(|id| makers(model, id));
        let found =
            [(&before_a, &before_b), (&before_b, &before_a)].map(|(own, other)| own.difference(other).any(named));
        match found {
            [true, false] => Ok(0),
            [false, true] => Ok(1),
            [both, _] => {
                let list = |ids: &BTreeSet<NodeId>| {
                    let names = ids.iter().rev().take(LISTED).map(|id| format!("'{}'", model.node(*id).name));
                    let names = names.collect::<Vec<_>>().join(", ");
                    let more = ids.len().saturating_sub(LISTED);
                    if more > 0 { format!("{names} and {more} more") } else { names }
                };
                let matches = if both { "nodes of both inputs" } else { "no node that makes one input only" };
                Err(format!(
                    "'{}' matches {matches} of '{}': input 0 is made by {}; input 1 by {}",
                    glob.text(),
                    node.name,
                    list(&before_a),
                    list(&before_b)
                ))
            }
        }
    }
}

/// A node and those that it is made from, back to where something is learned, multiplied or normalized.
fn makers<T: Scalar>(model: &Model<T>, factor: NodeId) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::new();
    let mut open = vec![factor];
    while let Some(id) = open.pop() {
        if !found.insert(id) {
            continue;
        }
        let node = model.node(id);
        let group = node.kind().map(|kind| kind.group());
        let ends =
            matches!(group, None | Some(Group::Weighted | Group::Product | Group::Normalization | Group::Recurrent));
        if !ends {
            open.extend(&node.inputs);
        }
    }
    found
}

impl From<usize> for Factor {
    fn from(input: usize) -> Self {
        Factor::Input(input)
    }
}

impl Serialize for Factor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Factor::Input(input) => input.serialize(serializer),
            Factor::Name(glob) => glob.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Factors;

        fn input<E: Error>(value: i64) -> Result<Factor, E> {
            match value {
                0 => Ok(Factor::Input(0)),
                1 => Ok(Factor::Input(1)),
                _ => {
                    let error = ValueError::new(format_args!("a product has the inputs 0 and 1, got {value}"));
                    Err(E::custom(error.help("`lrp plan` says what each of them is")))
                }
            }
        }

        impl Visitor<'_> for Factors {
            type Value = Factor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0, 1, or a glob over node names")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Factor, E> {
                input(value)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Factor, E> {
                input(i64::try_from(value).unwrap_or(i64::MAX))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Factor, E> {
                NameGlob::deserialize(value.into_deserializer()).map(Factor::Name)
            }
        }

        deserializer.deserialize_any(Factors)
    }
}

impl JsonSchema for Factor {
    fn schema_name() -> Cow<'static, str> {
        "Factor".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let glob = generator.subschema_for::<NameGlob>();
        json_schema!({ "anyOf": [{ "type": "integer", "enum": [0, 1] }, glob] })
    }
}
