//! The account's dialog: its address, its sessions, its tasks as files.

use std::time::Duration;

use reqwest::{Method, header::USER_AGENT};
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, User, fresh_email, reply, two_users},
    browser::{Page, page_url, with_browser},
};
use thirtyfour::Key;
use tokio::time::{sleep, timeout};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// The fields of a task that are in a file, and that an import keeps.
const KEPT: [&str; 6] = ["title", "description", "status", "priority", "due_date", "tags"];

/// Opens the page and the account's dialog.
async fn open_account(page: &Page, user: &User) {
    page.open(&page_url()).await;
    page.sign_in(&user.email).await;
    open_dialog(page, &user.email).await;
}

async fn open_dialog(page: &Page, email: &str) {
    page.press_button(&format!("Account of {email}")).await;
    page.wait_for("the sessions", "document.querySelector('#account-dialog[open] .session')").await;
}

/// Begins a session as another browser would; its token.
async fn sign_in_with(user: &User, user_agent: &str) -> String {
    let body = json!({ "email": user.email, "password": PASSWORD });
    let request = user.api.request(Method::POST, "/users/signin").header(USER_AGENT, user_agent).json(&body);
    reply(request).await.expect(200).token()
}

#[tokio::test]
async fn a_new_address_needs_the_password_and_is_shown_at_once() {
    let (ada, bob) = two_users().await;
    let new = fresh_email();
    with_browser(async |page| {
        open_account(page, &ada).await;
        page.press_button("Change e-mail address").await;
        page.fill("New e-mail address", "nowhere").await;
        page.press_button("Change address").await;
        page.wait_for_text("Must be an e-mail address").await;
        assert_eq!(page.focused().await, "New e-mail address");
        page.replace_text(&bob.email).await;
        page.fill("Current password", "not this one").await;
        page.press(Key::Enter).await;
        page.wait_for_text("The current password is wrong.").await;
        assert_eq!(page.focused().await, "Current password");
        page.replace_text(PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for("the error at the address", "!document.getElementById('new-email-error').hidden").await;
        assert_eq!(page.focused().await, "New e-mail address", "it is another account's");
        page.replace_text(&new).await;
        page.press(Key::Enter).await;
        page.wait_for_text("Your e-mail address is changed.").await;
        assert_eq!(page.focused().await, format!("Account of {new}"));

        open_dialog(page, &new).await;
        assert_eq!(page.text("#account-address").await, new);
        assert_eq!(page.run("return document.getElementById('email-password').value").await, "");
    })
    .await;
    ada.api.sign_in(&ada.email, PASSWORD).await.expect(401);
    ada.api.sign_in(&new, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn sessions_are_listed_and_end_one_by_one_or_all_at_once() {
    let user = Api::shared().user().await;
    let firefox = sign_in_with(&user, FIREFOX).await;
    sign_in_with(&user, "my-script/1.0").await;
    with_browser(async |page| {
        open_account(page, &user).await;
        let devices = page.run("return [...document.querySelectorAll('.device')].map((it) => it.textContent)").await;
        let devices: Vec<String> = serde_json::from_value(devices).expect("names");
        assert!(devices[0].starts_with("Chrome on "), "the browser's own is the first: {devices:?}");
        assert_eq!(devices[1..], ["my-script/1.0", "Firefox on Linux", "Unknown device"], "the last used first");
        assert_eq!(page.text("#sessions").await.matches("This browser.").count(), 1);

        // One that had ended elsewhere leaves the list as the others do.
        user.api.send(Method::DELETE, &user.path("/sessions/current"), Some(&firefox), None).await.expect(204);
        page.press_button("End: Firefox on Linux").await;
        page.wait_for_text("Ended: Firefox on Linux.").await;
        assert_eq!(page.focused().await, "End: Unknown device", "the focus stays in the list");
        page.press(Key::Enter).await;
        page.wait_for_text("Ended: Unknown device.").await;
        assert_eq!(user.get("").await.status, 401);

        page.press_button("Sign out everywhere").await;
        page.wait_for_text("You are signed out everywhere.").await;
        page.reload().await;
        page.wait_for("the sign-in form", "!document.getElementById('sign-in').closest('[hidden]')").await;
    })
    .await;
    let sessions = user.signed_in_again().await.get("/sessions").await.expect(200).body;
    assert_eq!(sessions.as_array().expect("sessions").len(), 1);
}

#[tokio::test]
async fn ending_the_browsers_own_session_signs_out() {
    let user = Api::shared().user().await;
    with_browser(async |page| {
        open_account(page, &user).await;
        page.press_button(&format!("End: {}", page.text(".device").await)).await;
        page.wait_for_text("You are signed out.").await;
    })
    .await;
    assert_eq!(user.get("/sessions").await.expect(200).body.as_array().expect("sessions").len(), 1);
}

#[tokio::test]
async fn signing_out_everywhere_loses_no_change_without_a_word() {
    let user = Api::shared().user().await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        page.block(&["*/tasks*"]).await;
        page.fill("New task", "Not sent").await;
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Not sent"]).await;
        open_dialog(page, &user.email).await;
        page.press_button("Sign out everywhere").await;
        page.wait_for_text("1 change not sent yet would be lost.").await;
        page.press_button("Sign out everywhere").await;
        page.wait_for_text("You are signed out everywhere.").await;
    })
    .await;
}

#[tokio::test]
async fn sessions_that_cannot_be_loaded_are_asked_for_again() {
    let user = Api::shared().user().await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        page.block(&["*/sessions"]).await;
        page.press_button(&format!("Account of {}", user.email)).await;
        page.wait_for("the failure", "!document.getElementById('sessions-failure').hidden").await;
        page.block(&[]).await;
        page.press_button("Try again").await;
        page.wait_for("the sessions", "document.querySelectorAll('.session').length === 2").await;
    })
    .await;
}

