//! Makes a module of each function, so that the fuzzer calls the handlers that are deployed: all of them, and no others.

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    // Relative to this package, where cargo runs build scripts.
    let functions = Path::new("../../functions");
    println!("cargo::rerun-if-changed={}", functions.display());
    let mut folders: Vec<_> = fs::read_dir(functions).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();

    let (mut modules, mut calls) = (String::new(), String::new());
    for (index, folder) in folders.iter().enumerate() {
        let name = folder.file_name().unwrap().to_str().unwrap().replace('-', "_");
        let source = fs::read_to_string(folder.join("src/main.rs")).unwrap();
        write!(
            modules,
            "#[allow(dead_code)] mod {name} {{ {source}
                 static STATE: crate::AnyState = crate::AnyState::const_new();
                 pub async fn answer(event: &[u8]) -> Option<Vec<u8>> {{
                     crate::answer_with(&STATE, handle, event).await
                 }}
             }}\n"
        )
        .unwrap();
        writeln!(calls, "{index} => {name}::answer(event).await,").unwrap();
    }
    let count = folders.len();
    let code = format!(
        "{modules}
         pub async fn answer(function: usize, event: &[u8]) -> Option<Vec<u8>> {{
             match function % {count} {{ {calls} _ => None }}
         }}"
    );
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("functions.rs"), code).unwrap();
    // The functions that serve files include this. One set of files does for all of them.
    files::embed(files::read("../../functions/web/assets").unwrap()).unwrap();
}
