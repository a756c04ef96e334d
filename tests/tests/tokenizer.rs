//! Texts as inputs, with a tokenizer: needs the cargo feature `tokenizer`, with which the program is built for this test.
#![cfg(feature = "tokenizer")]

use lrp_tests::program::{Folder, Run, repository};
use serde_json::Value;

/// A folder with a network of `tests/attention` as `model.onnx`, and the tokenizer of these networks.
fn folder(model: &str) -> Folder {
    let folder = Folder::new();
    let attention = repository().join("tests/attention");
    std::fs::copy(attention.join(model), folder.path("model.onnx")).unwrap();
    std::fs::copy(attention.join("tokenizer.json"), folder.path("tokenizer.json")).unwrap();
    folder
}

fn explain(folder: &Folder, arguments: &str) -> Run {
    folder.lrp(&format!("explain -m model.onnx -r attn-lrp --tokenizer tokenizer.json {arguments}"))
}

/// The tokens of a picture's HTML.
fn shown(folder: &Folder, name: &str) -> Vec<String> {
    let html = String::from_utf8(folder.read(name)).unwrap();
    let spans = html.lines().filter(|line| line.starts_with("<span"));
    spans.map(|line| line.split(['>', '<']).nth(2).unwrap().to_owned()).collect()
}

/// What the program says, without its lines.
fn said(run: &Run) -> String {
    run.complaint().split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ")
}

