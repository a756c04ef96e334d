//! Relevance that does not get to the input: a warning where most of it goes to biases, stabilizers or rules.
//!
//! The map of the rest says little of the prediction then, and the picture does not show it.

use lrp_core::Scalar;
use lrp_core::ledger::Totals;

use crate::diagnosis::Diagnosis;
use crate::prepared::Prepared;

/// A larger share of the start than this is warned about.
const MOST: f64 = 0.5;

/// The number of layers that a warning names.
const NAMED: usize = 3;

/// The accounts that absorb relevance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Biases and other constants.
    Bias,
    /// Stabilizers of denominators.
    Stabilizer,
    /// Rules that do not conserve.
    Rule,
}

/// A layer at which an account absorbed relevance, and its share of the start.
#[derive(Debug, Clone)]
pub struct Place {
    /// The account.
    pub account: Account,
    /// The layer's name.
    pub layer: String,
    /// Of the start; negative where relevance was added.
    pub share: f64,
}

impl Account {
    const ALL: [Account; 3] = [Account::Bias, Account::Stabilizer, Account::Rule];

    /// The relevance in this account.
    fn amount(self, ledger: Totals) -> f64 {
        match self {
            Account::Bias => ledger.bias,
            Account::Stabilizer => ledger.stabilizer,
            Account::Rule => ledger.rule,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Account::Bias => "biases",
            Account::Stabilizer => "stabilizers",
            Account::Rule => "rules",
        }
    }

    fn warning(self) -> &'static str {
        match self {
            Account::Bias => "bias-takes-most",
            Account::Stabilizer => "stabilizer-takes-most",
            Account::Rule => "rule-takes-most",
        }
    }

    /// The remedy.
    fn remedy(self) -> &'static str {
        match self {
            Account::Bias => {
                "bias = \"distribute\" in the rules of these layers distributes the share of biases over the inputs; LRP-γ or z-plus \
                 there reduces the share of biases"
            }
            Account::Stabilizer => "choose a smaller epsilon or stabilizer in the rules of these layers",
            Account::Rule => {
                "choose a rule that conserves relevance for these layers, such as epsilon, gamma or z-plus; alpha-beta with beta = 0 \
                 creates nothing"
            }
        }
    }
}

/// Whether the recipe has rules that conserve relevance: gradients and rules made of them promise nothing.
fn conserves<T: Scalar>(prepared: &Prepared<T>) -> bool {
    let layers = prepared.plan.model().layers();
    let mut choices = layers.iter().filter_map(|id| prepared.resolved.choices.get(id));
    !prepared.resolved.times_input && choices.any(|choice| choice.rule.claims().conserving)
}

/// A warning for each account that absorbs most of the relevance of the explained outputs, given the totals of each, and the layers whose
/// accounts absorbed it, if these are known.
pub fn warnings<T: Scalar>(
    prepared: &Prepared<T>,
    ledgers: impl Iterator<Item = Totals> + Clone,
    places: &[Place],
) -> Vec<Diagnosis> {
    let conserves = conserves(prepared);
    let accounts = Account::ALL.into_iter().filter(|account| conserves || *account != Account::Rule);
    accounts.filter_map(|account| warning(account, ledgers.clone(), places)).collect()
}

fn warning(account: Account, ledgers: impl Iterator<Item = Totals>, places: &[Place]) -> Option<Diagnosis> {
    // Of all outputs together: an output near zero is none that relevance could tell much about, and there are some in every run.
    let amounts: Vec<[f64; 2]> = ledgers
        .map(|ledger| [account.amount(ledger), ledger.start])
        .filter(|[amount, start]| amount.is_finite() && start.is_finite())
        .collect();
    let sum = |f: &dyn Fn(&[f64; 2]) -> f64| amounts.iter().map(f).sum::<f64>();
    let share = sum(&|[amount, _]| amount.abs()) / sum(&|[_, start]| start.abs());
    if !share.is_finite() || share <= MOST {
        return None;
    }
    // Absorbed relevance has the sign of the start.
    let verb = if sum(&|[amount, start]| amount * start.signum()) > 0.0 { "absorb" } else { "add" };
    let outputs = match amounts.len() {
        1 => "the explained output".to_owned(),
        all => format!("{all} explained outputs"),
    };
    let (name, percent) = (account.name(), 100.0 * share);
    let mut message = format!("{name} {verb} {percent:.1} % of the relevance of {outputs}");
    let mut places: Vec<&Place> = places.iter().filter(|place| place.account == account).collect();
    places.sort_by(|a, b| b.share.abs().total_cmp(&a.share.abs()));
    let named = places.iter().take(NAMED).map(|place| format!("'{}' ({:.1} %)", place.layer, 100.0 * place.share));
    let named = named.collect::<Vec<_>>().join(", ");
    if !named.is_empty() {
        message = format!("{message}, most at {named}");
    }
    let how = if named.is_empty() { "; lrp check names the layers" } else { "" };
    Some(Diagnosis::warning(account.warning(), message, format!("the map shows the rest: {}{how}", account.remedy())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(start: f64, bias: f64, stabilizer: f64) -> Totals {
        Totals { start, input: start - bias - stabilizer, bias, stabilizer, rule: 0.0 }
    }

    #[test]
    fn only_large_shares_are_warned_about_and_layers_are_named() {
        let of = |ledgers: &[Totals], places: &[Place]| warning(Account::Bias, ledgers.iter().copied(), places);
        assert_eq!(of(&[ledger(1.0, 0.5, 0.0), ledger(0.0, 0.0, 0.0), ledger(-2.0, 0.9, 1.0)], &[]), None);
        let one = of(&[ledger(10.0, 9.99, 0.0)], &[]).unwrap();
        assert_eq!(one.message, "biases absorb 99.9 % of the relevance of the explained output");
        assert!(one.help.unwrap().contains("bias = \"distribute\"") && one.name == Some("bias-takes-most"));
        // Shares are of the start, whatever its sign; what is added is said to be.
        let place = |layer: &str, share| Place { account: Account::Bias, layer: layer.into(), share };
        let ledgers = [ledger(-1.0, 2.0, 0.0), ledger(1.0, 0.0, 0.0)];
        let several = of(&ledgers, &[place("a", 0.1), place("b", -2.1)]).unwrap();
        assert_eq!(
            several.message,
            "biases add 100.0 % of the relevance of 2 explained outputs, most at 'b' (-210.0 %), 'a' (10.0 %)"
        );
    }
}
