//! The rules there are, for `lrp rules` and for "did you mean".

/// A rule that recipes can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its name in recipes.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// What it does, in a line.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// A rule's parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// The key in recipes.
    pub name: &'static str,
    /// The default, as a recipe would write it.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

const STABILIZER: Parameter =
    Parameter { name: "stabilizer", default: "1e-6", doc: "added to denominators, with their sign" };

const BIAS: Parameter = Parameter {
    name: "bias",
    default: "\"absorb\"",
    doc: "what becomes of the bias's share: \"absorb\", \"ignore\" or \"distribute\"",
};

const RULES: &[RuleInfo] = &[
    RuleInfo {
        name: "zero",
        parameters: &[BIAS],
        summary: "LRP-0: relevance in proportion to the contributions",
        source: "Bach et al. 2015, eq. 56",
    },
    RuleInfo {
        name: "epsilon",
        parameters: &[
            Parameter {
                name: "epsilon",
                default: "1e-6",
                doc: "the size of ε, or { relative = 0.25 }: its ratio to the root mean square of the layer's output",
            },
            BIAS,
        ],
        summary: "LRP-ε: absorbs weak and contradictory contributions",
        source: "Bach et al. 2015, eq. 58",
    },
    RuleInfo {
        name: "gamma",
        parameters: &[
            Parameter { name: "gamma", default: "0.25", doc: "how much positive contributions are favoured, from 0" },
            STABILIZER,
            BIAS,
        ],
        summary: "LRP-γ: favours positive contributions",
        source: "Montavon et al. 2019, Table 10.1; generalized by Andéol et al. 2021",
    },
    RuleInfo {
        name: "alpha-beta",
        parameters: &[
            Parameter { name: "alpha", default: "2", doc: "weight of the positive contributions, from 1; beta + 1" },
            Parameter { name: "beta", default: "1", doc: "weight of the negative contributions, from 0" },
            STABILIZER,
            BIAS,
        ],
        summary: "LRP-αβ: positive and negative contributions apart",
        source: "Bach et al. 2015, eq. 60",
    },
    RuleInfo {
        name: "z-plus",
        parameters: &[STABILIZER, BIAS],
        summary: "positive contributions only: alpha-beta with α = 1, β = 0",
        source: "Montavon et al. 2017, eq. 15",
    },
    RuleInfo {
        name: "w-square",
        parameters: &[STABILIZER, Parameter { default: "\"ignore\"", ..BIAS }],
        summary: "by squared weights, whatever the input",
        source: "Montavon et al. 2017, eq. 12",
    },
    RuleInfo {
        name: "flat",
        parameters: &[STABILIZER],
        summary: "evenly over the connected inputs",
        source: "Lapuschkin et al. 2019",
    },
    RuleInfo {
        name: "z-box",
        parameters: &[
            Parameter { name: "low", default: "from [input]", doc: "the lowest input, one number or one per channel" },
            Parameter { name: "high", default: "from [input]", doc: "the highest input, likewise" },
            STABILIZER,
        ],
        summary: "for first layers whose inputs are bounded, such as pixels",
        source: "Montavon et al. 2017, eq. 20",
    },
    RuleInfo { name: "pass", parameters: &[], summary: "relevance unchanged", source: "–" },
    RuleInfo {
        name: "norm",
        parameters: &[
            STABILIZER,
            Parameter {
                name: "residual",
                default: "\"signed\"",
                doc: "how a residual sum divides relevance: \"signed\", \"absolute\", \"equal\", \"skip-only\" or \
                      \"branch-only\"",
            },
        ],
        summary: "epsilon for operators without weights of their own; their default",
        source: "–",
    },
    RuleInfo {
        name: "product",
        parameters: &[Parameter {
            name: "factors",
            default: "\"gate\"",
            doc: "who takes the relevance: \"gate\" (all to the signal, nothing to its gate) or \"uniform\" (half to each)",
        }],
        summary: "for products of two activations, such as squeeze-and-excitation gates",
        source: "gate: Arras et al. 2017; uniform: Achtibat et al. 2024",
    },
    RuleInfo { name: "gradient", parameters: &[], summary: "the plain gradient", source: "–" },
    RuleInfo {
        name: "guided-backprop",
        parameters: &[],
        summary: "at activations: the gradient where input and gradient are positive",
        source: "Springenberg et al. 2015",
    },
    RuleInfo {
        name: "deconvnet",
        parameters: &[],
        summary: "at activations: the gradient where it is positive",
        source: "Zeiler and Fergus 2014",
    },
];

/// Every rule there is.
pub fn rules() -> &'static [RuleInfo] {
    RULES
}

/// The rules' names.
pub(crate) fn rule_names() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule_spec::RuleSpec;

    /// The names that serde lists when it meets one that it does not know.
    fn expected(toml: &str) -> Vec<String> {
        let error = toml::from_str::<RuleSpec>(toml).unwrap_err();
        error.message().split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn the_table_lists_what_recipes_take() {
        assert_eq!(expected("nonsense = {}"), rule_names());
        for rule in RULES {
            let parameters: Vec<&str> = rule.parameters.iter().map(|parameter| parameter.name).collect();
            assert_eq!(expected(&format!("{} = {{ nonsense = 1 }}", rule.name)), parameters, "{}", rule.name);
        }
    }

    #[test]
    fn the_defaults_are_those_that_recipes_have() {
        for rule in RULES {
            let read = |keys: String| toml::from_str::<RuleSpec>(&format!("{} = {{ {keys} }}", rule.name)).unwrap();
            let written: Vec<String> = rule
                .parameters
                .iter()
                .filter(|parameter| parameter.default != "from [input]")
                .map(|parameter| format!("{} = {}", parameter.name, parameter.default))
                .collect();
            assert_eq!(read(written.join(", ")), read(String::new()), "{}", rule.name);
            assert_eq!(read(String::new()).name(), rule.name);
        }
    }
}
