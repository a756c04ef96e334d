//! Invariants as a product: strategies for operators and networks, and a suite that holds a rule to what it claims.
//!
//! [`verify_rule`] is for the author of a rule: it runs the rule on random operators of every kind and on random networks, checks what
//! holds for every rule (the ledger balances, relevance is linear, a batch is its samples, …) and what this one
//! [claims](lrp_core::Claims), and reports the smallest counterexample, as code.
//!
//! | module | gives |
//! |---|---|
//! | [`verify`] | the suite |
//! | [`rules`] | strategies over the rules of `lrp-rules` |
//! | [`operators`] | random operators of every kind, with inputs and relevance |
//! | [`attention`] | random transformers |
//! | [`network`] | random networks: chains of blocks that shrink block by block |
//! | [`draft`], [`op`], [`code`] | networks and operators as data that print as code |
//! | [`tensors`], [`random`] | random numbers and tensors |
//! | [`compare`] | distances between tensors |
//!
//! Everything here is test support: it panics, with a message, where what it is asked for makes no sense.

pub mod attention;
pub mod code;
pub mod compare;
pub mod draft;
pub mod network;
pub mod op;
pub mod operators;
pub mod random;
pub mod rules;
pub mod tensors;
pub mod verify;

pub use compare::{max_difference, relative_l2};
pub use draft::Draft;
pub use network::Net;
pub use op::Op;
pub use random::Random;
pub use verify::{Counterexample, Report, assert_rule, verify_rule};

/// The number of cases of each property: 256, or `LRP_CASES` (`LRP_CASES=20000 cargo test -p lrp-testing --release`).
pub fn cases() -> u32 {
    std::env::var("LRP_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
}
