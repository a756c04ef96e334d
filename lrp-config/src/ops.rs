//! `ops = …`: nodes by operator, a kind of operator (`"conv"`) or a group of kinds (`"activation"`).

use std::borrow::Cow;
use std::sync::LazyLock;

use lrp_core::operator::{Group, Kind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::suggest::{choices, closest};
use crate::values::ValueError;

const GROUPS: [Group; 11] = [
    Group::Weighted,
    Group::Weightless,
    Group::Preprocessing,
    Group::Activation,
    Group::Winner,
    Group::Structural,
    Group::Step,
    Group::Product,
    Group::Normalization,
    Group::Recurrent,
    Group::Undefined,
];

/// Every name that `ops` takes, kinds first. A group of one kind has that kind's name.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names: Vec<&'static str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.extend(GROUPS.map(Group::name).iter().filter(|group| !Kind::ALL.iter().any(|kind| kind.name() == **group)));
    names
});

/// One name to the right of `ops =`: a kind of operator, or a group of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ops {
    /// One kind of operator.
    Kind(Kind),
    /// Every kind with this relevance behaviour.
    Group(Group),
}

impl Ops {
    /// Its name in recipes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Ops::Kind(kind) => kind.name(),
            Ops::Group(group) => group.name(),
        }
    }

    /// Whether operators of this kind are meant.
    pub(crate) fn contains(self, kind: Kind) -> bool {
        match self {
            Ops::Kind(this) => this == kind,
            Ops::Group(group) => group == kind.group(),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let kind = Kind::ALL.iter().find(|kind| kind.name() == name).map(|kind| Ops::Kind(*kind));
        kind.or_else(|| GROUPS.into_iter().find(|group| group.name() == name).map(Ops::Group))
    }
}

impl<'de> Deserialize<'de> for Ops {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ops::parse(&name).ok_or_else(|| {
            let meant = closest(&name, NAMES.iter().copied()).map(|meant| format!("\"{meant}\""));
            let error = ValueError::new(format_args!("there is no kind of operator '{name}'"));
            Error::custom(error.help(choices(&name, NAMES.as_slice())).meant(meant))
        })
    }
}

impl JsonSchema for Ops {
    fn schema_name() -> Cow<'static, str> {
        "Ops".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": "kind or group of operators", "type": "string", "enum": *NAMES })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_groups_by_name() {
        assert_eq!(Ops::parse("conv"), Some(Ops::Kind(Kind::Conv)));
        assert_eq!(Ops::parse("weightless"), Some(Ops::Group(Group::Weightless)));
        assert_eq!(Ops::parse("con"), None);
        assert!(Ops::Group(Group::Activation).contains(Kind::Relu));
        assert!(!Ops::Kind(Kind::Conv).contains(Kind::ConvTranspose));
        assert_eq!(Ops::parse("preprocessing"), Some(Ops::Kind(Kind::Preprocessing)));
    }

    /// A group with the name of a kind must be that kind.
    #[test]
    fn a_name_means_one_thing() {
        for group in GROUPS {
            let namesake = Kind::ALL.iter().find(|kind| kind.name() == group.name());
            let members: Vec<&Kind> = Kind::ALL.iter().filter(|kind| kind.group() == group).collect();
            assert!(namesake.is_none_or(|kind| members == [kind]), "{group:?}");
        }
        assert_eq!(NAMES.iter().filter(|name| **name == "preprocessing").count(), 1);
    }

    /// A group that is new in `lrp-core` must be listed here.
    #[test]
    fn every_kind_is_in_a_group_that_has_a_name_here() {
        assert!(Kind::ALL.iter().all(|kind| GROUPS.contains(&kind.group())));
    }
}
