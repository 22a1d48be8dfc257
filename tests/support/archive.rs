//! The archive that `torch.save` writes.

use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub fn archive(pickle: &[u8], storages: &[Vec<u8>], method: CompressionMethod) -> Vec<u8> {
    archive_in("small", pickle, storages, method)
}

/// In a folder of that name, as the file's name without its ending is.
pub fn archive_in(root: &str, pickle: &[u8], storages: &[Vec<u8>], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let entry = |zip: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, bytes: &[u8]| {
        zip.start_file(name, options).expect("entry");
        zip.write_all(bytes).expect("bytes");
    };
    entry(&mut zip, &format!("{root}/data.pkl"), pickle);
    entry(&mut zip, &format!("{root}/byteorder"), b"little");
    entry(&mut zip, &format!("{root}/version"), b"3\n");
    for (i, bytes) in storages.iter().enumerate() {
        entry(&mut zip, &format!("{root}/data/{i}"), bytes);
    }
    zip.finish().expect("archive").into_inner()
}
