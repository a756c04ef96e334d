//! Warnings about settings that are valid but suspicious: in the recipe (`Recipe::lint`), and in the ledger.

use lrp_core::Scalar;

use super::ledger::LedgerRow;
use crate::diagnosis::Diagnosis;
use crate::numbers::short;
use crate::prepared::Prepared;

/// Layers at which Σ|R| grows by more than this are warned about: denominators nearly cancel there.
const AMPLIFICATION: f64 = 10.0;

/// Single precision that is further than this from double precision is warned about.
const F32_ERROR: f64 = 1e-3;

/// The number of layers that a warning names.
const NAMED: usize = 5;

/// Layers whose stabilizer absorbs more than this share of the relevance they receive are warned about.
const ABSORBED: f64 = 0.5;

/// All warnings.
pub fn warnings<T: Scalar>(prepared: &Prepared<T>, ledger: &[LedgerRow]) -> Vec<Diagnosis> {
    let lint = prepared.recipe.lint(prepared.plan.model(), &prepared.resolved);
    let mut warnings: Vec<Diagnosis> = lint.iter().map(Diagnosis::from).collect();
    warnings.extend(absorbed(prepared, ledger));
    warnings.extend(growing(ledger));
    warnings.extend(rounded(ledger));
    warnings
}

/// Stabilizers that absorb most of the relevance received.
fn absorbed<T: Scalar>(prepared: &Prepared<T>, ledger: &[LedgerRow]) -> Vec<Diagnosis> {
    let model = prepared.plan.model();
    let share = |row: &LedgerRow| row.stabilizer / row.received;
    let warn = |row: &LedgerRow| {
        let message = format!(
            "the stabilizer of '{}' absorbs {:.0} % of the relevance at its output",
            row.name,
            100.0 * share(row)
        );
        let help = "the rest may not represent the prediction: choose a smaller epsilon or stabilizer";
        let node = model.nodes().find(|(_, node)| node.name == row.name).map(|(id, _)| id);
        let placed = node.and_then(|id| prepared.resolved.warning(id, "stabilizer-swallows", &message, help));
        placed.map_or_else(
            || Diagnosis::warning("stabilizer-swallows", message, help),
            |warning| Diagnosis::from(&warning),
        )
    };
    ledger.iter().filter(|row| share(row) > ABSORBED).map(warn).collect()
}

/// Denominators that nearly cancel.
fn growing(ledger: &[LedgerRow]) -> Option<Diagnosis> {
    let mut growing: Vec<&LedgerRow> =
        ledger.iter().filter(|row| row.divides && row.amplification > AMPLIFICATION).collect();
    growing.sort_by(|a, b| b.amplification.total_cmp(&a.amplification));
    let shown = growing.iter().take(NAMED).map(|row| format!("'{}' ({}-fold)", row.name, short(row.amplification)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = growing.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("denominators nearly cancel, so that Σ|R| grows, at {shown}{more}");
    let help = "a larger ε, γ or z-plus there keeps it small; at sums, norm with residual = \"absolute\" does";
    (!growing.is_empty()).then(|| Diagnosis::warning("denominators-cancel", message, help))
}

/// Single precision that is not enough.
fn rounded(ledger: &[LedgerRow]) -> Option<Diagnosis> {
    let error = ledger.last().and_then(|row| row.f32_error).filter(|error| *error > F32_ERROR)?;
    let message = format!("single precision is {error:.1e} from double precision at the input (relative L2)");
    Some(Diagnosis::warning("f32-error", message, "use --precision f64"))
}
