//! Whether a page shows what is computed now.

/// Equal, or numbers that differ by what another processor's rounding may do: two per cent, or two units of the last digit (a
/// picture more or less, where pictures are counted).
pub fn agree(a: &str, b: &str) -> bool {
    let words = |text: &str| {
        text.replace('−', "-").replace(['%', '<'], " ").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let number = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => {
            let digits = a.split(['.', 'e']).nth(1).filter(|_| a.contains('.')).map_or(0, str::len);
            let unit = match i32::try_from(digits) {
                Ok(digits) if !a.contains('e') => 10_f64.powi(-digits),
                _ => 9.0 * x.abs(),
            };
            (x - y).abs() <= (0.02 * x.abs()).max(2.0 * unit)
        }
        _ => a == b,
    };
    let (a, b) = (words(a), words(b));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| number(a, b))
}

/// Whether a line is as the page has it, where `…` in the page stands for anything.
pub fn line_agrees(shown: &str, printed: &str) -> bool {
    let Some((before, after)) = shown.split_once('…') else {
        return agree(&bare(shown), &bare(printed));
    };
    let rest = printed.strip_prefix(before);
    let last = after.rsplit('…').next().unwrap_or(after);
    rest.is_some_and(|rest| rest.ends_with(last))
}

/// Words without the brackets and marks around them; numbers that are rounding errors are all the same.
fn bare(line: &str) -> String {
    let line = line.replace('−', "-").replace(['(', ')', ',', ';', ':'], " ");
    let rounding = |word: &&str| word.parse::<f64>().is_ok_and(|v| v != 0.0 && v.abs() < 1e-5);
    line.split_whitespace().map(|word| if rounding(&word) { "rounding" } else { word }).collect::<Vec<_>>().join(" ")
}

/// Whether a program printed what the page shows. A line with nothing but `…` stands for any number of lines.
pub fn output_agrees(shown: &[&str], printed: &[&str]) -> bool {
    match (shown, printed) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=printed.len()).any(|skipped| output_agrees(rest, &printed[skipped..])),
        ([shown, rest @ ..], [printed, others @ ..]) => line_agrees(shown, printed) && output_agrees(rest, others),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_differ_by_rounding_only() {
        assert!(
            agree("0.189", "0.190") && agree("26 of 36", "27 of 36") && agree("98.1 %", "97.9 %") && agree("–", "–")
        );
        assert!(agree("< 1e-14", "< 1e-13"));
        assert!(
            !agree("0.189", "0.212")
                && !agree("26 of 36", "31 of 36")
                && !agree("1e-14", "1e-9")
                && !agree("yes", "no")
        );
    }

    #[test]
    fn dots_stand_for_anything_and_nothing_else_does() {
        assert!(
            line_agrees("wrote out in … s", "wrote out in 0.3 s") && !line_agrees("wrote out in … s", "wrote in 3 s")
        );
        assert!(
            line_agrees("worst 2.5e−7, at x", "worst 3.1e−8, at x") && !line_agrees("worst 2.5e−7", "worst 2.5e-3")
        );
        assert!(line_agrees("(12.0 %)", "(12.1 %)") && !line_agrees("a (12.0 %)", "b (12.0 %)"));
        assert!(output_agrees(&["a", "…", "d"], &["a", "b", "c", "d"]) && output_agrees(&["…"], &[]));
        assert!(!output_agrees(&["a", "…", "d"], &["a", "b", "c"]) && !output_agrees(&["a"], &["a", "b"]));
    }
}
