//! Sessions: how long they last, in all tabs, and what remains when they end.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::{
    api::{Api, PASSWORD, two_users},
    browser::{page_url, with_browser},
    database::set_signin_failures,
    relay::Relay,
    server::{Settings, TestServer},
};
use thirtyfour::Key;

/// Where the page of release 0.1.0 kept the session of a tab.
const FIRST_RELEASES_KEY: &str = "task-api-session";

#[tokio::test]
async fn all_tabs_have_one_session_and_leave_it_together() {
    let (ada, bob) = two_users().await;
    ada.task("Ada's").await;
    bob.task("Bob's").await;
    with_browser(async |page| {
        // A tab at the sign-in form follows a sign-in in another one.
        page.open(&page_url()).await;
        page.wait_for("the sign-in form", "!document.getElementById('sign-in').closest('[hidden]')").await;
        page.new_tab().await;
        page.open(&page_url()).await;
        page.sign_in(&ada.email).await;
        page.switch_to_tab(0).await;
        page.wait_for_titles(&["Ada's"]).await;

        // So it does with the sign-out; nothing of a user is left to the next one, not even a draft.
        page.fill("New task", "Ada's secret").await;
        page.switch_to_tab(1).await;
        page.fill("New task", "Ada's other secret").await;
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        page.switch_to_tab(0).await;
        page.wait_for_text("You are signed out.").await;
        page.sign_in(&bob.email).await;
        for tab in [0, 1] {
            page.switch_to_tab(tab).await;
            page.wait_for_titles(&["Bob's"]).await;
            assert_eq!(page.run("return document.getElementById('add-title').value").await, "");
            assert!(!page.text("body").await.contains("Ada"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_tab_of_another_user_shows_the_one_who_has_signed_in_last() {
    let (ada, bob) = two_users().await;
    ada.task("Ada's").await;
    bob.task("Bob's").await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&ada.email).await;
        page.fill("New task", "Ada's secret").await;
        page.new_tab().await;
        page.open(&page_url()).await;
        page.wait_for_titles(&["Ada's"]).await;
        // Ada's session ends in this tab while the other one has no part in it.
        ada.delete("/sessions").await.expect(204);
        page.run("dispatchEvent(new Event('focus'))").await;
        page.wait_for_text("Your session has ended.").await;
        page.sign_in(&bob.email).await;
        page.switch_to_tab(0).await;
        page.wait_for_titles(&["Bob's"]).await;
        assert_eq!(page.run("return document.getElementById('add-title').value").await, "");
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
        page.open_editor("Buy milk").await;
        page.fill("Title", "Buy oat milk").await;

        // Elsewhere the password is changed and changed back, which ends this session.
        for (current, new) in [(PASSWORD, "another good one"), ("another good one", PASSWORD)] {
            let token = user.api.sign_in(&user.email, current).await.expect(200).token();
            let body = json!({ "current_password": current, "password": new });
            user.api.send(Method::PUT, &user.path(""), Some(&token), Some(&body)).await.expect(200);
        }
        page.press_button("Save").await;
        page.wait_for_text("Your session has ended. Please sign in again. What you were writing is kept.").await;
        assert_eq!(page.focused().await, "Password", "the address is known");
        assert!(page.titles().await.is_empty(), "nothing of the list is left");

        // Continue where the session ended: the change is sent, and the words are in their field.
        page.replace_text(PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Buy oat milk"]).await;
        page.wait_until_sent().await;
        assert_eq!(user.signed_in_again().await.get("/tasks").await.body[0]["title"], "Buy oat milk");
        assert_eq!(page.run("return document.getElementById('add-title').value").await, "Half a thou");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_has_expired_is_replaced_without_the_user() {
    let user = Api::shared().user().await;
    let server = TestServer::start(&Settings::shared().with("TOKEN_LIFETIME_SECONDS", "5"));
    with_browser(async |page| {
        page.open(&server.api.url("/")).await;
        page.sign_in(&user.email).await;
        let token = server.api.sign_in(&user.email, PASSWORD).await.expect(200).token();
        while user.api.send(Method::GET, &user.path(""), Some(&token), None).await.status == 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        page.fill("New task", "Buy milk").await;
        page.press_button("Add").await;
        page.wait_for_titles(&["Buy milk"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_tab_that_release_0_1_0_has_left_signed_in_stays_so() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        let session = json!({ "token": user.token, "user_id": user.id }).to_string();
        page.run(&format!("sessionStorage.setItem({}, {})", json!(FIRST_RELEASES_KEY), json!(session))).await;
        for _ in 0..2 {
            page.reload().await;
            page.wait_for_titles(&["Buy milk"]).await;
        }
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        assert_eq!(page.run("return sessionStorage.length").await, 0);
        page.reload().await;
        page.wait_for("the sign-in form", "!document.getElementById('sign-in').closest('[hidden]')").await;
    })
    .await;
}

#[tokio::test]
async fn signing_out_without_a_network_is_not_pretended() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    let (relay, url) = Relay::in_front_of(&page_url()).await;
    let sessions = async || user.get("/sessions").await.expect(200).body.as_array().expect("sessions").len();
    with_browser(async |page| {
        page.open(&url).await;
        page.sign_in(&user.email).await;
        relay.refuse(true);
        relay.cut();
        page.press_button("Sign out").await;
        page.wait_for_text("You are still signed in. The service could not be reached.").await;
        assert_eq!((page.titles().await, sessions().await), (vec!["Buy milk".to_owned()], 2));
        relay.refuse(false);
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        assert_eq!(sessions().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_service_that_is_away_when_the_page_opens_signs_nobody_out() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        page.block(&["*/users/token"]).await;
        page.reload().await;
        page.wait_for_titles(&["Buy milk"]).await;
        page.wait_for_text("The service could not be reached. What you change is kept here").await;
        page.block(&[]).await;
        page.wait_for("the notice goes", "document.getElementById('offline').hidden").await;
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
