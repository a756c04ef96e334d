//! A report as a whole: what is in it, what cannot get into it, and how large it gets.

#![allow(clippy::unwrap_used, reason = "tests")]

use image::RgbImage;
use lrp_report::{
    Accounts, Failed, File, Kind, Layer, Limits, Node, Palette, Report, Sample, Score, Shape, Shown, Stage, Target,
    Text, Writer, Written,
};

const SHAPE: Shape = Shape { kind: Kind::Picture, channels: 3, height: 2, width: 2 };

/// Text that would do something if it were taken for HTML, for the end of a script, or for an attribute.
const HOSTILE: &str =
    "</script><script>alert(1)</script>\" onload='alert(2)' <img src=x onerror=alert(3)> <!-- ]]> {{ 7*7 }}";

fn report(samples: usize) -> Report {
    let palette = Palette { name: "bwr".into(), colors: vec![[0, 0, 255], [255, 255, 255], [255, 0, 0]] };
    let node =
        |name: &str, index, inputs| Node { name: name.into(), op: "op".into(), index, rule: "rule".into(), inputs };
    Report {
        samples,
        palettes: vec![palette],
        palette: "bwr".into(),
        nodes: vec![node("fc", Some(0), vec![1]), node("x", None, vec![])],
        stages: vec![Stage { name: "conv".into(), op: "conv".into(), channels: 4, height: 1, width: 2 }],
        ..Report::new("LRP-0", "cnn.onnx", SHAPE)
    }
}

fn sample(name: &str) -> Sample {
    Sample {
        name: name.into(),
        input: Shown::Picture(RgbImage::new(2, 2)),
        top: vec![Score { class: 3, label: "three".into(), score: 2.5, probability: None }],
        targets: vec![Target {
            title: "three".into(),
            class: Some(3),
            score: 2.5,
            totals: Accounts { start: 2.5, input: 2.0, bias: 0.25, stabilizer: 0.25, rule: 0.0 },
            relevance: (0..12).map(f64::from).collect(),
            stages: vec![vec![0.5, -2.0]],
            ledger: vec![[2.5, 2.0, 0.25, 0.25, 0.0], [2.0, 2.0, 0.0, 0.0, 0.0]],
            ..Target::default()
        }],
    }
}

fn written(report: &Report, samples: &[Sample], limits: Limits) -> (String, Written) {
    let mut html = Vec::new();
    let mut writer = Writer::new(&mut html, report, limits).unwrap();
    for sample in samples {
        writer.add(sample).unwrap();
    }
    let written = writer.finish().unwrap();
    assert_eq!(html.len() as u64, written.bytes);
    (String::from_utf8(html).unwrap(), written)
}

/// The JSON in the script elements with this attribute.
fn data(html: &str, attribute: &str) -> Vec<serde_json::Value> {
    let start = format!("<script type=\"application/json\" {attribute}>");
    html.split(&start)
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap())
        .collect()
}

#[test]
fn numbers_are_what_was_given() {
    let (html, _) = written(&report(1), &[sample("a")], Limits::default());
    let samples = data(&html, "class=\"sample\"");
    let target = &samples[0]["targets"][0];
    assert_eq!(samples[0]["name"], "a");
    assert_eq!(samples[0]["top"][0]["label"], "three");
    assert_eq!(target["ledger"][0], serde_json::json!([2.5, 2.0, 0.25, 0.25, 0.0]));
    assert_eq!(target["totals"]["stabilizer"], 0.25);
    // The sum over channels comes first, then the channels.
    let sums: Vec<f64> = target["maps"].as_array().unwrap().iter().map(|map| map["sum"].as_f64().unwrap()).collect();
    assert_eq!(sums, [66.0, 6.0, 22.0, 38.0]);
    assert_eq!(target["maps"][0]["max"], 3.0 + 7.0 + 11.0);
    assert_eq!((&target["stages"][0]["sum"], &target["stages"][0]["max"]), (&(-1.5).into(), &2.0.into()));
    let report = &data(&html, "id=\"report\"")[0];
    assert_eq!(report["stages"][0]["channels"], 4);
    assert_eq!(report["channels"], serde_json::json!(["red", "green", "blue"]));
    assert_eq!(report["nodes"][0]["inputs"], serde_json::json!([1]));
    assert_eq!(data(&html, "id=\"end\"")[0]["shown"], 1);
}

#[test]
fn the_file_needs_nothing_else() {
    let (html, _) = written(&report(1), &[sample("a")], Limits::default());
    assert!(!html.contains("://"), "an address of something outside");
    assert!(
        !html.contains("@import") && !html.contains("url(") && !html.contains("<link") && !html.contains("<iframe")
    );
    for (attribute, inside) in [(" src=\"", "data:"), (" href=\"", "#")] {
        for rest in html.split(attribute).skip(1) {
            assert!(rest.starts_with(inside), "{}", &rest[..40.min(rest.len())]);
        }
    }
    // Nothing is loaded, and no script runs, but what this policy names.
    assert!(html.contains("default-src &#39;none&#39;; img-src data:; style-src &#39;sha256-"), "{}", &html[..600]);
}

