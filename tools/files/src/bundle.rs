//! One script of all modules that a page begins with, so that a browser asks once: a third less to load for a page of two
//! dozen modules, and no waiting for one after the other.
//!
//! The modules stay modules: each is a function of its own, which returns what it exports. This takes the forms of `import`
//! and `export` that our modules use, at the beginning of a line, and refuses all others.

use std::io;

use crate::File;

/// The module `entry` with all that it imports, in one.
///
/// # Errors
/// A module is missing, imports itself by way of others, or has a form of `import` or `export` that is not known here.
pub(crate) fn bundle(files: &[File], entry: &str) -> io::Result<String> {
    let mut bundle = Bundle { files, text: String::new(), done: Vec::new(), pending: Vec::new() };
    let Module { text, .. } = bundle.module(entry)?;
    Ok(bundle.text + &text)
}

struct Bundle<'a> {
    files: &'a [File],
    text: String,
    done: Vec<String>,
    /// The modules that are being read, each imported by the one before.
    pending: Vec<String>,
}

/// A module whose imports are names of what is before it in the bundle.
struct Module {
    text: String,
    exports: Vec<String>,
}

impl Bundle<'_> {
    fn add(&mut self, name: &str) -> io::Result<()> {
        if self.done.iter().any(|done| done == name) {
            return Ok(());
        }
        if self.pending.iter().any(|pending| pending == name) {
            return Err(io::Error::other(format!("{name} imports itself, by way of {:?}", self.pending)));
        }
        let Module { text, exports } = self.module(name)?;
        self.text +=
            &format!("const {} = (() => {{\n{text}return {{ {} }};\n}})();\n", variable(name), exports.join(", "));
        self.done.push(name.to_owned());
        Ok(())
    }

    fn module(&mut self, name: &str) -> io::Result<Module> {
        let missing = || io::Error::other(format!("there is no module {name}"));
        let (_, content) = self.files.iter().find(|(file, _)| file == name).ok_or_else(missing)?;
        let source = str::from_utf8(content).map_err(io::Error::other)?;
        self.pending.push(name.to_owned());
        let mut module = Module { text: String::new(), exports: Vec::new() };
        for line in source.split_inclusive('\n') {
            let unknown = || io::Error::other(format!("{name}: {line}"));
            if line.starts_with("import ") {
                let (names, from) = import(line).ok_or_else(unknown)?;
                self.add(from)?;
                module.text += &format!("const {{{names}}} = {};\n", variable(from));
            } else if let Some(declaration) = line.strip_prefix("export ") {
                module.exports.push(declared(declaration).ok_or_else(unknown)?.to_owned());
                module.text += declaration;
            } else {
                module.text += line;
            }
        }
        self.pending.pop();
        Ok(module)
    }
}

/// The names, as destructuring has them, and the module of `import { a, b as c } from "./module.js";`.
fn import(line: &str) -> Option<(String, &str)> {
    let (names, from) = line.strip_prefix("import {")?.split_once("} from \"./")?;
    Some((names.replace(" as ", ": "), from.trim_end().strip_suffix("\";")?))
}

/// The name that `function a() {`, `class A {` or `const a = 1;` declares.
fn declared(declaration: &str) -> Option<&str> {
    let declaration = declaration.strip_prefix("async ").unwrap_or(declaration);
    let (kind, rest) = declaration.split_once(' ')?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_$".contains(c))?;
    ["function", "class", "const"].contains(&kind).then_some(&rest[..end]).filter(|name| !name.is_empty())
}

/// What a module is called in the bundle.
fn variable(name: &str) -> String {
    format!("${}", name.trim_end_matches(".js").replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn files(contents: &[(&str, &str)]) -> Vec<File> {
        contents.iter().map(|(name, content)| ((*name).to_owned(), (*content).into())).collect()
    }

    #[test]
    fn each_module_is_there_once_and_before_those_that_import_it() {
        let files = files(&[
            ("web.js", "import { B } from \"./b.js\";\nimport { a, A } from \"./a.js\";\nnew B(a, A);\n"),
            ("b.js", "import { a as d } from \"./a.js\";\n\nexport class B {\n  c = d();\n}\n"),
            ("a.js", "export async function a() {}\nexport const A = 1;\n"),
        ]);
        let expected = "const $a = (() => {\nasync function a() {}\nconst A = 1;\nreturn { a, A };\n})();\n\
                        const $b = (() => {\nconst { a: d } = $a;\n\nclass B {\n  c = d();\n}\nreturn { B };\n})();\n\
                        const { B } = $b;\nconst { a, A } = $a;\nnew B(a, A);\n";
        assert_eq!(bundle(&files, "web.js").unwrap(), expected);
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        for other in [
            "import a from \"./a.js\";\n",
            "import * as a from \"./a.js\";\n",
            "import {\n  a,\n} from \"./a.js\";\n",
            "import { a } from \"./missing.js\";\n",
            "import { b } from \"./web.js\";\n",
            "export let b = 1;\n",
            "export default 1;\n",
            "export { b };\n",
        ] {
            let files = files(&[("web.js", other), ("a.js", "export const a = 1;\n")]);
            assert!(bundle(&files, "web.js").is_err(), "{other}");
        }
    }
}
