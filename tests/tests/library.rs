//! The library as a program uses it: [`lrp::Explainer`] on a model and an image, and its errors as enums.

use lrp::{Error, Explainer, ImageError, Recipe, Target, Tensor};
use lrp_onnx::ErrorKind;
use lrp_tests::program::repository;
use ndarray::Axis;

fn example(name: &str) -> Vec<u8> {
    std::fs::read(repository().join("examples/mnist").join(name)).unwrap()
}

fn explainer() -> Explainer<f64> {
    Explainer::from_bytes("cnn.onnx", example("cnn.onnx"), Recipe::preset("lrp-epsilon").unwrap()).unwrap()
}

fn error<R>(result: Result<R, Error>) -> Error {
    result.err().expect("an error")
}

#[test]
fn an_image_is_explained() {
    let explainer = explainer();
    assert_eq!(explainer.shape(), [1, 28, 28]);
    let nine = explainer.read_image(&example("nine.png")).unwrap();
    assert_eq!(nine.shape(), [1, 1, 28, 28]);
    let explanation = explainer.explain(&nine, &Target::Argmax).unwrap();
    assert_eq!((explanation.samples(), explanation.class(0)), (1, Some(9)));
    let ledger = explanation.ledger(0);
    assert_eq!(ledger.start, explanation.score(0));
    assert!((explanation.relevance(0).sum() - ledger.input).abs() < 1e-9 * ledger.start.abs());
    assert!(ledger.relative_imbalance() < 1e-10);

    // A batch gives what its samples give, and another target something else.
    let black = Tensor::zeros(nine.raw_dim());
    let batch = ndarray::concatenate(Axis(0), &[black.view(), nine.view()]).unwrap();
    let both = explainer.explain(&batch, &Target::Class(9)).unwrap();
    assert_eq!(both.relevance(1), explanation.relevance(0));
    assert_eq!(both.batch().shape(), [2, 1, 28, 28]);
    let four = explainer.explain(&nine, &Target::Class(4)).unwrap();
    assert_ne!(four.relevance(0), explanation.relevance(0));
}

#[test]
fn a_model_in_a_file_is_the_model_in_memory() {
    let path = repository().join("examples/mnist/cnn.onnx");
    let other = Explainer::<f64>::load(path, Recipe::preset("lrp-epsilon").unwrap()).unwrap();
    let explainer = explainer();
    let nine = explainer.read_image(&example("nine.png")).unwrap();
    let of = |explainer: &Explainer<f64>| explainer.explain(&nine, &Target::Argmax).unwrap().batch().clone();
    assert_eq!(of(&other), of(&explainer));
}

#[test]
fn errors_are_enums_with_remedies() {
    let recipe = || Recipe::preset("lrp-epsilon").unwrap();
    let missing = error(Explainer::<f32>::load("none.onnx", recipe()));
    assert!(matches!(&missing, Error::Import { error, .. } if matches!(error.kind, ErrorKind::Io(_))), "{missing}");
    assert!(missing.complaints()[0].remedy().unwrap().contains("give an ONNX file"));
    let broken = error(Explainer::<f32>::from_bytes("a.onnx", b"text".to_vec(), recipe()));
    assert!(matches!(broken, Error::Import { .. }) && broken.to_string().starts_with("a.onnx: "), "{broken}");

    let explainer = explainer();
    let no_image = error(explainer.read_image(b"text"));
    assert!(matches!(no_image, Error::Image(ImageError::Unreadable { .. })), "{no_image:?}");
    assert!(no_image.to_string().contains("cannot read the image"), "{no_image}");
    let shape = error(explainer.explain(&Tensor::zeros(vec![1, 3, 28, 28]), &Target::Argmax));
    assert!(matches!(shape, Error::Core(lrp_core::Error::InputShape { .. })), "{shape}");
    let class = error(explainer.explain(&Tensor::zeros(vec![1, 1, 28, 28]), &Target::Class(10)));
    assert!(matches!(class, Error::Core(lrp_core::Error::Target { .. })), "{class}");
}