#[test]
fn text_is_text_wherever_it_stands() {
    let hostile = || HOSTILE.to_owned();
    let mut report = report(1);
    report.title = hostile();
    report.model = hostile();
    report.palette = hostile();
    report.nodes[0].name = hostile();
    report.plan =
        vec![Layer { index: Some(0), name: hostile(), op: hostile(), rule: hostile(), origin: Some(hostile()) }];
    report.recipes = vec![Text { name: hostile(), text: Some(format!("{HOSTILE}\n{HOSTILE}")) }];
    report.facts = vec![(hostile(), hostile())];
    report.files = vec![File { role: hostile(), path: hostile(), sha256: hostile() }];
    report.failed = vec![Failed { path: hostile(), reason: hostile() }];
    report.notes = vec![hostile()];
    let mut hostile_sample = sample(HOSTILE);
    hostile_sample.top[0].label = hostile();
    hostile_sample.targets[0].title = hostile();
    hostile_sample.input = Shown::Nothing(hostile());
    let (html, _) = written(&report, &[hostile_sample], Limits::default());

    let (harmless, _) = written(&self::report(1), &[sample("a")], Limits::default());
    let count = |html: &str, what: &str| html.to_lowercase().matches(what).count();
    for what in ["<script", "</script", "<!--", "<style", "</style"] {
        assert_eq!(count(&html, what), count(&harmless, what), "{what}");
    }
    // In the data, quotes mean nothing to HTML.
    let page = html.split("<script").next().unwrap();
    for what in ["<img", "onload='", "alert(1)</script>", "\" onload"] {
        assert_eq!(count(page, what), 0, "{what}");
    }
    assert_eq!(count(&html, "<img"), 0);
    // In the data it comes back as it was.
    let data = &data(&html, "class=\"sample\"")[0];
    assert_eq!((&data["name"], &data["missing"]), (&HOSTILE.into(), &HOSTILE.into()));
    assert_eq!(data["targets"][0]["title"], HOSTILE);
}

#[test]
fn what_is_beyond_the_limits_is_left_out_and_counted() {
    let samples: Vec<Sample> = (0..30).map(|i| sample(&i.to_string())).collect();
    let (html, few) = written(&report(30), &samples, Limits { samples: 7, ..Limits::default() });
    assert_eq!((few.samples, data(&html, "class=\"sample\"").len()), (7, 7));
    assert_eq!(data(&html, "id=\"end\"")[0]["shown"], 7);
    assert_eq!(data(&html, "id=\"report\"")[0]["samples"], 30);

    let page = written(&report(30), &[], Limits::default()).1.bytes;
    let (_, small) = written(&report(30), &samples, Limits { bytes: page + 2000, ..Limits::default() });
    assert!((1..30).contains(&small.samples) && small.bytes < page + 6000, "{small:?}");
    assert_eq!(written(&report(30), &samples, Limits::default()).1.samples, 30);
}

#[test]
fn many_large_samples_are_coded_in_bytes_and_channels_are_the_first_to_go() {
    let shape = Shape { kind: Kind::Picture, channels: 3, height: 200, width: 200 };
    let sample =
        Sample { targets: vec![Target { relevance: vec![0.5; 3 * 200 * 200], ..Target::default() }], ..sample("a") };
    for (samples, maps, coding) in [(1, 4, "f32"), (50, 4, "q8"), (1000, 1, "q8")] {
        let report = Report { shape, samples, ..report(samples) };
        let (html, _) = written(&report, std::slice::from_ref(&sample), Limits::default());
        let target = &data(&html, "class=\"sample\"")[0]["targets"][0];
        assert_eq!(target["maps"].as_array().unwrap().len(), maps, "{samples} samples");
        assert!(target["maps"][0].get(coding).is_some(), "{samples} samples");
        assert_eq!(target["maps"][0]["max"], 1.5);
    }
}

#[test]
fn samples_that_do_not_go_with_the_report_are_errors() {
    let mut html = Vec::new();
    let mut writer = Writer::new(&mut html, &report(1), Limits::default()).unwrap();
    let mut short = sample("short");
    short.targets[0].relevance.pop();
    assert_eq!(writer.add(&short).unwrap_err().to_string(), "'short' has 11 numbers where the report expects 12");
    let mut wrong = sample("wrong");
    wrong.targets[0].ledger.pop();
    assert!(writer.add(&wrong).is_err());
    wrong.input = Shown::Values(vec![1.0]);
    assert!(writer.add(&wrong).is_err());
    // What is not known is left out.
    let nothing = Sample {
        input: Shown::Nothing("gone".into()),
        top: Vec::new(),
        targets: vec![Target::default()],
        ..sample("nothing")
    };
    assert!(writer.add(&nothing).unwrap());
}
