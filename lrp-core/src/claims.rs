//! What a rule promises beyond what holds for every rule.

/// What a rule promises beyond what holds for every rule (books that balance, batches that are their samples, …), on every
/// operator that it can be prepared for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claims {
    /// Relevance is linear in the relevance that arrives. Holds for every rule but those that cut off one sign of it
    /// (guided backpropagation).
    pub linear: bool,
    /// What is not handed on went to the bias or to the stabilizer: the rule's own account is nil, but for the relevance of
    /// outputs with a denominator of exactly zero. And stabilizers absorb: of the relevance `R > 0` of one output, they
    /// take no less than nothing and no more than `R` (see [`beta`](Claims::beta)).
    pub conserving: bool,
    /// Relevance is handed on in two parts over two denominators, `1 + β` times what arrives and `−β` times (Bach et al. 2015,
    /// eq. 60), each of which a stabilizer can absorb and a dead denominator lose. Zero for rules with one denominator.
    pub beta: f64,
    /// For which inputs relevance `R ≥ 0` gives relevance `≥ 0`.
    pub positive: Positive,
    /// The relevance handed on does not depend on the operator's inputs.
    pub input_independent: bool,
    /// An input of zero gets no relevance: each gets its contribution, which has the input as a factor. What only scales relevance that
    /// arrives at such inputs need not be known there ([`Outputs::Relevant`]).
    pub vanishing: bool,
    /// `Σ|R|` of what is handed on is at most this many times `Σ|R|` of what arrives, however contributions cancel.
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
