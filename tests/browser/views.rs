//! How the page looks: for everybody, on every screen, in light and in dark. The pictures are kept.

use serde_json::json;
use tests::{
    api::{Api, PASSWORD, User},
    browser::{Page, browse},
};
use thirtyfour::Key;

use crate::page_url;

/// Width and height of a screen, and how it is called.
const SCREENS: [(u32, u32, &str); 2] = [(390, 800, "phone"), (1180, 800, "desktop")];

/// A user with something of everything in the list.
async fn user() -> User {
    let (api, email) = (Api::shared(), "ada.lovelace@example.com".to_owned());
    let id = api.sign_up(&email).await.expect(201).body["id"].as_str().expect("an id").to_owned();
    let token = api.sign_in(&email, PASSWORD).await.expect(200).token();
    let user = User { api, id, email, token };
    let long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft".repeat(2);
    for (title, description) in [
        (long.as_str(), None),
        ("شراء الحليب", None),
        ("Return the library books", None),
        ("Water the plants", Some("The fern every day, the cactus once a month.")),
        ("Buy milk, bread and something for Sunday", None),
        ("Send the invoice for November", Some("With the two extra days.\nAsk whether they want it on paper again.")),
        ("Book the train to Vienna", Some("Window seat, before ten.")),
    ] {
        let task = user.post("/tasks", &json!({ "title": title, "description": description })).await.expect(201).body;
        if title.starts_with("Return") || title.starts_with("Buy") {
            let path = format!("/tasks/{}", task["id"].as_str().expect("an id"));
            user.put(&path, &json!({ "completed": true })).await.expect(200);
        }
    }
    user
}

/// Looks at a view in every way, and keeps a picture of each.
async fn look(page: &Page, view: &str) {
    for scheme in ["light", "dark"] {
        for (width, height, screen) in SCREENS {
            page.appear(width, height, scheme).await;
            let what = format!("{view}-{scheme}-{screen}");
            page.run("scrollTo(0, 0)").await;
            page.shoot(&what).await;
            let violations = page.violations().await;
            assert!(violations.is_empty(), "{what}: {violations:#?}");
        }
    }
    // The narrowest that WCAG asks for (1.4.10): a large screen at 400 %.
    page.appear(320, 256, "light").await;
    for container in ["document.documentElement", "document.querySelector('dialog[open]')"] {
        let overflow =
            page.run(&format!("const it = {container}; return it ? it.scrollWidth - it.clientWidth : 0")).await;
        assert_eq!(overflow, 0, "{view} is too wide for 320 pixels");
    }
}

#[tokio::test]
async fn every_view_fits_every_screen_and_shuts_nobody_out() {
    let user = user().await;
    browse(async |page| {
        page.open(&page_url()).await;
        page.wait_for("the page", "!document.getElementById('welcome').hidden").await;
        look(page, "sign-in").await;

        page.push("Create an account").await;
        page.fill("E-mail address", "nobody").await;
        page.press(Key::Enter).await;
        page.see("Must be an e-mail address").await;
        look(page, "sign-up").await;
        page.push("Sign in").await;

        page.fill("E-mail address", &user.email).await;
        page.fill("Password", "not this one").await;
        page.press(Key::Enter).await;
        page.see("The e-mail address or the password is wrong.").await;
        look(page, "sign-in-failed").await;
        page.sign_in(&user.email).await;
        page.tab_to("New task").await;
        look(page, "tasks").await;

        page.push("Edit: Book the train to Vienna").await;
        page.wait_for("the dialog", "document.querySelector('#edit-dialog[open]')").await;
        look(page, "edit").await;
        page.fill("Title", "Book a seat to Vienna").await;
        let task = user.get("/tasks").await.body[0]["id"].as_str().expect("an id").to_owned();
        user.put(&format!("/tasks/{task}"), &json!({ "title": "Book the night train to Vienna" })).await.expect(200);
        page.push("Save").await;
        page.see("This task was changed elsewhere").await;
        look(page, "edit-conflict").await;
        page.push("Cancel").await;

        page.push("Delete: Water the plants").await;
        page.wait_for("the dialog", "document.querySelector('#delete-dialog[open]')").await;
        look(page, "delete").await;
        page.push("Keep it").await;

        page.push(&format!("Account of {}", user.email)).await;
        page.wait_for("the dialog", "document.querySelector('#account-dialog[open]')").await;
        look(page, "account").await;
        page.push("Close").await;

        // Nothing of all this has the page's policy, or a script, stumble.
        let complaints: Vec<_> = page.complaints().await.into_iter().filter(|it| !it.contains("status of 4")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    })
    .await;
}
