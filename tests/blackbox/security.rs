//! The tests that `SECURITY.md` refers to.

use std::{collections::BTreeSet, fs};

use tests::workspace::root;

#[test]
fn every_test_that_the_page_names_exists() {
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect();
    assert!(named.len() > 50, "{named:#?}");
    let missing: Vec<_> = named.into_iter().filter(|name| !is_a_test(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// `file::test` is one over HTTP or in a browser, `package::module::test` a unit test.
fn is_a_test(name: &str) -> bool {
    let (files, test) = match name.split("::").collect::<Vec<_>>()[..] {
        [file, test] => (["blackbox", "browser"].map(|folder| format!("tests/{folder}/{file}.rs")), test),
        [package, module, test] => {
            (["shared", "tools"].map(|folder| format!("{folder}/{package}/src/{module}.rs")), test)
        }
        _ => return false,
    };
    let head = format!("fn {test}(");
    files.iter().filter_map(|file| fs::read_to_string(root().join(file)).ok()).any(|source| {
        // What comes after each `#[test]` and `#[tokio::test]`.
        let mut heads = source.split("test]\n").skip(1).map(str::trim_start);
        heads.any(|rest| rest.strip_prefix("async ").unwrap_or(rest).starts_with(&head))
    })
}