#[test]
fn each_line_is_a_sample_and_padding_has_no_relevance() {
    let folder = folder("bert.ts.onnx");
    folder.write("review.txt", "Playing was good\r\nthe film\n\n");
    let run = explain(&folder, "-i review.txt -o out --save npy,png,svg,json,html");
    assert!(run.ok().contains("2 samples explained"), "{run}");
    assert_eq!(shown(&folder, "out/review.0.heatmap.html"), ["[CLS]", "Play", "##ing", "was", "good", "[SEP]"]);
    assert_eq!(shown(&folder, "out/review.1.heatmap.html"), ["[CLS]", "the", "film", "[SEP]", "[PAD] ×2"]);
    let html = String::from_utf8(folder.read("out/review.1.heatmap.html")).unwrap();
    assert_eq!(html.matches("font-style: italic").count(), 3, "{html}");
    let relevance: ndarray::ArrayD<f32> = ndarray_npy::read_npy(folder.path("out/review.relevance.npy")).unwrap();
    assert_eq!(relevance.shape(), [2, 6]);
    assert!(relevance[[1, 4]] == 0.0 && relevance[[1, 5]] == 0.0 && relevance[[1, 3]] != 0.0, "{relevance}");
    let manifest: Value = serde_json::from_slice(&folder.read("out/manifest.json")).unwrap();
    assert_eq!(manifest["tokenizer"]["path"], "tokenizer.json");
    assert_eq!(manifest["tokenizer"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(manifest["inputs"][0]["path"], "review.txt");
    // Neither the batch nor the other texts change anything.
    folder.write("film.txt", "the film\n");
    explain(&folder, "-i film.txt -o alone --save npy,json --batch 1").ok();
    let alone: ndarray::ArrayD<f32> = ndarray_npy::read_npy(folder.path("alone/film.relevance.npy")).unwrap();
    assert_eq!(alone.index_axis(ndarray::Axis(0), 0), relevance.index_axis(ndarray::Axis(0), 1));
}

#[test]
fn a_text_is_explained_as_its_ids_are() {
    let folder = folder("bert.ts.onnx");
    folder.write("a.txt", "the film was clever\n");
    explain(&folder, "-i a.txt -o text --save npy,json").ok();
    let vocabulary: Value = serde_json::from_slice(&folder.read("tokenizer.json")).unwrap();
    let id = |token: &str| vocabulary["model"]["vocab"][token].as_i64().unwrap();
    let ids =
        ndarray::Array2::from_shape_vec((1, 6), ["[CLS]", "the", "film", "was", "clever", "[SEP]"].map(id).to_vec());
    ndarray_npy::write_npy(folder.path("ids.npy"), &ids.unwrap()).unwrap();
    ndarray_npy::write_npy(folder.path("mask.npy"), &ndarray::Array2::<i64>::ones((1, 6))).unwrap();
    explain(&folder, "-i input_ids=ids.npy attention_mask=mask.npy -o ids --save npy,png,json").ok();
    assert_eq!(folder.read("text/a.relevance.npy"), folder.read("ids/ids.relevance.npy"));
    // The tokens of ids have their texts, too.
    assert_eq!(shown(&folder, "ids/ids.heatmap.html"), ["[CLS]", "the", "film", "was", "clever", "[SEP]"]);
}

#[test]
fn words_are_drawn_and_numbers_stay() {
    let folder = folder("bert.ts.onnx");
    folder.write("a.txt", "Playing was good\n");
    explain(&folder, "-i a.txt -o tokens").ok();
    explain(&folder, "-i a.txt -o words --words").ok();
    assert_eq!(shown(&folder, "words/a.heatmap.html"), ["[CLS]", "Playing", "was", "good", "[SEP]"]);
    assert_eq!(folder.read("words/a.relevance.npy"), folder.read("tokens/a.relevance.npy"));
    folder.write(
        "recipe.toml",
        "schema = 1\nextends = \"attn-lrp\"\n[model]\npath = \"model.onnx\"\n[input]\ntokenizer = \"tokenizer.json\"\nwords = true\n\
         [explain]\ninputs = [\"a.txt\"]\n[output]\ndir = \"recipe\"\n",
    );
    folder.lrp("run recipe.toml").ok();
    assert_eq!(folder.read("recipe/a.heatmap.html"), folder.read("words/a.heatmap.html"));
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    let folder = folder("bert.ts.onnx");
    folder.write("a.txt", "the film\n");
    for (text, why) in [
        ("good\n\nbad\n", "'b.txt', line 2: the text is empty"),
        ("\n \n", "'b.txt' has no text"),
        (
            "good\nthe film was so good\n",
            "'b.txt', line 2: the text has 7 tokens, 2 of them special, and the model takes 6",
        ),
    ] {
        folder.write("b.txt", text);
        let run = explain(&folder, "-i b.txt -o out");
        assert!(said(&run).contains(why), "{run}");
    }
    folder.write("b.txt", b"caf\xe9\n");
    assert!(said(&explain(&folder, "-i b.txt -o out")).contains("cannot read the text 'b.txt': it is not UTF-8"));
    let run = folder.lrp("explain -m model.onnx -r attn-lrp -i a.txt -o out");
    assert!(said(&run).contains("'a.txt' is a text, and no tokenizer is given"), "{run}");
    for tokenizer in ["gone.json", "a.txt"] {
        let run = folder.lrp(&format!("explain -m model.onnx -r attn-lrp -i a.txt --tokenizer {tokenizer} -o out"));
        assert!(said(&run).contains(&format!("cannot read the tokenizer '{tokenizer}'")), "{run}");
    }
    ndarray_npy::write_npy(folder.path("mask.npy"), &ndarray::Array2::<i64>::ones((1, 6))).unwrap();
    for arguments in ["-i input_ids=a.txt attention_mask=mask.npy", "-i a.txt --fix attention_mask=ones"] {
        let run = explain(&folder, &format!("{arguments} -o out"));
        assert!(said(&run).contains("'attention_mask' is given, and the tokenizer makes it from the text"), "{run}");
    }
    folder.write("tokens.txt", "a\nb\n");
    let run = explain(&folder, "-i a.txt --tokens tokens.txt -o out");
    assert!(said(&run).contains("'tokens.txt' has the texts of tokens, and there is a tokenizer"), "{run}");
}

#[test]
fn a_tokenizer_of_another_model_is_noticed() {
    let folder = folder("bert.ts.onnx");
    let mut tokenizer: Value = serde_json::from_slice(&folder.read("tokenizer.json")).unwrap();
    tokenizer["model"]["vocab"]["wow"] = 61.into();
    folder.write("tokenizer.json", tokenizer.to_string());
    folder.write("a.txt", "the film\n");
    let run = explain(&folder, "-i a.txt -o out");
    assert!(run.ok().contains("1 sample explained"), "{run}");
    assert!(run.stderr.contains("the tokenizer has 62 tokens, and the embedding of the model 61 rows"), "{run}");
    folder.write("b.txt", "the film\nwow\n");
    let run = explain(&folder, "-i b.txt -o wow");
    let why = "'b.txt', line 2: the token 'wow' has the id 61, and the embedding of the model has the rows 0 to 60";
    assert!(said(&run).contains(why), "{run}");
}

#[test]
fn a_model_without_a_mask_sees_the_padding() {
    let folder = folder("gpt2.dynamo.onnx");
    folder.write("a.txt", "the film\n");
    let run = explain(&folder, "-i a.txt -o out");
    run.ok();
    assert!(run.stderr.contains("the model has no mask: it sees the padding"), "{run}");
    folder.write("a.txt", "the film was good\n");
    let run = explain(&folder, "-i a.txt -o full");
    run.ok();
    assert!(!run.stderr.contains("padding"), "{run}");
    // An input that no tokenizer makes.
    let folder = self::folder("t5.ts.onnx");
    folder.write("a.txt", "the film\n");
    let run = explain(&folder, "-i a.txt -o out");
    assert!(said(&run).contains("the model takes 'decoder_input_ids' as well"), "{run}");
}
