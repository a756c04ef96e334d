//! Claims: properties of a rule beyond those of every rule.

/// Properties of a rule beyond those of every rule (the ledger balances, a batch gives the same as its samples, …), on every operator
/// that it can be prepared for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claims {
    /// Relevance is linear in the relevance received. Holds for every rule but those that cut off one sign of it
    /// (guided backpropagation).
    pub linear: bool,
    /// Relevance that is not propagated is absorbed by the bias or the stabilizer: the rule's own account is zero, except for outputs with a
    /// zero denominator. And stabilizers absorb: of the relevance `R > 0` of one output, they absorb between 0 and `R` (see [`beta`](Claims::beta)).
    pub conserving: bool,
    /// Relevance is propagated in two parts over two denominators, `1 + β` and `−β` times the relevance received (Bach et al. 2015,
    /// eq. 60), each of which a stabilizer can absorb and a zero denominator lose. Zero for rules with one denominator.
    pub beta: f64,
    /// For which inputs relevance `R ≥ 0` gives relevance `≥ 0`.
    pub positive: Positive,
    /// The relevance propagated does not depend on the operator's inputs.
    pub input_independent: bool,
    /// An input of zero receives no relevance: each input receives its contribution, which has the input as a factor. A value that only
    /// scales the relevance of such inputs need not be known ([`Outputs::Relevant`](crate::rule::Outputs::Relevant)).
    pub vanishing: bool,
    /// `Σ|R|` propagated is at most this many times `Σ|R|` received, however contributions cancel.
    pub amplification: Option<f64>,
}

impl Default for Claims {
    /// Nothing but linearity.
    fn default() -> Self {
        Self {
            linear: true,
            conserving: false,
            beta: 0.0,
            positive: Positive::Never,
            input_independent: false,
            vanishing: false,
            amplification: None,
        }
    }
}

/// For which inputs of the operator positive relevance stays positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Positive {
    /// Not in general.
    Never,
    /// For all.
    Always,
    /// For inputs with all elements within these limits.
    Between {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
    },
}
