//! The reference at `/docs`: signing in, for all of its operations, and how it looks.

use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, fresh_email, two_users},
    base_path::Host,
    browser::{Page, with_browser},
};
use thirtyfour::Key;

/// What the script of the viewer may weigh, compressed: version 5.32.6 of Swagger UI.
const LARGEST_VIEWER: usize = 413_000;

async fn open_reference(page: &Page, url: &str) {
    page.open(url).await;
    page.wait_for("the form", "document.querySelector('#session:not([hidden])')").await;
    page.wait_for("the operations", "document.querySelector('.opblock')").await;
}

async fn fill_form(page: &Page, email: &str, password: &str) {
    page.fill("E-mail address", email).await;
    page.fill("Password", password).await;
}

/// Shows an operation, such as `Accounts-signIn`. The viewer shows its button before it has resolved the operation, and
/// ignores a click until then.
async fn open_operation(page: &Page, operation: &str) {
    page.run(&format!("document.querySelector('#operations-{operation} [aria-expanded=false]')?.click()")).await;
    let button = format!("#operations-{operation}:not(:has(.opblock-loading-animation)) .execute");
    page.wait_for(operation, &format!("document.querySelector('{button}')")).await;
}

/// Sends an operation that is shown, and waits until its answer has this status and a text.
async fn execute(page: &Page, operation: &str, status: u16, text: &str) {
    page.run(&format!("document.querySelector('#operations-{operation} .execute').click()")).await;
    let answer =
        format!("document.querySelector('#operations-{operation} .live-responses-table .response')?.innerText");
    let is_expected = format!("{answer}.startsWith('{status}') && {answer}.includes({})", json!(text));
    page.wait_for(&format!("{status} with {text:?} from {operation}"), &is_expected).await;
}

/// Writes the body of an operation that is shown.
async fn write_body(page: &Page, operation: &str, body: &Value) {
    page.run(&format!("document.querySelector('#operations-{operation} textarea').focus()")).await;
    page.replace_text(&body.to_string()).await;
}

#[tokio::test]
async fn signing_in_at_the_reference_is_signing_in_for_every_operation() {
    let (host, user) = (Host::start().await, Api::shared().user().await);
    user.task("Buy milk").await;
    with_browser(async |page| {
        for path in ["/v1/docs", "/v1/docs/"] {
            open_reference(page, &host.url(path)).await;
            fill_form(page, &user.email, "not the password").await;
            page.press(Key::Enter).await;
            page.wait_for_text("The e-mail address or the password is wrong.").await;
            fill_form(page, &user.email, PASSWORD).await;
            page.press(Key::Enter).await;
            page.wait_for_text(&format!("Signed in as {}", user.email)).await;
            assert_eq!(page.text("#session-failure").await, "");
            assert_eq!(
                page.run("return [...document.querySelectorAll('[type=password]')].map((it) => it.value)").await,
                json!([""])
            );

            open_operation(page, "Tasks-listTasks").await;
            execute(page, "Tasks-listTasks", 200, "Buy milk").await;
            let sent = page.text("#operations-Tasks-listTasks .request-url").await;
            assert!(sent.contains(&host.url("/v1/users/me/tasks")), "{path}: {sent}");

            page.press_button("Sign out").await;
            page.wait_for("the form", "document.activeElement?.name === 'email'").await;
            execute(page, "Tasks-listTasks", 401, "token_missing").await;
            assert_eq!(page.run("return localStorage.length + sessionStorage.length").await, 0);
        }
    })
    .await;
    host.assert_nothing_outside();
}

#[tokio::test]
async fn a_new_account_is_signed_in_at_once() {
    let (url, email) = (Api::shared().url("/docs"), fresh_email());
    with_browser(async |page| {
        open_reference(page, &url).await;
        fill_form(page, &email, "short").await;
        page.press_button("Create an account").await;
        page.wait_for_text("The password must be at least 8 characters long.").await;
        page.fill("Password", PASSWORD).await;
        page.press_button("Create an account").await;
        page.wait_for_text(&format!("Signed in as {email}")).await;
        open_operation(page, "Accounts-getAccount").await;
        execute(page, "Accounts-getAccount", 200, &email).await;
    })
    .await;
}

#[tokio::test]
async fn an_operation_that_gives_a_token_replaces_the_one_before() {
    let (ada, bob) = two_users().await;
    let refresh_token = ada.api.sign_in(&ada.email, PASSWORD).await.expect(200).refresh_token();
    with_browser(async |page| {
        open_reference(page, &Api::shared().url("/docs")).await;
        for operation in ["signIn", "getAccount", "refreshSession", "endAllSessions"] {
            open_operation(page, &format!("Accounts-{operation}")).await;
        }
        write_body(page, "Accounts-signIn", &json!({ "email": bob.email, "password": PASSWORD })).await;
        execute(page, "Accounts-signIn", 200, "refresh_token").await;
        page.wait_for_text("Signed in: each operation below sends your token").await;
        execute(page, "Accounts-getAccount", 200, &bob.email).await;

        write_body(page, "Accounts-refreshSession", &json!({ "refresh_token": refresh_token })).await;
        execute(page, "Accounts-refreshSession", 200, "refresh_token").await;
        execute(page, "Accounts-getAccount", 200, &ada.email).await;

        execute(page, "Accounts-endAllSessions", 204, "").await;
        execute(page, "Accounts-getAccount", 401, "session_ended").await;
        page.wait_for_text("Your session has ended. Sign in again.").await;
        execute(page, "Accounts-getAccount", 401, "token_missing").await;
    })
    .await;
}

#[tokio::test]
async fn the_reference_is_accessible_and_as_dark_as_the_system() {
    let user = Api::shared().user().await;
    with_browser(async |page| {
        for (scheme, is_dark) in [("light", false), ("dark", true)] {
            page.emulate_screen(1180, 800, scheme).await;
            open_reference(page, &Api::shared().url("/docs")).await;
            let is_bright = "return getComputedStyle(document.querySelector('.info .title')).color
                .match(/\\d+/g).slice(0, 3).every((part) => part > 128)";
            assert_eq!(page.run(is_bright).await, is_dark, "{scheme}");
            let check = async |view: &str| {
                page.screenshot(&format!("reference-{view}-{scheme}")).await;
                let violations = page.axe_violations().await;
                assert!(violations.is_empty(), "{view} in {scheme}: {violations:#?}");
            };
            check("closed").await;
            for operation in ["Tasks-createTask", "Tasks-listTasks"] {
                open_operation(page, operation).await;
            }
            check("open").await;
            fill_form(page, &user.email, PASSWORD).await;
            page.press(Key::Enter).await;
            page.wait_for_text(&format!("Signed in as {}", user.email)).await;
            execute(page, "Tasks-listTasks", 200, "etag").await;
            check("answered").await;
            page.run("document.querySelector('.auth-wrapper .authorize').click()").await;
            page.wait_for("the viewer's own dialog", "document.querySelector('.dialog-ux')").await;
            check("token").await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_viewer_is_no_heavier_than_it_was() {
    let request = Api::shared().request(reqwest::Method::GET, "/docs/swagger-ui-bundle.js");
    let response = request.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let length = response.bytes().await.unwrap().len();
    assert!(length <= LARGEST_VIEWER, "{length} bytes");
}
