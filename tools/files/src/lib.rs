//! For build scripts: embeds static files, compressed, into the function that serves them.
//!
//! ```ignore
//! // functions/web/build.rs, for GET /, GET /web/{asset} and GET /web/releases/{version}/{asset}
//! fn main() -> std::io::Result<()> {
//!     files::embed(files::read("assets")?)
//! }
//! ```
//!
//! All files of a function have one version, a hash of them all. Where a file has [`VERSION`], it gets that version, so that
//! a page asks for the files of its own release by names of their own.
#![allow(clippy::print_stdout, reason = "build scripts talk to cargo on standard output")]

mod bundle;
mod minify;

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use brotli::enc::BrotliEncoderParams;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

/// The name in the URL, empty for the page, and the content.
pub type File = (String, Vec<u8>);

/// What stands for the version in a file.
pub const VERSION: &str = "__VERSION__";

/// The module that a page begins with: it is served with all that it imports in one.
const ENTRY: &str = "web.js";

/// Reads the files of a folder, minified; `index.html` is the page. The build script runs again when they change.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn read(folder: &str) -> io::Result<Vec<File>> {
    println!("cargo::rerun-if-changed={folder}");
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = |path: &PathBuf| Ok((name(path).replace("index.html", ""), fs::read(path)?));
    let mut files = paths.iter().map(read).collect::<io::Result<Vec<File>>>()?;
    if let Some(index) = files.iter().position(|(name, _)| name == ENTRY) {
        files[index].1 = bundle::bundle(&files, ENTRY)?.into_bytes();
    }
    files.into_iter().map(|(name, content)| Ok((name.clone(), minify::minified(&name, content)?))).collect()
}

/// Writes `files.rs` into `OUT_DIR`: `static FILES: api::Files`.
///
/// # Errors
/// A file's extension is unknown, or `OUT_DIR` cannot be written.
pub fn embed(files: Vec<File>) -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?);
    embed_into(&out, files)
}

/// The code includes the files by relative paths, so that the folder can be moved.
fn embed_into(out: &Path, mut files: Vec<File>) -> io::Result<()> {
    let version = version(&files);
    fill_in(&mut files, &version);
    let inline_scripts = files.iter().filter(|(name, _)| name.is_empty()).map(|(_, page)| inline_scripts(page));
    let inline_scripts: String = inline_scripts.collect();
    let mut code = format!(
        "static FILES: api::Files = api::Files {{\n\
         version: {version:?}, inline_scripts: {inline_scripts:?}, files: &[\n"
    );
    for (number, (name, content)) in files.iter().enumerate() {
        let plain = write(out, format!("{number}"), content)?;
        let shorter = |extension: &str, compressed: Vec<u8>| {
            Ok::<_, io::Error>(if compressed.len() < content.len() {
                format!("Some(include_bytes!({:?}))", write(out, format!("{number}.{extension}"), &compressed)?)
            } else {
                "None".to_owned()
            })
        };
        let (gzip, brotli) = (shorter("gz", gzip(content)?)?, shorter("br", brotli(content)?)?);
        let (media_type, hash) = (media_type(name)?, hash(content));
        writeln!(
            code,
            "api::File {{ name: {name:?}, media_type: {media_type:?}, hash: {hash:?}, \
             content: include_bytes!({plain:?}), gzip: {gzip}, brotli: {brotli} }},"
        )
        .map_err(io::Error::other)?;
    }
    code.push_str("]};\n");
    fs::write(out.join("files.rs"), code)
}

/// The first 64 bits of a hash of all names and contents.
fn version(files: &[File]) -> String {
    let parts = files.iter().flat_map(|(name, content)| [hash(name.as_bytes()), hash(content)]);
    let mut version = hash(parts.collect::<String>().as_bytes());
    version.truncate(16);
    version
}

/// Replaces [`VERSION`].
fn fill_in(files: &mut [File], version: &str) {
    for (_, content) in files {
        if let Ok(text) = str::from_utf8(content) {
            *content = text.replace(VERSION, version).into_bytes();
        }
    }
}

/// What allows the inline scripts of a page in a `Content-Security-Policy`, for `script-src`: a hash of each.
fn inline_scripts(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let scripts = page.split("<script>").skip(1).filter_map(|rest| Some(rest.split_once("</script>")?.0));
    scripts.fold(String::new(), |text, script| {
        text + &format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script)))
    })
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

/// At its best, which takes many seconds for a megabyte; at nearly its best in a development build.
fn brotli(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let quality = if cfg!(debug_assertions) { 9 } else { 11 };
    let parameters = BrotliEncoderParams { quality, size_hint: content.len(), ..BrotliEncoderParams::default() };
    brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters)?;
    Ok(compressed)
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

        let (compressed, mut text) = (brotli(content.as_bytes()).unwrap(), Vec::new());
        assert!(compressed.len() < content.len() / 10);
        brotli::BrotliDecompress(&mut &*compressed, &mut text).unwrap();
        assert_eq!(text, content.as_bytes());
    }

    #[test]
    fn the_code_does_not_name_its_folder() {
        let out = tempfile::tempdir().unwrap();
        embed_into(out.path(), vec![("a.txt".to_owned(), b"a task".repeat(100))]).unwrap();
        let code = fs::read_to_string(out.path().join("files.rs")).unwrap();
        assert!(code.contains("include_bytes!(\"0\")") && code.contains("include_bytes!(\"0.gz\")"), "{code}");
        assert!(!code.contains(out.path().to_str().unwrap()), "{code}");
    }

    fn files(contents: [(&str, &str); 2]) -> Vec<File> {
        contents.map(|(name, content)| (name.to_owned(), content.into())).to_vec()
    }

    #[test]
    fn every_change_of_a_file_makes_another_version() {
        let one = version(&files([("", "page"), ("a.js", "x")]));
        assert_eq!(one.len(), 16);
        for other in [
            [("", "pag"), ("a.js", "x")],
            [("", "page"), ("a.js", "y")],
            [("", "page"), ("b.js", "x")],
            [("", "page"), ("a.j", "sx")],
            [("a.js", "x"), ("", "page")],
        ] {
            assert_ne!(version(&files(other)), one, "{other:?}");
        }
    }

    #[test]
    fn files_get_their_version() {
        let mut files = files([("", "__VERSION__/a.js __VERSION__"), ("a.js", "1")]);
        files.push(("b.png".to_owned(), b"\xff__VERSION__".to_vec()));
        fill_in(&mut files, "1f");
        assert_eq!(files[0].1, b"1f/a.js 1f");
        assert_eq!(files[2].1, b"\xff__VERSION__");
    }

    #[test]
    fn inline_scripts_are_allowed_by_their_hashes() {
        let page = b"<script>abc</script><script src=a.js></script>\n<script>\n</script>";
        assert_eq!(
            inline_scripts(page),
            " 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=' \
             'sha256-AbpHGcgLb+kRsJGnwFEktk7uzpZOCcBY74+YBdrKVGs='"
        );
        assert_eq!(inline_scripts(b"<script src=a.js></script>"), "");
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
