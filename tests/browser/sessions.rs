//! Sessions: where the token is kept, and what remains when it ends.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::{
    api::{Api, PASSWORD, two_users},
    browser::{page_url, with_browser},
    database::set_signin_failures,
    server::{Settings, TestServer},
};
use thirtyfour::Key;

#[tokio::test]
async fn two_people_in_two_tabs_never_see_each_others_tasks() {
    let (ada, bob) = two_users().await;
    ada.task("Ada's").await;
    bob.task("Bob's").await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&ada.email).await;
        page.wait_for_titles(&["Ada's"]).await;

        // A second tab has no session.
        page.new_tab().await;
        page.open(&page_url()).await;
        let left = page.run("return [document.cookie, localStorage.length, sessionStorage.length]").await;
        assert_eq!(left, json!(["", 0, 0]), "the token is in the first tab alone");
        page.sign_in(&bob.email).await;
        page.wait_for_titles(&["Bob's"]).await;

        // Each tab keeps its session over a reload.
        page.reload().await;
        page.wait_for_titles(&["Bob's"]).await;
        page.switch_to_tab(0).await;
        page.reload().await;
        page.wait_for_titles(&["Ada's"]).await;

        // Nothing of a user is left to the next one, not even a draft.
        page.fill("New task", "Ada's secret").await;
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        assert_eq!(page.run("return sessionStorage.length").await, 0);
        page.sign_in(&bob.email).await;
        page.wait_for_titles(&["Bob's"]).await;
        assert_eq!(page.run("return document.getElementById('add-title').value").await, "");
        assert!(!page.text("body").await.contains("Ada"));
    })
    .await;
}

#[tokio::test]
async fn a_session_that_has_ended_leads_to_the_sign_in_form_and_loses_no_input() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        page.fill("New task", "Half a thou").await;
        page.press_button("Edit: Buy milk").await;
        page.fill("Title", "Buy oat milk").await;

        // Elsewhere the password is changed and changed back, which revokes all tokens.
        for (current, new) in [(PASSWORD, "another good one"), ("another good one", PASSWORD)] {
            let token = user.api.sign_in(&user.email, current).await.expect(200).token();
            let body = json!({ "current_password": current, "password": new });
            user.api.send(Method::PUT, &user.path(""), Some(&token), Some(&body)).await.expect(200);
        }
        page.press_button("Save").await;
        page.wait_for_text("Your session has ended. Please sign in again. What you were writing is kept.").await;
        assert_eq!(page.focused().await, "Password", "the address is known");
        assert!(page.titles().await.is_empty(), "nothing of the list is left");
        assert_eq!(page.run("return sessionStorage.length").await, 0);

        // Continue where the session ended.
        page.replace_text(PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for("the dialog is back", "document.querySelector('#edit-dialog[open]')").await;
        page.press_button("Save").await;
        page.wait_for_titles(&["Buy oat milk"]).await;
        assert_eq!(page.run("return document.getElementById('add-title').value").await, "Half a thou");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_has_expired_leads_to_the_sign_in_form() {
    let user = Api::shared().user().await;
    let short_lived = TestServer::start(&Settings::shared().with("TOKEN_LIFETIME_SECONDS", "1"));
    let token = short_lived.api.sign_in(&user.email, PASSWORD).await.expect(200).token();
    while user.api.send(Method::GET, &user.path(""), Some(&token), None).await.status == 200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        // As if the tab had stayed open until its token expired.
        let session = json!({ "token": token, "user_id": user.id }).to_string();
        page.run(&format!("sessionStorage.setItem('task-api-session', {})", json!(session))).await;
        page.reload().await;
        page.wait_for_text("Your session has ended. Please sign in again.").await;
        page.sign_in(&user.email).await;
    })
    .await;
}

#[tokio::test]
async fn too_many_failed_sign_ins_show_when_to_try_again() {
    let user = Api::shared().user().await;
    set_signin_failures(&user.email, 1000, 1000, 0).await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.fill("E-mail address", &user.email).await;
        page.fill("Password", PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for_text("Too many attempts. Try again in 15 minutes.").await;
    })
    .await;
}