/// Tasks of all kinds, the oldest first.
fn tasks_of_all_kinds() -> [Value; 4] {
    [
        json!({ "title": "Buy \"oat\" milk, 2 l", "tags": ["home", "shop"], "priority": 1 }),
        json!({ "title": "=1+1", "description": "- one\n- two", "status": "in_progress" }),
        json!({ "title": "شراء الحليب", "due_date": "2026-03-01T17:00:00.123456Z" }),
        json!({ "title": "Done", "status": "completed" }),
    ]
}

/// What an import keeps of tasks, in their order.
fn kept(tasks: &Value) -> Value {
    let tasks = tasks.as_array().expect("tasks").iter();
    tasks.map(|task| KEPT.map(|field| task[field].clone()).to_vec()).collect::<Vec<_>>().into()
}

/// Waits until a user's tasks are these, in this order.
async fn wait_for_tasks(user: &User, expected: &Value) {
    let are_there = async || kept(&user.get("/tasks").await.expect(200).body) == *expected;
    let wait = async {
        while !are_there().await {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.expect("the tasks");
}

/// Checks the name of a file, and returns its text.
fn named((name, text): (String, String), extension: &str) -> String {
    let day = name.strip_prefix("tasks-").and_then(|rest| rest.strip_suffix(extension)).expect("a name of ours");
    let is_day = day.len() == 10 && day.chars().all(|c| c.is_ascii_digit() || c == '-');
    assert!(is_day, "{name}");
    text
}

/// Chooses a file to import.
async fn choose(page: &Page, name: &str, text: &str) {
    let script = format!(
        "const [files, input] = [new DataTransfer(), document.getElementById('import-file')];
         files.items.add(new File([{}], {}));
         input.files = files.files;
         input.dispatchEvent(new Event('change'));",
        json!(text),
        json!(name)
    );
    page.run(&script).await;
}

#[tokio::test]
async fn all_tasks_go_out_as_json_and_come_in_again_in_their_order() {
    let (ada, bob) = two_users().await;
    for task in tasks_of_all_kinds() {
        ada.post("/tasks", &task).await.expect(201);
    }
    let original = ada.get("/tasks").await.expect(200).body;
    with_browser(async |page| {
        open_account(page, &ada).await;
        let text = named(page.download("Export as JSON").await, ".json");
        let exported: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(kept(&exported), kept(&original));
        assert_eq!(exported[0]["created_at"], original[0]["created_at"]);

        // The same tasks are not doubled unless one wants it.
        choose(page, "mine.json", &text).await;
        page.wait_for_text("No new tasks.").await;
        page.wait_for_text("4 tasks that you have already, with the same values.").await;
        assert_eq!(page.focused().await, "mine.json");
        page.tab_to("Import again").await;
        page.press(Key::Space).await;
        page.wait_for_text("Import 4 tasks").await;
        page.press_button("Cancel").await;
        assert_eq!(page.focused().await, "Import…");
        page.press_button("Close").await;
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;

        // Into another account, from a file with a byte order mark and one task more.
        let mut tasks = exported.as_array().expect("tasks").clone();
        tasks.insert(2, json!({ "title": " " }));
        page.sign_in(&bob.email).await;
        open_dialog(page, &bob.email).await;
        choose(page, "mine.json", &format!("\u{feff}{}", json!({ "tasks": tasks }))).await;
        page.wait_for_text("4 new tasks.").await;
        page.wait_for_text("1 task that cannot be imported:").await;
        page.wait_for_text("Number 3: The title is missing.").await;
        page.press_button("Import 4 tasks").await;
        page.wait_for_text("Imported: 4 tasks.").await;
        page.wait_for("the tasks", "document.querySelectorAll('.task').length === 4").await;
        wait_for_tasks(&bob, &kept(&original)).await;
    })
    .await;
}

#[tokio::test]
async fn all_tasks_go_out_as_csv_that_runs_nothing_in_a_spreadsheet() {
    let user = Api::shared().user().await;
    for task in tasks_of_all_kinds() {
        user.post("/tasks", &task).await.expect(201);
    }
    with_browser(async |page| {
        open_account(page, &user).await;
        let text = named(page.download("Export as CSV").await, ".csv");
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[0], "\u{feff}title,description,status,priority,due_date,tags,created_at,updated_at");
        assert!(lines[1].starts_with("Done,,completed,,,,20"), "{text}");
        assert!(lines[2].starts_with("شراء الحليب,,pending,,2026-03-0"), "{text}");
        assert!(lines[3].starts_with("'=1+1,\"'- one\n- two\",in_progress,,,,20"), "{text}");
        assert!(lines[4].starts_with("\"Buy \"\"oat\"\" milk, 2 l\",,pending,1,,\"home, shop\",20"), "{text}");
        assert_eq!((lines[5], lines.len()), ("", 6));
        let errors = page.console_errors().await;
        assert!(!errors.iter().any(|error| error.contains("Content Security Policy")), "{errors:?}");
    })
    .await;
}

#[tokio::test]
async fn a_file_is_judged_before_anything_is_imported() {
    let user = Api::shared().user().await;
    with_browser(async |page| {
        open_account(page, &user).await;
        for text in ["", "title,description\r\n", "{\"id\": 1}", "[1"] {
            choose(page, "other.json", text).await;
            page.wait_for_text("This file is not a list of tasks. Choose one that “Export as JSON” has made.").await;
            choose(page, "none.json", "[]").await;
            page.wait_for_text("There are no tasks in this file.").await;
        }
        let hostile = "<img src=x onerror=\"document.title='hacked'\">";
        let tasks = json!([
            { "title": "Good" },
            { "title": hostile, "priority": 5, "due_date": "2026-02-30T12:00:00Z" },
            { "title": "Tagged", "tags": ["a,b"] },
            { "title": "x".repeat(501) },
            { "title": "Long", "description": "x".repeat(5001) },
            17,
            { "title": "State", "status": "done" },
        ]);
        choose(page, "mixed.json", &tasks.to_string()).await;
        page.wait_for_text("1 new task.").await;
        let report = page.text("#import").await;
        for line in [
            "6 tasks that cannot be imported:",
            &format!("Number 2, “{hostile}”: The priority is not 1, 2, 3 or 4. The due date is not a time such as"),
            "Number 3, “Tagged”: A tag has a comma or a control character.",
            "The title has more than 500 characters.",
            "Number 5, “Long”: The description has more than 5,000 characters.",
            "Number 6: It is not a task.",
            "And 1 more.",
        ] {
            assert!(report.contains(line), "{line:?} in {report}");
        }
        for (width, scheme) in [(320, "light"), (1180, "dark")] {
            page.emulate_screen(width, 800, scheme).await;
            let violations = page.axe_violations().await;
            assert!(violations.is_empty(), "{violations:#?}");
            let overflow =
                "const it = document.getElementById('account-dialog'); return it.scrollWidth - it.clientWidth";
            assert_eq!(page.run(overflow).await, 0);
        }
        page.press_button("Cancel").await;
        assert_eq!(page.run("return document.querySelectorAll('.task, dialog img').length").await, 0);
    })
    .await;
    assert_eq!(user.get("/tasks").await.expect(200).body, json!([]));
}
