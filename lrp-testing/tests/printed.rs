//! Networks print as programs that compile and compute the same.

use lrp_core::{Model, Plan, Start, Target, Tensor};
use lrp_rules::{BiasMode, ZPlus};
use lrp_testing::network::{ANYTHING, Block, Net, nets};
use lrp_testing::{cases, compare::same_bits};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// What [`printed_net`] prints, as it stands in `printed/network.rs`, with `model` at the end.
#[allow(clippy::let_and_return, reason = "printed programs end in a binding")]
fn printed() -> Result<Model<f64>, Box<dyn std::error::Error>> {
    Ok(include!("printed/network.rs"))
}

/// One block of many sorts.
fn printed_net() -> Net {
    Net {
        rank: 1,
        channels: 2,
        length: 4,
        blocks: vec![
            Block::Conv { channels: 1, kernel: 2, stride: 1, pad: 1, dilation: 1, grouped: true },
            Block::BatchNorm,
            Block::Residual { subtract: false },
            Block::MaxPool { pad: 0 },
            Block::ConvTranspose { channels: 1 },
            Block::Join { concat: true },
            Block::Gate,
            Block::Resize { nearest: false },
            Block::Resize { nearest: true },
            Block::AvgPool { include_pad: true },
            Block::Scale,
            Block::Pad,
            Block::Slice { channels: false },
            Block::LayerNorm,
            Block::Softmax { channels: true },
            Block::Recurrent { gru: Some(true), both: false, hidden: 1 },
        ],
        global_pool: false,
        biases: true,
        any_activation: true,
        classes: 2,
        seed: 1,
        bits: 3,
    }
}

/// To print it anew: `LRP_PRINT=1 cargo test -p lrp-testing printed`, twice.
#[test]
fn a_printed_network_is_the_network() {
    let net = printed_net();
    let code = format!("{{\n{net}model\n}}\n");
    if std::env::var_os("LRP_PRINT").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/printed/network.rs"), &code).unwrap();
    }
    assert_eq!(include_str!("printed/network.rs"), code);

    let xs = net.inputs::<f64>(2, -1.0, 1.0);
    let output = |model: Model<f64>| {
        let rule: std::sync::Arc<dyn lrp_core::Rule<f64>> =
            std::sync::Arc::new(ZPlus { stabilizer: 1e-6, bias: BiasMode::Absorb });
        let affine = model.nodes().filter(|(_, n)| n.op().is_some_and(|op| op.as_affine().is_some()));
        let rules = affine.map(|(id, _)| (id, std::sync::Arc::clone(&rule))).collect();
        let plan = Plan::new(std::sync::Arc::new(model), &rules).unwrap();
        let e = plan.record_all(&xs).unwrap().explain(&Target::Argmax, Start::Logit).unwrap();
        (e.output, e.relevance)
    };
    let (printed, built) = (output(printed().unwrap()), output(net.build()));
    assert!(same_bits(&printed.0, &built.0));
    assert!(printed.1.iter().zip(&built.1).all(|(a, b)| same_bits(a, b)));
}

/// A failing property ends in a small network: what does not matter is gone.
#[test]
fn networks_shrink_to_what_matters() {
    let config = Config { failure_persistence: None, ..Config::with_cases(2000) };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[1; 32]));
    // Say a softmax in a network with biases was a mistake.
    let fails = |net: &Net| net.biases && net.blocks.iter().any(|b| matches!(b, Block::Softmax { .. }));
    let Err(TestError::Fail(_, net)) = runner.run(&nets(ANYTHING), |net| {
        prop_assert!(!fails(&net));
        Ok(())
    }) else {
        panic!("it should fail")
    };
    assert_eq!(net.blocks, [Block::Softmax { channels: false }]);
    assert_eq!((net.rank, net.channels, net.length, net.classes), (1, 1, 3, 1));
    let code = format!("{net:?}");
    // Input, softmax, head of five; weights with two digits.
    assert!(code.lines().count() <= 14 && code.len() < 2000, "{code}");
    assert!(code.contains("vec![-0.75") || code.contains("0.25"), "{code}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// The same network and the same numbers every time, in f64 and, rounded, in f32.
    #[test]
    fn networks_are_what_they_print(net in nets(ANYTHING)) {
        prop_assert_eq!(net.to_string(), net.clone().to_string());
        let (wide, narrow) = (net.build::<f64>(), net.build::<f32>());
        prop_assert_eq!(wide.nodes().len(), narrow.nodes().len());
        let (xs, ys) = (net.inputs::<f64>(1, -1.0, 1.0), net.inputs::<f32>(1, -1.0, 1.0));
        let rounded = |x: &Tensor<f64>| x.mapv(|v| v as f32);
        prop_assert!(xs.iter().zip(&ys).all(|(x, y)| rounded(x) == *y));
        // Every operator is named in the code.
        let code = net.to_string();
        for (_, node) in wide.nodes() {
            let quoted = format!("{:?}", node.name);
            prop_assert!(code.contains(&quoted), "{} is missing:\n{}", node.name, code);
        }
    }
}
