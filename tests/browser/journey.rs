//! A user's journey through everything the page offers.

use serde_json::json;
use tests::{
    api::{Api, PASSWORD, fresh_email},
    browser::{page_url, with_browser},
};
use thirtyfour::Key;

#[tokio::test]
async fn the_whole_journey_works_by_keyboard_alone() {
    user_journey(&page_url()).await;
}

/// From signing up to deleting the account.
pub(crate) async fn user_journey(url: &str) {
    with_browser(async |page| {
        let (email, new_password) = (fresh_email(), "another good one");
        page.open(url).await;

        // Sign up. An error is shown at its field, which is focused.
        page.press_button("Create an account").await;
        page.fill("E-mail address", &email).await;
        page.fill("Password", "short").await;
        page.press(Key::Enter).await;
        page.wait_for_text("Must be at least 8 characters long.").await;
        assert_eq!(page.focused().await, "Password");
        page.replace_text(PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for_list().await;
        page.wait_for_text("Nothing here yet.").await;

        // Add two tasks, the second with a description.
        page.fill("New task", "Buy milk").await;
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Buy milk"]).await;
        page.press_button("Add").await;
        page.wait_for_text("Must not be empty.").await;
        page.replace_text("Paint the fence").await;
        page.press_button("Add a description").await;
        page.fill("Description of the new task", "Green,\nas it was.").await;
        page.press_button("Add").await;
        page.wait_for_titles(&["Paint the fence", "Buy milk"]).await;
        page.wait_for_text("Green,\nas it was.").await;

        // Edit.
        page.open_editor("Buy milk").await;
        page.fill("Title", "Buy oat milk").await;
        page.fill("Description (optional)", "Two bottles").await;
        page.press_button("Save").await;
        page.wait_for_titles(&["Paint the fence", "Buy oat milk"]).await;
        assert_eq!(page.focused().await, "Done: Buy oat milk");

        // Complete, and filter.
        page.tick("Paint the fence").await;
        page.wait_for("the task is done", "document.querySelector('.task.completed')").await;
        page.tab_to("All").await;
        page.press(Key::Right).await;
        page.wait_for_titles(&["Buy oat milk"]).await;
        page.press(Key::Right).await;
        page.press(Key::Right).await;
        page.wait_for_titles(&["Paint the fence"]).await;

        // What the filter no longer matches leaves the list.
        page.tick("Paint the fence").await;
        page.wait_for_text("Nothing is done yet.").await;
        page.tab_to("Done").await;
        page.press(Key::Right).await;
        page.wait_for_titles(&["Paint the fence", "Buy oat milk"]).await;

        // Delete, think better of it, and delete for good.
        page.stop_undo_clock().await;
        page.focus_task("Paint the fence").await;
        page.press(Key::Delete).await;
        page.wait_for_titles(&["Buy oat milk"]).await;
        assert_eq!(page.focused().await, "Done: Buy oat milk", "the focus stays in the list");
        page.press_button("Undo").await;
        page.wait_for_titles(&["Paint the fence", "Buy oat milk"]).await;
        page.focus_task("Paint the fence").await;
        page.press(Key::Delete).await;
        page.wait_for_titles(&["Buy oat milk"]).await;

        // Change the password.
        page.press_button(&format!("Account of {email}")).await;
        page.press_button("Change your password").await;
        page.fill("Current password", "not this one").await;
        page.fill("New password", "2short").await;
        page.press(Key::Enter).await;
        page.wait_for_text("Must be at least 8 characters long.").await;
        page.replace_text(new_password).await;
        page.press(Key::Enter).await;
        page.wait_for_text("The current password is wrong.").await;
        assert_eq!(page.focused().await, "Current password");
        page.replace_text(PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for_text("Your password is changed.").await;

        // Still signed in; sign out, and in with the new password.
        page.fill("New task", "Still here").await;
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Still here", "Buy oat milk"]).await;
        page.wait_until_sent().await;
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        assert!(page.titles().await.is_empty(), "nothing of the list is left");
        page.fill("E-mail address", &email).await;
        page.fill("Password", PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for_text("The e-mail address or the password is wrong.").await;
        page.fill("Password", new_password).await;
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Still here", "Buy oat milk"]).await;

        // Delete the account.
        page.press_button(&format!("Account of {email}")).await;
        page.press_button("Delete account").await;
        page.wait_for_text("Tick this if you are sure.").await;
        page.press(Key::Space).await;
        page.press_button("Delete account").await;
        page.wait_for_text("Your account and every task in it are deleted.").await;
        assert_eq!(Api::shared().sign_in(&email, new_password).await.status, 401);
    })
    .await;
}

#[tokio::test]
async fn a_long_list_is_there_wholly() {
    long_list(&page_url()).await;
}

/// Loads a list of several pages, and goes to its end.
pub(crate) async fn long_list(url: &str) {
    let user = Api::shared().user().await;
    for number in 1..=145 {
        user.task(&format!("Task {number}")).await;
    }
    with_browser(async |page| {
        page.open(url).await;
        page.sign_in(&user.email).await;
        page.focus_task("Task 145").await;
        page.press(Key::End).await;
        page.wait_for("the last task", "document.activeElement.getAttribute('aria-label') === 'Done: Task 1'").await;
        page.wait_for("its place", "document.activeElement.closest('.task').ariaSetSize === '145'").await;
    })
    .await;
}

#[tokio::test]
async fn text_is_shown_as_written_and_never_executed() {
    let hostile =
        "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>&amp;\u{202e}";
    let user = Api::shared().user().await;
    user.post("/tasks", &json!({ "title": hostile, "description": hostile })).await.expect(201);
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        page.wait_for_titles(&[hostile]).await;
        page.stop_undo_clock().await;
        page.focus_task(hostile).await;
        page.press(Key::Delete).await;
        page.wait_for("the offer to undo it", "document.querySelector('#undo button:not([hidden])')").await;
        assert!(page.run("return document.querySelector('#undo p').textContent").await.as_str().unwrap().contains("<img src"));
        assert_eq!(page.run("return document.querySelectorAll('main img, main script').length").await, 0);
        assert_eq!(page.run("return document.title").await, "Tasks");

        // The content security policy would not let it run either.
        let inserted = format!("document.querySelector('main').innerHTML = {}", json!(hostile));
        page.run(&inserted).await;
        page.run("document.querySelector('main').append(Object.assign(document.createElement('script'), { text: 'document.title = \"hacked\"' }))").await;
        page.wait_for("the image has failed", "document.querySelector('main img').complete").await;
        assert_eq!(page.run("return document.title").await, "Tasks");
        let errors = page.console_errors().await;
        assert!(errors.iter().any(|error| error.contains("Content Security Policy")), "{errors:?}");
    })
    .await;
}
