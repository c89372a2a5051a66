//! How the page looks: accessibility, on small and large screens, light and dark. The screenshots are kept.

use serde_json::json;
use tests::{
    api::{Api, PASSWORD, User, task_path},
    browser::{Page, page_url, with_browser},
};
use thirtyfour::Key;

/// Width and height in CSS pixels, and a name.
const SCREENS: [(u32, u32, &str); 2] = [(390, 800, "phone"), (1180, 800, "desktop")];

/// A user with tasks of many kinds.
async fn user_with_tasks() -> User {
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
            user.put(&task_path(&task), &json!({ "completed": true })).await.expect(200);
        }
    }
    user
}

/// Checks a view on every screen in every scheme, and keeps a screenshot of each.
async fn check_view(page: &Page, view: &str) {
    for scheme in ["light", "dark"] {
        for (width, height, screen) in SCREENS {
            page.emulate_screen(width, height, scheme).await;
            let what = format!("{view}-{scheme}-{screen}");
            page.run("scrollTo(0, 0)").await;
            page.screenshot(&what).await;
            let violations = page.axe_violations().await;
            assert!(violations.is_empty(), "{what}: {violations:#?}");
        }
    }
    // The narrowest width that WCAG requires (1.4.10): 1280 pixels at 400 %.
    page.emulate_screen(320, 256, "light").await;
    for container in ["document.documentElement", "document.querySelector('dialog[open]')"] {
        let overflow =
            page.run(&format!("const it = {container}; return it ? it.scrollWidth - it.clientWidth : 0")).await;
        assert_eq!(overflow, 0, "{view} is too wide for 320 pixels");
    }
}

#[tokio::test]
async fn every_view_fits_every_screen_and_is_accessible() {
    let user = user_with_tasks().await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.wait_for("the page", "!document.getElementById('welcome').hidden").await;
        check_view(page, "sign-in").await;

        page.press_button("Create an account").await;
        page.fill("E-mail address", "nobody").await;
        page.press(Key::Enter).await;
        page.wait_for_text("Must be an e-mail address").await;
        check_view(page, "sign-up").await;
        page.press_button("Sign in").await;

        page.press_button("Forgot your password?").await;
        check_view(page, "forgot").await;
        page.run("location.hash = 'password-reset=x&email=ada.lovelace@example.com'").await;
        page.wait_for_text("For ada.lovelace@example.com. This signs out all your devices.").await;
        page.fill("New password", "short").await;
        check_view(page, "reset").await;
        page.press_button("Back to sign in").await;

        page.fill("E-mail address", &user.email).await;
        page.fill("Password", "not this one").await;
        page.press(Key::Enter).await;
        page.wait_for_text("The e-mail address or the password is wrong.").await;
        check_view(page, "sign-in-failed").await;
        page.sign_in(&user.email).await;
        page.tab_to("New task").await;
        check_view(page, "tasks").await;

        page.press_button("Edit: Book the train to Vienna").await;
        page.wait_for("the dialog", "document.querySelector('#edit-dialog[open]')").await;
        check_view(page, "edit").await;
        page.fill("Title", "Book a seat to Vienna").await;
        let task = user.get("/tasks").await.body[0].clone();
        user.put(&task_path(&task), &json!({ "title": "Book the night train to Vienna" })).await.expect(200);
        page.press_button("Save").await;
        page.wait_for_text("This task was changed elsewhere").await;
        check_view(page, "edit-conflict").await;
        page.press_button("Cancel").await;

        page.press_button("Delete: Water the plants").await;
        page.wait_for("the dialog", "document.querySelector('#delete-dialog[open]')").await;
        check_view(page, "delete").await;
        page.press_button("Keep it").await;

        page.press_button(&format!("Account of {}", user.email)).await;
        page.wait_for("the dialog", "document.querySelector('#account-dialog[open]')").await;
        check_view(page, "account").await;
        page.press_button("Close").await;

        // No script failed or broke the content security policy.
        let errors: Vec<_> = page.console_errors().await.into_iter().filter(|it| !it.contains("status of 4")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    })
    .await;
}
