//! `at = …`: the nodes inside a network whose relevance is kept.

use lrp_core::graph::Node;
use lrp_core::text::shown;
use lrp_core::{Model, NodeId, Scalar};

use crate::likely_name::{meant, offered};
use crate::misfit::Misfit;
use crate::names::NameGlob;

/// The operators that one of these globs matches, by any of their names, in topological order.
///
/// # Errors
/// When a glob matches none.
pub fn nodes_at<T: Scalar>(globs: &[NameGlob], model: &Model<T>) -> Result<Vec<NodeId>, Misfit> {
    let operators: Vec<(NodeId, &Node<T>)> = model.nodes().filter(|(_, node)| node.op().is_some()).collect();
    if let Some(glob) = globs.iter().find(|glob| !operators.iter().any(|(_, node)| glob.means(node))) {
        let own: Vec<&str> = operators.iter().map(|(_, node)| node.name.as_str()).collect();
        let all: Vec<&str> = operators.iter().flat_map(|(_, node)| node.names()).collect();
        let help = meant(glob.text(), &all).or_else(|| offered(glob.text(), &own));
        return Err(Misfit {
            message: format!("no node inside the network is called '{}'", shown(glob.text())),
            help: help.unwrap_or_else(|| "the model has no operators".to_owned()),
        });
    }
    Ok(operators.iter().filter(|(_, node)| globs.iter().any(|glob| glob.means(node))).map(|(id, _)| *id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lrp_core::graph::Builder;
    use lrp_core::ops::{Activation, Function};

    #[test]
    fn nodes_by_any_of_their_names() {
        let mut net = Builder::<f64>::new();
        let relu = || Activation::new(Function::Relu, &[2]).unwrap();
        let x = net.input("x", &[2]);
        let first = net.add("/layer1/Relu", relu(), &[x]).unwrap();
        let second = net.add("/layer2/Relu", relu(), &[first]).unwrap();
        net.also_name(second, vec!["layer2".to_owned()]);
        let model = net.finish(second).unwrap();
        let at = |globs: &[&str]| {
            let globs: Vec<NameGlob> = globs.iter().map(|glob| glob.parse().unwrap()).collect();
            nodes_at(&globs, &model)
        };
        assert_eq!(at(&["layer2"]), Ok(vec![second]));
        assert_eq!(at(&["*/Relu"]), Ok(vec![first, second]));
        assert_eq!(at(&["layer2", "/layer1/*"]), Ok(vec![first, second]));
        let error = at(&["layer2", "layer1"]).unwrap_err();
        assert_eq!(error.help, "names are matched whole: '*layer1*' would match '/layer1/Relu'");
        // The input is no place inside.
        assert!(at(&["x"]).unwrap_err().message.contains("'x'"));
        assert!(at(&["/layer2/Relo"]).unwrap_err().help.starts_with("did you mean '/layer2/Relu'?"));
    }
}
