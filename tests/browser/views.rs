//! How the page looks: accessibility, on small and large screens, light and dark. The screenshots are kept.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
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
    let due = |days: i64| {
        (Utc::now() + TimeDelta::days(days)).date_naive().and_hms_opt(17, 0, 0).expect("a time").and_utc().to_rfc3339()
    };
    for task in [
        json!({ "title": long }),
        json!({ "title": "شراء الحليب", "tags": ["بيت"] }),
        json!({ "title": "Return the library books", "status": "completed", "tags": ["errands"] }),
        json!({ "title": "Water the plants", "description": "The fern every day, the cactus once a month.",
                "status": "in_progress", "tags": ["home"] }),
        json!({ "title": "Buy milk, bread and something for Sunday", "status": "completed", "tags": ["errands", "home"] }),
        json!({ "title": "Send the invoice for November", "priority": 1, "due_date": due(-2), "tags": ["work"],
                "description": "With the two extra days.\nAsk whether they want it on paper again." }),
        json!({ "title": "Call the dentist", "due_date": due(3), "priority": 3 }),
        json!({ "title": "Book the train to Vienna", "description": "Window seat, before ten.", "due_date": due(1),
                "priority": 2, "tags": ["travel"] }),
    ] {
        user.post("/tasks", &task).await.expect(201);
    }
    user
}

/// How much wider the page or its dialog is than its screen.
async fn overflow(page: &Page) -> Value {
    let script = "
        const it = document.querySelector('dialog[open]') ?? document.documentElement;
        return it.scrollWidth - it.clientWidth;";
    page.run(script).await
}

/// Checks a view on every screen in every scheme, and keeps a screenshot of each.
async fn check_view(page: &Page, view: &str) {
    for scheme in ["light", "dark", "forced"] {
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
    assert_eq!(overflow(page).await, 0, "{view} is too wide for 320 pixels");
    page.emulate_screen(640, 800, "light").await;
    for (change, reset, what) in [
        ("style.fontSize = '200%'", "style.fontSize = ''", "text twice as large"),
        ("dir = 'rtl'", "dir = 'ltr'", "a script from right to left"),
    ] {
        page.run(&format!("document.documentElement.{change}")).await;
        page.screenshot(&format!("{view}-{}", what.replace(' ', "-"))).await;
        assert_eq!(overflow(page).await, 0, "{view} is too wide with {what}");
        page.run(&format!("document.documentElement.{reset}")).await;
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

        page.open_editor("Book the train to Vienna").await;
        check_view(page, "edit").await;
        page.fill("Title", "Book a seat to Vienna").await;
        let task = user.get("/tasks").await.body[0].clone();
        user.put(&task_path(&task), &json!({ "title": "Book the night train to Vienna" })).await.expect(200);
        page.press_button("Save").await;
        page.wait_for_text("Keep mine").await;
        check_view(page, "conflict").await;
        page.press_button("Use theirs").await;

        page.stop_undo_clock().await;
        page.focus_task("Water the plants").await;
        page.press(Key::Delete).await;
        page.press_button("Undo").await;
        page.press_button("Filter").await;
        check_view(page, "filters").await;
        page.press_button("Filter").await;
        page.press_button("Keyboard shortcuts").await;
        check_view(page, "help").await;
        page.press(Key::Escape).await;

        page.press_button(&format!("Account of {}", user.email)).await;
        page.wait_for("the sessions", "document.querySelector('#account-dialog[open] .session')").await;
        check_view(page, "account").await;
        page.press_button("Close").await;

        // No script failed or broke the content security policy.
        let errors: Vec<_> = page.console_errors().await.into_iter().filter(|it| !it.contains("status of 4")).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    })
    .await;
}
