//! Takes the comments out of files: a fifth of what a browser would load.
//!
//! Only comments that have their lines for themselves, so that a line tells what it is, and no grammar is needed. The lines
//! stay, empty, so that a browser's line numbers are those of the source.

/// A script, a style sheet or a page without its comments; any other file as it is.
pub(crate) fn without_comments(name: &str, content: Vec<u8>) -> Vec<u8> {
    let strip = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js" | "css") => strip,
        Some("html") => strip_page,
        _ => return content,
    };
    String::from_utf8(content).map_or_else(|binary| binary.into_bytes(), |text| strip(&text).into_bytes())
}

fn strip(text: &str) -> String {
    let (mut is_comment, mut is_template) = (false, false);
    let line = |line: &str| {
        let (start, all) = (line.trim_start(), line.trim_end());
        if is_comment {
            let rest = all.split_once("*/").map(|(_, rest)| rest);
            is_comment = rest.is_none();
            return rest.unwrap_or_default().to_owned();
        }
        // What a template literal says may look like a comment.
        if !is_template && (start.starts_with("//") || start.starts_with("/*")) {
            let rest = start.split_once("*/").map(|(_, rest)| rest.trim_end());
            is_comment = start.starts_with("/*") && rest.is_none();
            if start.starts_with("//") || rest.unwrap_or_default().is_empty() {
                return String::new();
            }
        }
        is_template ^= line.matches('`').count() % 2 == 1;
        all.to_owned()
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Those of its scripts.
fn strip_page(text: &str) -> String {
    let mut parts = text.split("<script>");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (script, rest) = part.split_once("</script>").unwrap_or((part, ""));
        page = format!("{page}<script>{}</script>{rest}", strip(script));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(name: &str, text: &str) -> String {
        String::from_utf8(without_comments(name, text.into())).unwrap()
    }

    #[test]
    fn comments_go_and_lines_stay() {
        let script =
            "// What it is.\n\n/** One. */\nconst a = 1; // why\n  /**\n   * Two.\n   */\n  b(\"//\", '/*');\n";
        assert_eq!(stripped("a.js", script), "\n\n\nconst a = 1; // why\n\n\n\n  b(\"//\", '/*');\n");
        assert_eq!(
            stripped("a.css", "/* One,\n   two. */\na {\n  /* b */ color: red;\n}"),
            "\n\na {\n  /* b */ color: red;\n}"
        );
        assert_eq!(stripped("a.css", "/*\n*/ a {}\n/**/\nb {}"), "\n a {}\n\nb {}");
    }

    #[test]
    fn a_template_literal_keeps_what_looks_like_a_comment() {
        let script = "const a = `\n// one\n  /* two\n`; const b = `c`;\n// d\n";
        assert_eq!(stripped("a.js", script), "const a = `\n// one\n  /* two\n`; const b = `c`;\n\n");
    }

    #[test]
    fn of_a_page_only_the_scripts_are_changed() {
        let page = "// a\n<script>\n  // b\n  c();\n</script>\n/* d */\n<script>// e</script>";
        let kept = "// a\n<script>\n\n  c();\n</script>\n/* d */\n<script></script>";
        assert_eq!(stripped("index.html", page), kept);
    }

    #[test]
    fn other_files_are_left_alone() {
        for name in ["a.json", "a.svg", "a.png", "a"] {
            assert_eq!(stripped(name, "// a\n"), "// a\n", "{name}");
        }
        assert_eq!(without_comments("a.js", b"\xff\n// a".to_vec()), b"\xff\n// a");
    }
}
