//! A spanned TOML tree for serde. The `toml` crate can deserialize one, too, but its errors are text; those of this deserializer are
//! [`Mistake`]s, which say as data what is wrong and where.

use std::fmt::Display;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_spanned::de::{SpannedDeserializer, is_spanned};
use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeString, DeValue};
use toml::map;

use super::mistake::{Mistake, MistakeKind, Step, described};

/// A value of the tree.
#[derive(Clone, Copy)]
pub struct Node<'t>(pub &'t Spanned<DeValue<'t>>);

impl<'t> Node<'t> {
    fn value(self) -> &'t DeValue<'t> {
        self.0.get_ref()
    }

    /// The value in words.
    fn described(self) -> String {
        match self.value() {
            DeValue::String(value) => described(Unexpected::Str(value)),
            DeValue::Integer(value) => format!("integer {value}"),
            DeValue::Float(value) => format!("number {value}"),
            DeValue::Boolean(value) => described(Unexpected::Bool(*value)),
            DeValue::Datetime(_) => "a date or time".to_owned(),
            DeValue::Array(_) => described(Unexpected::Seq),
            DeValue::Table(_) => described(Unexpected::Map),
        }
    }

    fn wrong_type(self, expected: impl Display) -> Mistake {
        Mistake::wrong_type(self.described(), expected).at(self.0.span())
    }

    /// Reads a value that has the expected type.
    fn read<V: Visitor<'t>>(self, fits: bool, expected: &str, visitor: V) -> Result<V::Value, Mistake> {
        if fits { self.deserialize_any(visitor) } else { Err(self.wrong_type(expected)) }
    }

    /// A whole number of 64 bits.
    fn visit_integer<V: Visitor<'t>>(self, value: &DeInteger<'_>, visitor: V) -> Result<V::Value, Mistake> {
        match (i64::from_str_radix(value.as_str(), value.radix()), u64::from_str_radix(value.as_str(), value.radix())) {
            (Ok(value), _) => visitor.visit_i64(value),
            (Err(_), Ok(value)) => visitor.visit_u64(value),
            (Err(_), Err(_)) => Err(Mistake::custom("the integer has more than 64 bits")),
        }
    }

    fn visit_float<V: Visitor<'t>>(self, value: &DeFloat<'_>, visitor: V) -> Result<V::Value, Mistake> {
        // What TOML takes for a float, Rust does, too. Digits that become infinity are beyond the type.
        match value.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() || !value.as_str().contains(|c: char| c.is_ascii_digit()) => {
                visitor.visit_f64(number)
            }
            _ => Err(Mistake::custom("the number is too large for double precision")),
        }
    }
}

impl<'t> Deserializer<'t> for Node<'t> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let read = match self.value() {
            DeValue::String(value) => visitor.visit_borrowed_str(value),
            DeValue::Integer(value) => self.visit_integer(value, visitor),
            DeValue::Float(value) => self.visit_float(value, visitor),
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Datetime(_) => Err(self.wrong_type(&visitor as &dyn Expected)),
            DeValue::Array(items) => visitor.visit_seq(Items { items: items.iter(), next: 0 }),
            DeValue::Table(table) => visitor.visit_map(Entries { entries: table.iter(), value: None }),
        };
        read.map_err(|mistake| mistake.at(self.0.span()))
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.read(self.value().is_bool(), "true or false", visitor)
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.read(self.value().is_str(), "a string", visitor)
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.read(self.value().is_array(), "a list", visitor)
    }

    fn deserialize_tuple<V: Visitor<'t>>(self, length: usize, visitor: V) -> Result<V::Value, Mistake> {
        match self.value() {
            // A visitor does not look at what follows the items that it takes.
            DeValue::Array(items) if items.len() > length => {
                Err(Mistake::invalid_length(items.len(), &visitor).at(self.0.span()))
            }
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.read(self.value().is_table(), "a table", visitor)
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.value() {
            _ if is_spanned(name) => visitor.visit_map(SpannedDeserializer::new(self, self.0.span())),
            // Serde would take a list for the values of the fields in their order. A list of sections begins where the first one does.
            DeValue::Array(items) => match items.first().filter(|first| first.get_ref().is_table()) {
                Some(first) => Err(Mistake { span: Some(first.span()), ..self.wrong_type("a table") }),
                None => Err(self.wrong_type("a table")),
            },
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let no_word = || {
            let (got, expected) = (self.described(), "a string".to_owned());
            Err(MistakeKind::WrongType { got, expected, words: variants }.into())
        };
        let read = match self.value() {
            DeValue::String(word) => visitor.visit_enum(BorrowedStrDeserializer::new(word)),
            DeValue::Table(table) => match (table.iter().next(), table.len()) {
                (Some((key, value)), 1) => visitor.visit_enum(Variant { key, value: Node(value) }),
                _ => no_word(),
            },
            _ => no_word(),
        };
        read.map_err(|mistake| mistake.at(self.0.span()))
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
    }
}

impl<'t> IntoDeserializer<'t, Mistake> for Node<'t> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A list.
struct Items<'t> {
    items: std::slice::Iter<'t, Spanned<DeValue<'t>>>,
    /// The position of the next item.
    next: usize,
}

impl<'t> SeqAccess<'t> for Items<'t> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let step = Step::Item(self.next);
        self.next += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|mistake| mistake.at(item.span()).below(step))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

type Key<'t> = Spanned<DeString<'t>>;

/// Reads a key of a table.
fn read_key<'t, S: DeserializeSeed<'t>>(key: &'t Key<'t>, seed: S) -> Result<S::Value, Mistake> {
    let read = seed.deserialize(BorrowedStrDeserializer::new(key.get_ref()));
    read.map_err(|mistake: Mistake| mistake.at(key.span()).below(Step::Key(key.get_ref().to_string())))
}

/// Reads the value of a key.
fn read_value<'t, S: DeserializeSeed<'t>>(key: &Key<'t>, value: Node<'t>, seed: S) -> Result<S::Value, Mistake> {
    // A type can refuse a value after it has been read.
    let read = seed.deserialize(value);
    read.map_err(|mistake| mistake.at(value.0.span()).below(Step::Key(key.get_ref().to_string())))
}

/// A table.
struct Entries<'t> {
    entries: map::Iter<'t, Key<'t>, Spanned<DeValue<'t>>>,
    /// The entry whose key has been read.
    value: Option<(&'t Key<'t>, Node<'t>)>,
}

impl<'t> MapAccess<'t> for Entries<'t> {
    type Error = Mistake;

    fn next_key_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some((key, Node(value)));
        read_key(key, seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        match self.value.take() {
            Some((key, value)) => read_value(key, value, seed),
            None => Err(Mistake::custom("a value was read before its key")),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A table with one key, which is the variant of an enum.
struct Variant<'t> {
    key: &'t Key<'t>,
    value: Node<'t>,
}

impl<'t> EnumAccess<'t> for Variant<'t> {
    type Error = Mistake;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<(S::Value, Self), Mistake> {
        Ok((read_key(self.key, seed)?, self))
    }
}

impl<'t> VariantAccess<'t> for Variant<'t> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        Err(Mistake::wrong_type(described(Unexpected::Map), "a string"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<S::Value, Mistake> {
        read_value(self.key, self.value, seed)
    }

    fn tuple_variant<V: Visitor<'t>>(self, length: usize, visitor: V) -> Result<V::Value, Mistake> {
        self.value.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'t>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Mistake> {
        self.value.deserialize_struct("", fields, visitor)
    }
}
