//! "Did you mean …": the nearest of the names that exist.

use std::path::{Path, PathBuf};

/// The minimum similarity (Jaro–Winkler, 0 to 1) of a suggested name.
const ALIKE: f64 = 0.8;

/// Names in other programs.
const ALIASES: [(&str, &str); 16] = [
    ("linear", "dense"),
    ("gemm", "dense"),
    ("matmul", "dense"),
    ("fc", "dense"),
    ("conv1d", "conv"),
    ("conv2d", "conv"),
    ("conv3d", "conv"),
    ("residual", "add"),
    ("lrp-0", "zero"),
    ("lrp-epsilon", "epsilon"),
    ("lrp-gamma", "gamma"),
    ("z+", "z-plus"),
    ("zb", "z-box"),
    ("identity", "pass"),
    ("numpy", "npy"),
    ("image", "png"),
];

/// The name that was probably meant.
pub(crate) fn closest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('_', "-");
    let names: Vec<&str> = names.into_iter().collect();
    let alias = ALIASES.iter().find(|(alias, name)| *alias == word && names.contains(name));
    if let Some((_, name)) = alias {
        return Some(name);
    }
    let likeness = |name: &str| strsim::jaro_winkler(&word, &name.to_lowercase().replace('_', "-"));
    names
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// A file beside `path` whose name is nearly the same: the suggestion for a path that does not exist.
pub fn closest_file(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let listed = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    // Folders can be very large; whoever misspells a name means one of the first thousands.
    let files = listed.take(10_000).flatten().filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // The file itself is there: what is wrong with it is something else.
    names.retain(|name| name != wanted);
    names.sort();
    let same_kind = |name: &&String| Path::new(name).extension() == path.extension();
    let alike = closest(wanted, names.iter().filter(same_kind).map(String::as_str));
    alike.or_else(|| closest(wanted, names.iter().map(String::as_str))).map(|name| folder.join(name))
}

/// A sentence of help: a suggestion, and all names.
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
