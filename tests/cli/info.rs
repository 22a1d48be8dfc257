//! `sam2unet info`.

use super::program::{done, refused, tiny, tiny_of_classes};
use sam2unet::data::{ClassKind, Classes};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The value of a line of the text.
fn line<'a>(text: &'a str, what: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(&format!("{what:<24}")));
    found.unwrap_or_else(|| panic!("no {what}: {text}"))
}

#[test]
fn a_variant_is_described_in_lines_and_in_json() {
    let here = Path::new(".");
    let text = done(here, &["info", "tiny"]);
    assert_eq!(line(&text, "variant"), "tiny");
    assert_eq!(line(&text, "channels per stage"), "96, 192, 384, 768");
    assert_eq!(line(&text, "blocks per stage"), "1, 2, 7, 2 (12 in all)");
    let json: Value = serde_json::from_str(&done(here, &["info", "tiny", "--json"])).unwrap();
    assert_eq!(json["variant"], "tiny");
    assert_eq!(json["channels_per_stage"], json!([96, 192, 384, 768]));
    assert_eq!(json["blocks_per_stage"], json!([1, 2, 7, 2]));
    assert_eq!(json["background_map"], json!([7, 7]));
    let all = line(&text, "parameters").replace(',', "");
    assert_eq!(json["parameters"]["all"].to_string(), all);
    // the name in another case is the same name
    assert_eq!(done(here, &["info", "TINY"]), text);
}

#[test]
fn a_file_is_described_in_lines_and_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tiny(&folder.join("model.safetensors"));
    let text = done(folder, &["info", "model.safetensors"]);
    assert_eq!(line(&text, "format"), "safetensors");
    assert_eq!(line(&text, "variant"), "tiny");
    let json: Value = serde_json::from_str(&done(folder, &["info", "model.safetensors", "--json"])).unwrap();
    for (key, value) in
        [("file", "model.safetensors"), ("format", "safetensors"), ("layout", "sam2-unet"), ("variant", "tiny")]
    {
        assert_eq!(json[key], value, "{json}");
    }
    assert_eq!(json["section"], json!([]));
    assert_eq!(json["tensors"].to_string(), line(&text, "tensors"));
    let rfb = &json["parts"]["rfb"];
    let (tensors, parameters) = line(&text, "  RFB").split_once(" tensors, ").unwrap();
    assert_eq!(rfb["tensors"].to_string(), tensors);
    assert_eq!(format!("{} parameters", rfb["parameters"]), parameters.replace(',', ""));
    let sum: u64 = json["parts"].as_object().unwrap().values().map(|part| part["parameters"].as_u64().unwrap()).sum();
    assert_eq!(json["parameters"]["all"], sum);
    // of this size, by its variant
    let variant: Value = serde_json::from_str(&done(folder, &["info", "tiny", "--json"])).unwrap();
    assert_eq!(json["parameters"], variant["parameters"]);
    // a file that is called like a variant in another case is a file
    fs::rename(folder.join("model.safetensors"), folder.join("Tiny")).unwrap();
    assert_eq!(line(&done(folder, &["info", "Tiny"]), "file"), "Tiny");
}

#[test]
fn what_is_neither_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "text").unwrap();
    for json in [&[][..], &["--json"]] {
        let unknown = refused(folder.path(), &[&["info", "huge"], json].concat());
        assert_eq!(unknown, "`huge` is neither a file nor a variant (tiny, small, base-plus, large)");
        let text = refused(folder.path(), &[&["info", "notes.txt"], json].concat());
        assert!(text.contains("notes.txt: not a weight file"), "{text}");
    }
}

#[test]
fn classes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = folder.join("model.safetensors");
    let json = || -> Value { serde_json::from_str(&done(folder, &["info", "model.safetensors", "--json"])).unwrap() };
    let names = ["background", "größe"].map(String::from);
    let classes = Classes::named(ClassKind::Exclusive, names).unwrap();
    tiny_of_classes(&model, 2, &[classes.metadata()]);
    let text = done(folder, &["info", "model.safetensors"]);
    assert_eq!(line(&text, "classes"), "2, exclusive");
    assert_eq!((line(&text, "  0"), line(&text, "  1")), ("background (#000000)", "größe (#800000)"));
    assert!(!text.contains("classes = "), "{text}");
    let told = json();
    assert_eq!(told["classes"]["kind"], "exclusive");
    assert_eq!(told["classes"]["list"][1], json!({"name": "größe", "colour": [128, 0, 0]}));
    assert_eq!((&told["channels"], &told["no_classes"]), (&json!(2), &Value::Null));
    // one class without a name
    tiny(&model);
    assert!(!done(folder, &["info", "model.safetensors"]).contains("classes"));
    let told = json();
    assert_eq!((&told["channels"], &told["classes"]), (&json!(1), &Value::Null));
}
