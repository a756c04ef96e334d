//! Any bytes, imported as a model: a model or an error, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lrp_onnx::Options;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = lrp_onnx::from_bytes::<f32>("fuzz", bytes.to_vec(), &Options::default()) {
        assert!(error.to_string().len() <= 16_384, "a long message");
    }
});
