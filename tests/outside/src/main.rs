//! Explains an image and draws its heatmap: `outside MODEL.onnx IMAGE HEATMAP.png`.

use lrp::{Composite, Explainer, InputPreset, Kind, Layers, Recipe, Target, rules::*};
use lrp_render::{Look, heatmap};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name| arguments.next().ok_or(name);
    let (model, image, out) = (argument("no model")?, argument("no image")?, argument("no heatmap")?);

    let composite = Composite::new()
        .assign(Layers::all(), Epsilon::default())
        .assign(Layers::kind(Kind::Conv), Gamma { gamma: 0.25, ..Gamma::default() })
        .assign(Layers::first(), ZBox::default());
    let recipe = Recipe::from(composite).replace_input(InputPreset::Mnist.input());
    let explainer = Explainer::<f32>::load(model, recipe)?;
    let input = explainer.read_image(&std::fs::read(image)?)?;
    let explanation = explainer.explain(&input, &Target::Argmax)?;
    heatmap(explanation.relevance(0), &Look::default()).save(out)?;

    println!("class {}, score {:.3}", explanation.explained(0), explanation.score(0));
    println!("the input receives {:.3} of it", explanation.ledger(0).input);
    Ok(())
}
