//! "Did you mean …": the nearest of the names that exist.

/// How alike two names must be (Jaro–Winkler, 0 to 1) for one to be offered instead of the other.
const ALIKE: f64 = 0.8;

/// The name that was probably meant.
pub(crate) fn closest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('_', "-");
    let likeness = |name: &str| strsim::jaro_winkler(&word, &name.to_lowercase().replace('_', "-"));
    names
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// A sentence of help: what was probably meant, and everything there is.
pub(crate) fn choices(word: &str, names: &[&str]) -> String {
    let list = names.join(", ");
    match closest(word, names.iter().copied()) {
        Some(name) => format!("did you mean '{name}'? There are: {list}"),
        None => format!("there are: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_the_nearest_name_or_none() {
        let names = ["conv", "conv-transpose", "dense"];
        assert_eq!(closest("convv", names), Some("conv"));
        assert_eq!(closest("Conv_Transpos", names), Some("conv-transpose"));
        assert_eq!(closest("xyz", names), None);
        assert_eq!(choices("desne", &names), "did you mean 'dense'? There are: conv, conv-transpose, dense");
        assert_eq!(choices("xyz", &names), "there are: conv, conv-transpose, dense");
    }
}
