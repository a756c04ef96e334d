//! The node that was probably meant by a glob that matches none.

/// The minimum similarity of a name that is suggested.
pub(crate) const LIKELY: f64 = 0.8;

/// The number of names that are offered where none is likely.
const OFFERED: usize = 3;

/// A name that has this text in it.
pub(crate) fn containing<'n>(text: &str, nodes: &[&'n str]) -> Option<&'n str> {
    nodes.iter().find(|node| !text.is_empty() && node.contains(text)).copied()
}

/// The names, the most alike first; those that begin as the glob does come before the others. The ends of a
/// glob that match anything stay: of `layer1.*`, what is like `layer1.` is offered as `name*`.
pub(crate) fn nearest(glob: &str, names: &[&str]) -> Vec<(f64, String)> {
    let (core, tail) = match glob.find('*') {
        Some(star) if star > 0 && glob[star..].chars().all(|c| c == '*') => (&glob[..star], "*"),
        _ => (glob, ""),
    };
    let mut found: Vec<(f64, String)> = Vec::new();
    for name in names {
        // What stands before the glob's end, as far as the glob goes: up to the same separator.
        let separators = |c: char| matches!(c, '.' | '/');
        let name = match (tail, core.matches(separators).count()) {
            ("", _) | (_, 0) => (*name).to_owned(),
            (_, count) => match name.match_indices(separators).nth(count - 1) {
                Some((end, separator)) => format!("{}*", &name[..end + separator.len()]),
                None => (*name).to_owned(),
            },
        };
        let likeness = strsim::jaro_winkler(core, name.trim_end_matches('*'));
        if !found.iter().any(|(_, known)| *known == name) {
            found.push((likeness, name));
        }
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found
}

/// Help for a glob that matches none of these names, if one of them is likely to be meant.
pub(crate) fn meant(glob: &str, names: &[&str]) -> Option<String> {
    if let Some(node) = containing(glob, names) {
        return Some(format!("names are matched whole: '*{glob}*' would match '{node}'"));
    }
    let near = nearest(glob, names);
    let (_, name) = near.first().filter(|(likeness, _)| *likeness >= LIKELY)?;
    Some(format!("did you mean '{name}'? `lrp layers` lists the names"))
}

/// Some of the names, the most alike first; none where there are no names.
pub(crate) fn offered(glob: &str, names: &[&str]) -> Option<String> {
    let near = nearest(glob.trim_end_matches('*'), names);
    let shown: Vec<String> = near.iter().take(OFFERED).map(|(_, name)| format!("'{name}'")).collect();
    let more = if names.len() > shown.len() { "; `lrp layers` lists all" } else { "" };
    (!shown.is_empty()).then(|| format!("names in this model are {}{more}", shown.join(", ")))
}
