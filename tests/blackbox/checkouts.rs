//! Checkouts that are copied or moved, and those whose programs were built in another: each has its own data.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

use crate::stack::{Database, checkout, copy, error_of, folder, free_ports, xtask};

#[test]
fn the_data_that_is_removed_is_that_of_the_checkout_one_is_in() {
    let folder = folder();
    let one = checkout(&folder);
    let keys = |checkout: &Path| checkout.join(".local/dev/keys");
    fs::write(keys(&one), "one's").unwrap();
    let [copied, moved] = ["copy", "moved"].map(|name| one.with_file_name(name));
    copy(&one, &copied);
    let clean = |folder: &Path| xtask(folder, &["clean-data"]).output().unwrap();

    assert!(clean(&copied.join("tools/cli")).status.success());
    assert!(!keys(&copied).exists() && keys(&one).exists(), "from a subfolder of a copy");

    fs::write(keys(&copied), "the copy's").unwrap();
    fs::rename(&copied, &moved).unwrap();
    assert!(clean(&moved).status.success());
    assert!(!keys(&moved).exists() && keys(&one).exists() && !copied.exists(), "after a move");

    fs::write(keys(&moved), "the moved one's").unwrap();
    assert!(error_of(&clean(folder.path())).contains("is not in a checkout of this project"));
    let mut of_two = xtask(&moved, &["clean-data"]);
    let error = error_of(&of_two.env("CARGO_MANIFEST_DIR", one.join("tools/cli")).output().unwrap());
    assert!(error.contains(moved.to_str().unwrap()) && error.contains(one.to_str().unwrap()), "{error}");
    assert!(keys(&one).exists() && keys(&moved).exists());
    // As `cargo run --manifest-path` does from anywhere.
    let mut named = xtask(folder.path(), &["clean-data"]);
    assert!(named.env("CARGO_MANIFEST_DIR", moved.join("tools/cli")).output().unwrap().status.success());
    assert!(keys(&one).exists() && !keys(&moved).exists());
}

#[test]
fn a_copy_leaves_a_running_stack_alone_and_a_moved_checkout_finds_what_is_its_own() {
    let folder = folder();
    let one = checkout(&folder);
    let [copied, moved] = ["copy", "moved"].map(|name| one.with_file_name(name));
    let mut original = Database::start(&one, free_ports());

    // The copy has the original's list of processes and its PostgreSQL's lock file.
    copy(&one, &copied);
    let mut of_the_copy = Database::start(&copied, free_ports());
    original.assert_is_up();
    of_the_copy.assert_is_up();
    of_the_copy.stop();
    original.assert_is_up();

    let port = original.port;
    original.kill();
    fs::rename(&one, &moved).unwrap();
    let mut again = Database::start(&moved, port);
    assert!(again.output.contains("left by a run that was killed"), "{}", again.output);
    again.assert_is_up();
    again.stop();
    assert!(!one.exists(), "nothing is made in the old place");
}

#[test]
fn a_postmaster_pid_is_believed_only_of_a_postgresql_on_this_data() {
    let folder = folder();
    let one = checkout(&folder);
    let data = one.join(".local/dev/postgres/data");
    let first = Database::start(&one, free_ports());
    let status = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let (pid, rest) = status.split_once('\n').unwrap();
    let pid: u32 = pid.parse().unwrap();

    // A PostgreSQL in no list of processes.
    first.kill();
    let pids = one.join(".local/dev/pids");
    let left = fs::read_to_string(&pids).unwrap();
    fs::remove_file(&pids).unwrap();
    let refused = xtask(&one, &["db", "--dev-port", &free_ports().to_string()]).output().unwrap();
    let error = error_of(&refused);
    assert!(error.contains(&format!("PostgreSQL (pid {pid}) runs on")), "{error}");
    assert!(error.contains(&format!("`kill -INT {pid}`")), "{error}");
    fs::write(&pids, left).unwrap();
    Database::start(&one, free_ports()).stop();

    // After a reboot the pid may be that of any program of the same user's.
    let owner = fs::metadata(&data).unwrap();
    let mut other = Command::new("sleep").arg("1000").uid(owner.uid()).gid(owner.gid()).spawn().unwrap();
    fs::write(data.join("postmaster.pid"), format!("{}\n{rest}", other.id())).unwrap();
    let mut again = Database::start(&one, free_ports());
    again.assert_is_up();
    again.stop();
    assert!(other.try_wait().unwrap().is_none(), "the other program goes on");
    other.kill().unwrap();
    other.wait().unwrap();

    // Whatever else is wrong with the data, the message says what to do.
    fs::remove_file(data.join("global/pg_control")).unwrap();
    let error = error_of(&xtask(&one, &["db", "--dev-port", &free_ports().to_string()]).output().unwrap());
    assert!(error.contains("pg_control") && error.contains("`make clean-data`"), "{error}");
}
