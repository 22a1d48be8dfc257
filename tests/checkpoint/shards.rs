//! Models in several files, and indices that are wrong.

use crate::support::archive::archive;
use crate::support::small_model::{
    load_both, small_safetensors, small_specs, small_torch, torch, value_of, write_small,
};
use sam2unet::checkpoint::{Format, FoundAs, Scope, WeightFile, find_model, load};
use sam2unet::nn::weights::WeightSource;
use std::fs;
use std::path::Path;
use zip::CompressionMethod;

const FILES: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// A small model in two files, and their index.
fn shards(folder: &Path) {
    let specs = small_specs(4);
    let parts = [&specs[..9], &specs[9..]];
    let mut map = serde_json::Map::new();
    for (file, part) in FILES.into_iter().zip(parts) {
        write_small(&folder.join(file), part);
        map.extend(part.iter().map(|spec| (spec.name.clone(), file.into())));
    }
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("writes");
}

#[test]
fn an_index_is_read_with_the_files_that_it_names() {
    let folder = tempfile::tempdir().expect("a folder");
    shards(folder.path());
    let specs = small_specs(4);
    let index = folder.path().join("model.safetensors.index.json");
    let file = WeightFile::open(&index).expect("opens");
    assert_eq!(file.format(), Format::Index);
    assert_eq!(load_both(&file, &specs, Scope::All).0, specs.iter().map(value_of).collect::<Vec<_>>());
    // a folder stands for it
    let found = find_model(folder.path()).expect("found");
    assert_eq!((found.kind, found.path), (FoundAs::InFolder, index));
    // a part alone is told to be one
    let part = WeightFile::open(&folder.path().join(FILES[0])).expect("opens");
    let message = load(&part, &specs, Scope::All).expect_err("a part").to_string();
    for told in ["missing 12", "by its name it is part 1 of 2: give the index", "model.safetensors.index.json"] {
        assert!(message.contains(told), "{told}: {message}");
    }
    let part = WeightFile::open(&folder.path().join(FILES[1])).expect("opens");
    let message = load(&part, &specs, Scope::All).expect_err("a part").to_string();
    assert!(message.contains("part 2 of 2"), "{message}");
    // an archive in one of the parts is as good
    fs::write(folder.path().join(FILES[1]), torch(&specs[9..])).expect("writes");
    let file = find_model(folder.path()).map(|found| WeightFile::open(&found.path)).expect("found").expect("opens");
    assert_eq!(load_both(&file, &specs, Scope::All).0, specs.iter().map(value_of).collect::<Vec<_>>());
}

#[test]
fn a_folder_of_other_programs_stands_for_its_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = |name: &str| {
        fs::write(folder.path().join(name), "").expect("writes");
        find_model(folder.path()).expect("found").path.file_name().map(|name| name.to_owned()).expect("a name")
    };
    for name in
        ["pytorch_model.bin.index.json", "pytorch_model.bin", "model.safetensors.index.json", "model.safetensors"]
    {
        assert_eq!(found(name), name);
    }
}

#[test]
fn wrong_indices_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    shards(folder.path());
    let path = folder.path().join("x.index.json");
    let message = |text: &str| {
        fs::write(&path, text).expect("writes");
        let message = WeightFile::open(&path).expect_err(text).to_string();
        assert!(message.contains("x.index.json") && !message.contains('\n'), "{message}");
        message
    };
    let [first, second] = FILES;
    let map = |map: &str| format!("{{\"metadata\": {{}}, \"weight_map\": {{{map}}}}}");
    let whole = fs::read_to_string(folder.path().join("model.safetensors.index.json")).expect("there");
    for (text, part) in [
        (map(""), "it names 0 files"),
        (
            map(r#""a": "../secret.safetensors""#),
            "`../secret.safetensors`, which is neither beside it nor in a folder below",
        ),
        (map(r#""a": "/etc/passwd""#), "which is neither beside it nor in a folder below"),
        (map(r#""a": "..""#), "which is neither beside it nor in a folder below"),
        (map(r#""a": """#), "which is neither beside it nor in a folder below"),
        (map(r#""a": "c:x""#), "which is neither beside it nor in a folder below"),
        (map(r#""a": "lost.safetensors""#), "is the index of 1 files, which must lie where it says"),
        (map(r#""a": "x.index.json""#), "names another index"),
        (map(r#""a": 3"#), "no index of weights"),
        (map(r#""a": "m", "a": "n""#), "two weights are called a"),
        ("{\"weight_map\": {\"a\": \"m\"}, \"weight_map\": {\"a\": \"m\"}}".into(), "stands there twice"),
        ("{\"weight_maps\": 1}".into(), "a text file"),
        ("{\"weight_map\": ".into(), "no index of weights"),
        ("[\"weight_map\"]".into(), "a text file"),
        (format!("{{\"weight_map\": {}", "[".repeat(100_000)), "no index of weights"),
        (map(&format!(r#""a": "{first}""#)), "it says that"),
        (whole.replace("}}", &format!(r#","extra": "{second}"}}}}"#)), "it says that"),
        (whole.replacen(first, second, 1), "it says that"),
    ] {
        let message = message(&text);
        assert!(message.contains(part), "{part}: {message}");
    }
    let many: Vec<String> = (0..1001).map(|i| format!(r#""w{i}": "f{i}""#)).collect();
    assert!(message(&map(&many.join(","))).contains("it names 1001 files; 1 to 1000 are read"));
    let index = whole.into_bytes();
    let message = WeightFile::from_bytes("x", index).expect_err("no folder").to_string();
    assert!(message.contains("open it by its path"), "{message}");
    // no safetensors file is taken for an index, whatever its names
    assert_eq!(
        WeightFile::from_bytes("x", small_safetensors(&small_specs(4))).expect("opens").format(),
        Format::Safetensors
    );
}

#[test]
fn a_spoilt_weight_is_told_with_its_file_and_its_whole_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let specs = small_specs(4);
    // wrapped as a whole, and one block by itself
    let rename = |name: &str| format!("net.{}", name.replace("blocks.0.", "blocks.0._orig_mod."));
    let (left, right) = specs.split_at(9);
    let mut map = serde_json::Map::new();
    for (file, part) in [("1.bin", left), ("2.bin", right)] {
        let (pickle, mut storages) = small_torch(part, "FloatStorage", &rename);
        if file == "2.bin" {
            let first = part.iter().position(|spec| spec.name.contains("blocks.0.")).expect("of the block");
            storages[first][4..8].copy_from_slice(&f32::NAN.to_le_bytes());
            assert_eq!(part[first].name, "encoder.blocks.0.block.attn.proj.bias");
        }
        fs::write(folder.path().join(file), archive(&pickle, &storages, CompressionMethod::Stored)).expect("writes");
        map.extend(part.iter().map(|spec| (rename(&spec.name), file.into())));
    }
    let path = folder.path().join("model.index.json");
    fs::write(&path, serde_json::json!({ "weight_map": map }).to_string()).expect("writes");
    let file = WeightFile::open(&path).expect("opens");
    let (mut loaded, _) = load(&file, &specs, Scope::All).expect("fits");
    let errors: Vec<_> = specs.iter().filter_map(|spec| loaded.value(spec).err()).collect();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    let told = format!(
        "{}: net.encoder.blocks.0._orig_mod.block.attn.proj.bias holds NaN at [1]",
        folder.path().join("2.bin").display()
    );
    assert!(error.to_string().contains(&told), "{error}");
}
