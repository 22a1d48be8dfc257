//! Files that are cut off, and such that are no weight files.

use crate::support::small_model::{failure, open, small_safetensors, small_specs, torch};
use sam2unet::checkpoint::WeightFile;
use std::io::Cursor;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[test]
fn truncated_files_are_named() {
    let specs = small_specs(4);
    for whole in [small_safetensors(&specs), torch(&specs)] {
        let step = (whole.len() / 150).max(1);
        for length in (1..whole.len()).step_by(step).chain([8, 9, whole.len() - 1]) {
            failure(whole[..length].to_vec(), &specs);
        }
    }
    assert!(failure(Vec::new(), &specs).contains("it is empty"));
    let cut = small_safetensors(&specs);
    assert!(failure(cut[..cut.len() - 1].to_vec(), &specs).contains("truncated"));
    assert!(failure(cut[..100].to_vec(), &specs).contains("truncated"));
    let cut = torch(&specs);
    assert!(failure(cut[..cut.len() - 1].to_vec(), &specs).contains("truncated"));
}

#[test]
fn things_that_are_no_weight_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let message = WeightFile::open(folder.path()).expect_err("a folder").to_string();
    assert!(message.contains("it is a folder"), "{message}");
    let message = WeightFile::open(&folder.path().join("none.pth")).expect_err("missing").to_string();
    assert!(message.contains("none.pth"), "{message}");
    let path = folder.path().join("x.safetensors");
    for (bytes, part) in [
        (&b""[..], "it is empty"),
        (b"just some text, no weights", "a text file"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        (b"\x80\x02}q\x00.", "a bare pickle"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "ends in the middle"),
        (&[&[0; 257][..], b"ustar"].concat(), "a tar archive"),
        (b"\x00\x01\x02\x03\x04\x05", "neither a safetensors file nor a PyTorch archive"),
    ] {
        std::fs::write(&path, bytes).expect("writes");
        let message = WeightFile::open(&path).expect_err(part).to_string();
        assert!(message.contains(part) && message.contains("x.safetensors"), "{message}");
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("photo.txt", SimpleFileOptions::default()).expect("entry");
    let message = open(zip.finish().expect("archive").into_inner()).expect_err("no weights").to_string();
    assert!(message.contains("torch.save did not write"), "{message}");
}
