//! What a quotient adds to the ledger.

use std::ops::AddAssign;

/// What a quotient adds to the ledger, for one sample.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Accounts {
    /// `Σ ε·s(z)·s`: what the stabilizer takes.
    pub stabilizer: f64,
    /// `Σ r` at denominators of exactly zero: relevance that no input can claim.
    pub zero_denominator: f64,
    /// `Σ b·s`: what the bias takes.
    pub bias: f64,
}

impl AddAssign for Accounts {
    fn add_assign(&mut self, other: Self) {
        self.stabilizer += other.stabilizer;
        self.zero_denominator += other.zero_denominator;
        self.bias += other.bias;
    }
}
