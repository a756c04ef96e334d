//! Numbers, shapes and rules as people read them.

/// A number for a picture or a page: as [`short`], with a real minus sign.
pub fn typeset(value: f64) -> String {
    short(value).replace('-', "−")
}

/// A number in at most seven characters or so, as programs read it.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{value:.1e}")
    } else {
        let digits = if size >= 100.0 {
            1
        } else if size >= 1.0 {
            2
        } else {
            3
        };
        format!("{value:.digits$}")
    }
}

/// `[N, 1, 28, 28]` as `N×1×28×28`, given the sample shape.
pub fn shape(sample: &[usize]) -> String {
    std::iter::once("N".to_owned()).chain(sample.iter().map(usize::to_string)).collect::<Vec<_>>().join("×")
}

/// A rule for a column: numbers of more than six digits are rounded to five, as the bounds of z-box are.
pub fn rule(rule: &str) -> String {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | 'e');
    let mut short = String::new();
    let mut rest = rule;
    while let Some(start) = rest.find(is_number) {
        let (before, from) = rest.split_at(start);
        let (number, after) = from.split_at(from.find(|c| !is_number(c)).unwrap_or(from.len()));
        let digits = number.chars().filter(char::is_ascii_digit).count();
        short.push_str(before);
        match number.parse::<f64>() {
            Ok(value) if digits > 6 && value != 0.0 => {
                let before_point = value.abs().log10().floor() as i32 + 1;
                let decimals = usize::try_from(5 - before_point).unwrap_or(0);
                short.push_str(&format!("{value:.decimals$}"));
            }
            _ => short.push_str(number),
        }
        rest = after;
    }
    short + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.0, -12.345, 123.456, 0.01234, 1e-7, -2.5e9].map(short);
        assert_eq!(texts, ["0", "1.00", "-12.35", "123.5", "0.012", "1.0e-7", "-2.5e9"]);
        assert_eq!([typeset(-12.345), typeset(1e-7)], ["−12.35", "1.0e−7"]);
    }

    #[test]
    fn long_numbers_in_rules_are_rounded() {
        assert_eq!(
            rule("z-box { low = [-2.1179039301310043, 0.0], high = 2.64 }"),
            "z-box { low = [-2.1179, 0.0], high = 2.64 }"
        );
        assert_eq!(rule("epsilon { epsilon = 1e-6 }"), "epsilon { epsilon = 1e-6 }");
        assert_eq!(rule("alpha-beta { alpha = 0.33333333 }"), "alpha-beta { alpha = 0.33333 }");
        assert_eq!(rule("route"), "route");
    }
}
