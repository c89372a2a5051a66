//! A day of a person who keeps the page open: whatever happens on the way, page and server end equal.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tests::{
    api::{Api, User},
    browser::{Page, with_browser},
    relay::Relay,
    server::{Settings, TestServer},
};
use thirtyfour::Key;

const ACTIONS: u32 = 200;

/// The same numbers in every run (Numerical Recipes' constants).
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % sides
    }
}

/// What a task is, as the page tells it or the server.
fn facts(task: &Value) -> String {
    json!([task["title"], task["completed"], task["tags"], task["priority"]]).to_string()
}

async fn on_page(page: &Page) -> BTreeSet<String> {
    let script = r#"
        return [...document.querySelectorAll(".task")].map((task) => ({
            title: task.querySelector(".title").textContent,
            completed: task.querySelector(".check").checked,
            tags: [...task.querySelectorAll(".chip.tag")].map((chip) => chip.textContent.slice(1)),
            priority: Number(/Priority (\d)/.exec(task.querySelector(".facts").textContent)?.[1]) || null,
        }));"#;
    page.run(script).await.as_array().expect("tasks").iter().map(facts).collect()
}

async fn on_server(user: &User) -> BTreeSet<String> {
    let tasks = user.get("/tasks?limit=100").await.expect(200).body;
    tasks.as_array().expect("tasks").iter().map(facts).collect()
}

/// Types a new task, as a person does.
async fn add(page: &Page, text: &str) {
    page.tab_to("New task").await;
    page.type_text(text).await;
    page.press(Key::Enter).await;
}

async fn act(page: &Page, dice: &mut Dice, number: u32) {
    let titles = page.titles().await;
    let title = (!titles.is_empty()).then(|| titles[dice.roll(titles.len())].clone());
    match (dice.roll(10), title) {
        (0..=2, _) | (_, None) => {
            let extra = ["", " #home", " !1", " #shop #home !3"][dice.roll(4)];
            add(page, &format!("Task {number}{extra}")).await;
        }
        (3..=5, Some(title)) => page.tick(&title).await,
        (6 | 7, Some(title)) => page.edit_title(&title, &format!("{title}, {number}")).await,
        (8, Some(title)) => {
            page.focus_task(&title).await;
            page.press(Key::Delete).await;
        }
        (_, Some(_)) => {
            page.run("document.querySelector('#undo button:not([hidden])')?.click()").await.as_null().unwrap_or(())
        }
    }
}

#[tokio::test]
async fn a_whole_day_with_failures_of_the_network_leaves_page_and_server_equal() {
    // The session is renewed many times.
    let server = TestServer::start(&Settings::shared().with("TOKEN_LIFETIME_SECONDS", "20"));
    let (relay, url) = Relay::in_front_of(&server.api.url("/")).await;
    let user = Api::shared().user().await;
    with_browser(async |page| {
        page.open(&url).await;
        page.sign_in(&user.email).await;
        let mut dice = Dice(14);
        for number in 0..ACTIONS {
            match number {
                40 | 90 | 140 => {
                    relay.lose_next_answer();
                    relay.refuse(true);
                    relay.cut();
                }
                55 | 105 | 155 => relay.refuse(false),
                75 | 145 => page.reload().await,
                _ => {}
            }
            if number == 145 {
                page.wait_for_list().await;
            }
            act(page, &mut dice, number).await;
        }
        page.wait_until_sent().await;
        // A deletion is held back until it cannot be undone any more.
        while on_page(page).await != on_server(&user).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let conflicts = page.run("return document.querySelectorAll('.task .note').length").await;
        assert_eq!(conflicts, 0, "there is one person only, who cannot be at odds with himself");
        assert!(on_page(page).await.len() > 20);
        let refreshes = server.requests().iter().filter(|line| line["route"] == "POST /users/token").count();
        assert!(refreshes > 1, "the session was renewed");
    })
    .await;
}
