//! A forgotten password: the mail, its link, and the new password.

use tests::{
    api::{Api, PASSWORD, User, fresh_email},
    browser::{Page, page_url, with_browser},
    mail::{Mail, Mailbox, forget_network},
    server::{Settings, TestServer},
};
use thirtyfour::Key;

const NEW_PASSWORD: &str = "another good one";

/// Asks for a mail at the sign-in form.
async fn ask(page: &Page, email: &str) {
    forget_network("127.0.0.1").await;
    page.fill("E-mail address", email).await;
    page.press_button("Forgot your password?").await;
    assert_eq!(page.focused().await, "E-mail address", "with the address that was typed before");
    page.press(Key::Enter).await;
    page.wait_for_text("If the address has an account, a mail is on its way.").await;
}

/// The last mail to a user.
fn last_mail(user: &User) -> Mail {
    Mailbox::shared().to(&user.email).pop().expect("a mail")
}

/// Checks that the form for a new password is there, and its token nowhere.
async fn wait_for_form(page: &Page, user: &User) {
    page.wait_for_text(&format!("For {}. This signs out all your devices.", user.email)).await;
    assert_eq!(page.focused().await, "New password");
    assert_eq!(page.run("return document.querySelector('#reset [autocomplete=username]').value").await, *user.email);
    assert_eq!(page.run("return location.href").await, page_url());
    assert_eq!(page.run("return document.documentElement.innerHTML.includes('password-reset=')").await, false);
}

#[tokio::test]
async fn the_link_of_a_mail_leads_to_a_new_password_and_back_to_the_list() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        ask(page, &user.email).await;
        let link = last_mail(&user).link();

        // Mail programs open links in a new tab; others paste them where the page is open.
        page.open(link.as_str()).await;
        wait_for_form(page, &user).await;
        page.new_tab().await;
        page.open(link.as_str()).await;
        wait_for_form(page, &user).await;

        page.replace_text("short").await;
        page.press(Key::Enter).await;
        page.wait_for_text("Must be at least 8 characters long.").await;
        page.replace_text(NEW_PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Buy milk"]).await;
        page.reload().await;
        page.wait_for_titles(&["Buy milk"]).await;
        assert_eq!(user.get("").await.status, 401, "every session from before has ended");
        user.api.sign_in(&user.email, NEW_PASSWORD).await.expect(200);

        // The same link in the first tab, which did not look at the history: used, and a new mail is offered.
        page.switch_to_tab(0).await;
        page.fill("New password", PASSWORD).await;
        page.press(Key::Enter).await;
        page.wait_for_text("This link is wrong, used or too old. You can ask for another one.").await;
        assert_eq!(page.focused().await, "E-mail address");
        page.press(Key::Enter).await;
        page.wait_for_text("If the address has an account, a mail is on its way.").await;
        assert_ne!(last_mail(&user).link(), link);
        user.api.sign_in(&user.email, PASSWORD).await.expect(401);
    })
    .await;
}

#[tokio::test]
async fn whoever_wants_no_new_password_goes_on_with_the_session() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
        page.open(&format!("{}#password-reset=x&email=not%20an%20address", page_url())).await;
        page.wait_for_text("This signs out all your devices.").await;
        assert!(page.titles().await.is_empty() && !page.text("body").await.contains("an address"));
        page.press_button("Back to sign in").await;
        page.wait_for_titles(&["Buy milk"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_page_says_the_same_for_every_address() {
    let unknown = fresh_email();
    with_browser(async |page| {
        page.open(&page_url()).await;
        ask(page, &unknown).await;
    })
    .await;
    assert!(Mailbox::shared().to(&unknown).is_empty());
}

#[tokio::test]
async fn the_page_says_that_no_mail_is_sent() {
    let settings = Settings::shared().without("MAIL_FROM").without("MAIL_FOLDER");
    let server = TestServer::start(&settings);
    with_browser(async |page| {
        page.open(&server.api.url("/")).await;
        page.fill("E-mail address", &fresh_email()).await;
        page.press_button("Forgot your password?").await;
        page.press(Key::Enter).await;
        page.wait_for_text("This service sends no mail.").await;
    })
    .await;
}
