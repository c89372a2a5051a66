//! Scripts without comments, indentation and line breaks: a third less to load, once compressed.

use std::io;

/// A script, or the page with its scripts, minified; any other file as it is.
///
/// # Errors
/// The file is not UTF-8, or the minifier does not understand it.
pub(crate) fn minified(name: &str, content: Vec<u8>) -> io::Result<Vec<u8>> {
    let minify = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => script,
        None => page,
        _ => return Ok(content),
    };
    let text = String::from_utf8(content).map_err(io::Error::other)?;
    minify(&text).map(String::into_bytes).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

fn script(text: &str) -> Result<String, &'static str> {
    Ok(minifier::js::minify(text)?.to_string())
}

/// Its scripts; all else may be text to read.
fn page(text: &str) -> Result<String, &'static str> {
    let (first, others) = text.split_once("<script>").map_or((text, None), |(first, rest)| (first, Some(rest)));
    let mut page = first.to_owned();
    for part in others.into_iter().flat_map(|others| others.split("<script>")) {
        let (inline, rest) = part.split_once("</script>").unwrap_or((part, ""));
        page = format!("{page}<script>{}</script>{rest}", script(inline)?);
    }
    Ok(page)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn minified_text(name: &str, text: &str) -> String {
        String::from_utf8(minified(name, text.into()).unwrap()).unwrap()
    }

    #[test]
    fn comments_and_white_space_go_and_strings_stay() {
        let text = "// What it is.\n/** One. */\nexport const a = `// ${b} /* c */`; // why\n\nf(\"//\", /\\/\\//u);\n";
        assert_eq!(minified_text("a.js", text), "export const a=`// ${b} /* c */`;f(\"//\",/\\/\\//u);");
    }

    #[test]
    fn of_a_page_only_the_scripts_are_changed() {
        let page = "<p> a </p>\n<script>\n  // b\n  c();\n</script>\n<p>// d</p>";
        assert_eq!(minified_text("", page), "<p> a </p>\n<script>c();</script>\n<p>// d</p>");
        assert_eq!(minified_text("", "<p> a </p>"), "<p> a </p>");
    }

    #[test]
    fn other_files_are_left_alone() {
        assert_eq!(minified_text("a.css", "a :b {}\n"), "a :b {}\n");
        assert_eq!(minified("a.png", b"\xff // a".to_vec()).unwrap(), b"\xff // a");
        assert!(minified("a.js", b"\xff".to_vec()).is_err());
    }
}
