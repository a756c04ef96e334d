//! The tests of rules and operators on random operators and networks, in one program: generic code is compiled once for all.

mod attention;
mod broken_rules;
mod determinism;
mod metamorphic;
mod our_rules;
mod printed;
mod properties;
mod reference;
