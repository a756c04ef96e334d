//! Terms of the ledger of a quotient.

use std::ops::AddAssign;

/// Terms of the ledger of a quotient, for one sample.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Accounts {
    /// `Σ ε·s(z)·s`: absorbed by the stabilizer.
    pub stabilizer: f64,
    /// `Σ r` at denominators of exactly zero: relevance that no input can claim.
    pub zero_denominator: f64,
    /// `Σ b·s`: absorbed by the bias.
    pub bias: f64,
}

impl AddAssign for Accounts {
    fn add_assign(&mut self, other: Self) {
        self.stabilizer += other.stabilizer;
        self.zero_denominator += other.zero_denominator;
        self.bias += other.bias;
    }
}
