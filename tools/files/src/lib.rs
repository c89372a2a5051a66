//! For build scripts: embeds static files, compressed, into the function that serves them.
//!
//! ```ignore
//! // functions/web/build.rs, for GET / and GET /web/{asset}
//! fn main() -> std::io::Result<()> {
//!     files::embed(&files::read("assets")?)
//! }
//! ```
#![allow(clippy::print_stdout, reason = "build scripts talk to cargo on standard output")]

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

/// The name in the URL, empty for the page, and the content.
pub type File = (String, Vec<u8>);

/// Reads the files of a folder; `index.html` is the page. The build script runs again when they change.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn read(folder: &str) -> io::Result<Vec<File>> {
    println!("cargo::rerun-if-changed={folder}");
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok((if name == "index.html" { String::new() } else { name.into_owned() }, fs::read(path)?))
        })
        .collect()
}

/// Writes `files.rs` into `OUT_DIR`: `static FILES: api::Files`.
///
/// # Errors
/// A file's extension is unknown, or `OUT_DIR` cannot be written.
pub fn embed(files: &[File]) -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    embed_into(&out, files)
}

/// The code includes the files by relative paths, so that the folder can be moved.
fn embed_into(out: &Path, files: &[File]) -> io::Result<()> {
    let mut code = "static FILES: api::Files = api::Files(&[\n".to_owned();
    for (number, (name, content)) in files.iter().enumerate() {
        let plain = write(out, format!("{number}"), content)?;
        let gzip = gzip(content)?;
        let gzip = if gzip.len() < content.len() {
            format!("Some(include_bytes!({:?}))", write(out, format!("{number}.gz"), &gzip)?)
        } else {
            "None".to_owned()
        };
        let (media_type, hash) = (media_type(name)?, hash(content));
        writeln!(
            code,
            "api::File {{ name: {name:?}, media_type: {media_type:?}, hash: {hash:?}, \
             content: include_bytes!({plain:?}), gzip: {gzip} }},"
        )
        .map_err(io::Error::other)?;
    }
    code.push_str("]);\n");
    fs::write(out.join("files.rs"), code)
}

fn write(folder: &Path, name: String, content: &[u8]) -> io::Result<String> {
    fs::write(folder.join(&name), content)?;
    Ok(name)
}

/// Without a modification time or a name, so that builds are reproducible.
fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(content)?;
    gzip.finish()
}

/// The first 128 bits of SHA-256.
fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// By extension; the page has none.
fn media_type(name: &str) -> io::Result<&'static str> {
    Ok(match name.rsplit_once('.').map(|(_, extension)| extension) {
        None => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        Some(other) => return Err(io::Error::other(format!("{name}: no media type is known for .{other}"))),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn compression_keeps_the_content() {
        let content = "a task, and a task, and a task".repeat(100);
        let compressed = gzip(content.as_bytes()).unwrap();
        assert!(compressed.len() < content.len() / 10);
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*compressed).read_to_string(&mut text).unwrap();
        assert_eq!(text, content);
    }

    #[test]
    fn the_code_does_not_name_its_folder() {
        let out = tempfile::tempdir().unwrap();
        embed_into(out.path(), &[("a.txt".to_owned(), b"a task".repeat(100))]).unwrap();
        let code = fs::read_to_string(out.path().join("files.rs")).unwrap();
        assert!(code.contains("include_bytes!(\"0\")") && code.contains("include_bytes!(\"0.gz\")"), "{code}");
        assert!(!code.contains(out.path().to_str().unwrap()), "{code}");
    }

    #[test]
    fn a_hash_depends_on_the_content() {
        assert_eq!(hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223");
        assert_ne!(hash(b"abc"), hash(b"abd"));
    }

    #[test]
    fn every_file_has_a_media_type_or_is_refused() {
        assert_eq!(media_type("").unwrap(), "text/html; charset=utf-8");
        assert_eq!(media_type("a.min.js").unwrap(), "text/javascript; charset=utf-8");
        assert!(media_type("a.exe").is_err());
    }
}
