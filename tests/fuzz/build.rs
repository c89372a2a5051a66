//! Makes a module of each function, so that the fuzzer calls the handlers that are deployed: all of them, and none
//! but them.

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    // Relative to this package, in which cargo runs this, wherever it has been copied or moved since this was built.
    let functions = Path::new("../../functions");
    println!("cargo::rerun-if-changed={}", functions.display());
    let mut folders: Vec<_> = fs::read_dir(functions).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();

    let (mut modules, mut calls) = (String::new(), String::new());
    for folder in &folders {
        let name = folder.file_name().unwrap().to_str().unwrap().replace('-', "_");
        let source = fs::read_to_string(folder.join("src/main.rs")).unwrap();
        // `async fn handle(app: &App, …`
        let (_, state) = source.split_once("async fn handle(").unwrap().1.split_once('&').unwrap();
        let state = state.split_once(',').unwrap().0;
        write!(
            modules,
            "#[allow(dead_code)] mod {name} {{ {source}
                 static STATE: tokio::sync::OnceCell<api::{state}> = tokio::sync::OnceCell::const_new();
                 pub async fn answer(event: &[u8]) -> Option<Vec<u8>> {{
                     let start = async || <api::{state} as api::State>::start().await.unwrap();
                     api::invoke(STATE.get_or_init(start).await, handle, event).await.ok()
                 }}
             }}\n"
        )
        .unwrap();
        writeln!(calls, "{} => {name}::answer(event).await,", folders.iter().position(|f| f == folder).unwrap()).unwrap();
    }
    let count = folders.len();
    let code = format!(
        "{modules}
         pub async fn answer(function: usize, event: &[u8]) -> Option<Vec<u8>> {{
             match function % {count} {{ {calls} _ => None }}
         }}"
    );
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("functions.rs"), code).unwrap();
}
