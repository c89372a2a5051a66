//! Everything the page is for, from the first visit to the last.

use serde_json::json;
use tests::{
    api::{Api, PASSWORD, fresh_email},
    browser::browse,
};
use thirtyfour::Key;

use crate::page_url;

#[tokio::test]
async fn the_whole_walk_goes_by_the_keyboard_alone() {
    walk(&page_url()).await;
}

/// From the first visit to the last, at the page's address.
pub(crate) async fn walk(url: &str) {
    browse(async |page| {
        let (email, new_password) = (fresh_email(), "another good one");
        page.open(url).await;

        // Sign up; what is wrong is said at the field, and the keyboard is there.
        page.push("Create an account").await;
        page.fill("E-mail address", &email).await;
        page.fill("Password", "short").await;
        page.press(Key::Enter).await;
        page.see("Must be at least 8 characters long.").await;
        assert_eq!(page.focused().await, "Password");
        page.type_over(PASSWORD).await;
        page.press(Key::Enter).await;
        page.see_list().await;
        page.see("Nothing here yet.").await;

        // Add two tasks, the second with a description.
        page.fill("New task", "Buy milk").await;
        page.press(Key::Enter).await;
        page.see_titles(&["Buy milk"]).await;
        page.push("Add").await;
        page.see("Must not be empty.").await;
        page.type_over("Paint the fence").await;
        page.push("Add a description").await;
        page.fill("Description of the new task", "Green,\nas it was.").await;
        page.push("Add").await;
        page.see_titles(&["Paint the fence", "Buy milk"]).await;
        page.see("Green,\nas it was.").await;

        // Edit.
        page.push("Edit: Buy milk").await;
        page.fill("Title", "Buy oat milk").await;
        page.fill("Description (optional)", "Two bottles").await;
        page.push("Save").await;
        page.see_titles(&["Paint the fence", "Buy oat milk"]).await;
        assert_eq!(page.focused().await, "Edit: Buy oat milk");

        // Complete, and filter.
        page.tab_to("Done: Paint the fence").await;
        page.press(Key::Space).await;
        page.wait_for("the task is done", "document.querySelector('.task.completed')").await;
        page.tab_to("All").await;
        page.press(Key::Right).await;
        page.see_titles(&["Buy oat milk"]).await;
        page.press(Key::Right).await;
        page.see_titles(&["Paint the fence"]).await;

        // What no longer belongs to the list leaves it.
        page.tab_to("Done: Paint the fence").await;
        page.press(Key::Space).await;
        page.see("Nothing is done yet.").await;
        page.tab_to("Done").await;
        page.press(Key::Right).await;
        page.see_titles(&["Paint the fence", "Buy oat milk"]).await;

        // Delete, after a second thought.
        page.push("Delete: Paint the fence").await;
        page.push("Keep it").await;
        page.push("Delete: Paint the fence").await;
        page.push("Delete").await;
        page.see_titles(&["Buy oat milk"]).await;
        assert_eq!(page.focused().await, "Done: Buy oat milk", "the keyboard stays in the list");

        // Change the password.
        page.push(&format!("Account of {email}")).await;
        page.fill("Current password", "not this one").await;
        page.fill("New password", "2short").await;
        page.press(Key::Enter).await;
        page.see("Must be at least 8 characters long.").await;
        page.type_over(new_password).await;
        page.press(Key::Enter).await;
        page.see("The current password is wrong.").await;
        assert_eq!(page.focused().await, "Current password");
        page.type_over(PASSWORD).await;
        page.press(Key::Enter).await;
        page.see("Your password is changed.").await;

        // Still signed in; then out, and in with the new password.
        page.fill("New task", "Still here").await;
        page.press(Key::Enter).await;
        page.see_titles(&["Still here", "Buy oat milk"]).await;
        page.push("Sign out").await;
        page.see("You are signed out.").await;
        assert!(page.titles().await.is_empty(), "nothing of the list is left");
        page.fill("E-mail address", &email).await;
        page.fill("Password", PASSWORD).await;
        page.press(Key::Enter).await;
        page.see("The e-mail address or the password is wrong.").await;
        page.fill("Password", new_password).await;
        page.press(Key::Enter).await;
        page.see_titles(&["Still here", "Buy oat milk"]).await;

        // Delete the account.
        page.push(&format!("Account of {email}")).await;
        page.push("Delete account").await;
        page.see("Tick this if you are sure.").await;
        page.press(Key::Space).await;
        page.push("Delete account").await;
        page.see("Your account and every task in it are deleted.").await;
        assert_eq!(Api::shared().sign_in(&email, new_password).await.status, 401);
    })
    .await;
}

#[tokio::test]
async fn a_long_list_comes_part_by_part() {
    load_more(&page_url()).await;
}

/// Three parts of a list, at the page's address.
pub(crate) async fn load_more(url: &str) {
    let user = Api::shared().user().await;
    for number in 1..=45 {
        user.task(&format!("Task {number}")).await;
    }
    let titles = |range: std::ops::RangeInclusive<u32>| range.rev().map(|number| format!("Task {number}"));
    browse(async |page| {
        page.open(url).await;
        page.sign_in(&user.email).await;
        assert_eq!(page.titles().await, titles(26..=45).collect::<Vec<_>>());
        // What comes in between is neither repeated nor in the way.
        user.task("Made elsewhere").await;
        page.push("Load more").await;
        page.wait_for("40 tasks", "document.querySelectorAll('.task').length === 40").await;
        assert_eq!(page.focused().await, "Done: Task 25", "the keyboard is at the first of the new ones");
        page.push("Load more").await;
        page.wait_for("45 tasks", "document.querySelectorAll('.task').length === 45").await;
        assert_eq!(page.titles().await, titles(1..=45).collect::<Vec<_>>());
        page.wait_for("no more", "document.getElementById('load-more').hidden").await;
    })
    .await;
}

#[tokio::test]
async fn words_are_shown_as_they_are_and_never_run() {
    let hostile =
        "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>&amp;\u{202e}";
    let user = Api::shared().user().await;
    user.post("/tasks", &json!({ "title": hostile, "description": hostile })).await.expect(201);
    browse(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        page.see_titles(&[hostile]).await;
        page.push(&format!("Delete: {hostile}")).await;
        page.wait_for("the dialog", "document.querySelector('#delete-dialog[open]')").await;
        let shown = page.run("return document.querySelector('#delete .title').textContent").await;
        assert_eq!(shown, hostile);
        assert_eq!(page.run("return document.querySelectorAll('main img, dialog img, main script').length").await, 0);
        assert_eq!(page.run("return document.title").await, "Tasks");

        // Nor would the page's policy let it run.
        let inserted = format!("document.querySelector('main').innerHTML = {}", json!(hostile));
        page.run(&inserted).await;
        page.run("document.querySelector('main').append(Object.assign(document.createElement('script'), { text: 'document.title = \"hacked\"' }))").await;
        page.wait_for("the image has failed", "document.querySelector('main img').complete").await;
        assert_eq!(page.run("return document.title").await, "Tasks");
        let complaints = page.complaints().await;
        assert!(complaints.iter().any(|complaint| complaint.contains("Content Security Policy")), "{complaints:?}");
    })
    .await;
}
