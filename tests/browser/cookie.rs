//! The cookie that holds the refresh token of the page's session, as Chromium keeps and sends it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;
use tests::{
    api::{Api, two_users},
    base_path::{Host, Received},
    browser::{Page, page_url, with_browser, with_profile},
    database::connect_to_stack,
    origins::serve_empty_page,
    server::{Settings, TestServer},
};
use thirtyfour::SameSite;

const DAY: i64 = 86_400;

/// What the page of a signed-in user does with its cookie, the only one of this host.
async fn keeps_the_session_in_a_cookie(url: &str, name: &str) {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    with_browser(async |page| {
        page.open(url).await;
        page.sign_in(&user.email).await;
        let first = only_cookie(page, name).await;

        // A reload and a new tab go on with the session, and get the next refresh token.
        page.reload().await;
        page.wait_for_titles(&["Buy milk"]).await;
        let second = next_cookie(page, name, &first).await;
        page.new_tab().await;
        page.open(url).await;
        page.wait_for_titles(&["Buy milk"]).await;
        let third = next_cookie(page, name, &second).await;

        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        assert!(page.cookies().await.is_empty(), "the cookie is cleared");
        assert_eq!(Api::shared().refresh(&third).await.status, 401, "and the session has ended");
    })
    .await;
}

/// The value of the cookie of this name, after checks of all that surrounds it.
async fn only_cookie(page: &Page, name: &str) -> String {
    let cookies = page.cookies().await;
    let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
    assert_eq!(cookie.name, name);
    assert_eq!((cookie.http_only, cookie.secure), (Some(true), Some(true)));
    assert_eq!((cookie.same_site, cookie.path.as_deref()), (Some(SameSite::Strict), Some("/")));
    let left = cookie.expiry.expect("an expiry") - chrono::Utc::now().timestamp();
    assert!((13 * DAY..=14 * DAY).contains(&left), "{left}");
    let readable = page.run("return [document.cookie, localStorage.length, sessionStorage.length]").await;
    assert_eq!(readable, json!(["", 0, 0]), "scripts read nothing");
    cookie.value.clone()
}

/// The value of the cookie once it is another: the page shows its tasks before it asks for anything.
async fn next_cookie(page: &Page, name: &str, last: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let value = only_cookie(page, name).await;
        if value != last {
            return value;
        }
        assert!(Instant::now() < deadline, "no other cookie");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_page_keeps_its_session_in_a_cookie_over_http_on_this_machine() {
    keeps_the_session_in_a_cookie(&page_url(), &Api::shared().cookie_name()).await;
}

#[tokio::test]
async fn the_page_keeps_its_session_in_a_cookie_over_https() {
    let host = Host::start_https(&[("", &Api::shared())]).await;
    keeps_the_session_in_a_cookie(&host.url("/"), &Api::shared().cookie_name()).await;
}

#[tokio::test]
async fn the_page_keeps_its_session_in_a_cookie_behind_a_base_path() {
    let host = Host::start().await;
    keeps_the_session_in_a_cookie(&host.url("/v1"), &Api::shared().cookie_name()).await;
    host.assert_nothing_outside();
}

#[tokio::test]
async fn the_cookie_of_a_stage_has_its_name_and_belongs_to_one_host() {
    let server = TestServer::start(&Settings::shared().with("STAGE", "qa"));
    let host = Host::start_https(&[("/v1", &server.api)]).await;
    keeps_the_session_in_a_cookie(&host.url("/v1/"), "__Host-task-api-qa").await;
}

#[tokio::test]
async fn the_session_outlives_the_browser() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    let profile = TempDir::new().expect("a folder");
    with_profile(profile.path(), async |page| {
        page.open(&page_url()).await;
        page.sign_in(&user.email).await;
    })
    .await;
    with_profile(profile.path(), async |page| {
        page.open(&page_url()).await;
        page.wait_for_titles(&["Buy milk"]).await;
    })
    .await;
}

#[tokio::test]
async fn apis_on_two_ports_of_one_host_keep_their_sessions_apart() {
    let server = TestServer::start(&Settings::shared());
    let (ada, bob) = two_users().await;
    ada.task("Ada's").await;
    bob.task("Bob's").await;
    let other_page = server.api.url("/");
    with_browser(async |page| {
        page.open(&page_url()).await;
        page.sign_in(&ada.email).await;
        page.open(&other_page).await;
        page.wait_for("the sign-in form", "!document.getElementById('sign-in').closest('[hidden]')").await;
        page.sign_in(&bob.email).await;
        let names: BTreeSet<_> = page.cookies().await.into_iter().map(|cookie| cookie.name).collect();
        assert_eq!(names, BTreeSet::from([Api::shared().cookie_name(), server.api.cookie_name()]));
        page.open(&page_url()).await;
        page.wait_for_titles(&["Ada's"]).await;
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        page.open(&other_page).await;
        page.wait_for_titles(&["Bob's"]).await;
    })
    .await;
}

/// Sends `POST /users/token` from the current page in each way that a page can without the API's leave: whether any of
/// them was answered with a session.
async fn ask_for_a_token(page: &Page, url: &str) -> bool {
    let script = format!(
        r#"
        const url = {};
        const ways = [
            {{ body: "{{}}", headers: {{ "content-type": "application/json" }} }},
            {{ body: "{{}}", mode: "no-cors" }},
            {{ body: new URLSearchParams({{ a: "b" }}), mode: "no-cors" }},
        ];
        const answers = [];
        for (const way of ways) {{
            const answer = fetch(url, {{ method: "POST", credentials: "include", ...way }});
            answers.push(await answer.then((it) => it.ok, () => false));
        }}
        return answers.includes(true);"#,
        json!(url)
    );
    let answered = page.run_async(&script).await == json!(true);
    // A form takes the whole tab to the answer.
    let form = format!(
        r#"
        const form = document.createElement("form");
        Object.assign(form, {{ method: "post", action: {}, enctype: "text/plain" }});
        form.append(Object.assign(document.createElement("input"), {{ name: '{{"a', value: '":1}}' }}));
        document.body.append(form);
        form.submit();"#,
        json!(url)
    );
    page.run(&form).await;
    page.wait_for("the answer to the form", "document.body.innerText.includes('request_id')").await;
    answered || page.text("body").await.contains("expires_in")
}

#[tokio::test]
async fn another_site_gets_no_session_and_does_not_make_the_browser_send_the_cookie() {
    let (user, host) = (Api::shared().user().await, Host::start().await);
    user.task("Buy milk").await;
    let (page_url, token_url) = (host.url("/v1/"), host.url("/v1/users/token"));
    let same_site = serve_empty_page().await;
    // For a browser another host is another site, and another port is not.
    let other_site = same_site.replace("127.0.0.1", "localhost");
    let cookies_sent = |seen: &[Received]| -> Vec<bool> {
        let to_token = seen.iter().filter(|it| it.route == "POST /v1/users/token");
        to_token.map(|it| it.cookie.contains("task-api-")).collect()
    };
    with_browser(async |page| {
        page.open(&page_url).await;
        page.sign_in(&user.email).await;
        let name = Api::shared().cookie_name();
        let first = only_cookie(page, &name).await;
        page.reload().await;
        page.wait_for_titles(&["Buy milk"]).await;
        let value = next_cookie(page, &name, &first).await;
        let before = host.requests().len();
        let of_the_page = cookies_sent(&host.requests());
        assert_eq!(of_the_page, [false, true], "the page's own requests: before the sign-in, and after it");

        page.open(&other_site).await;
        assert!(!ask_for_a_token(page, &token_url).await);
        let seen = host.requests();
        // Chromium asks the API before it sends JSON, and does not send it then.
        assert_eq!(cookies_sent(&seen[before..]), [false, false, false], "{:?}", &seen[before..]);

        // A page at another port could have it sent, but with no body that the API takes.
        page.open(&same_site).await;
        assert!(!ask_for_a_token(page, &token_url).await);
        assert_eq!(cookies_sent(&host.requests()[seen.len()..]), [true, true, true]);
        assert_eq!(page.cookies().await[0].value, value, "nothing was refreshed");

        page.open(&page_url).await;
        page.wait_for_titles(&["Buy milk"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_cookie_is_sent_only_where_a_session_begins_goes_on_or_ends() {
    let (user, host) = (Api::shared().user().await, Host::start().await);
    with_browser(async |page| {
        page.open(&host.url("/v1/")).await;
        page.sign_in(&user.email).await;
        page.fill("New task", "Buy milk").await;
        page.press_button("Add").await;
        page.wait_for_titles(&["Buy milk"]).await;
        page.wait_until_sent().await;
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
    })
    .await;
    let to_api = host.requests().into_iter().filter(|it| it.route.contains("/users/"));
    let with_cookie: Vec<_> = to_api.filter(|it| !it.cookie.is_empty()).map(|it| it.route).collect();
    assert_eq!(with_cookie, [format!("DELETE /v1/users/{}/sessions/current", user.id)]);
}

#[tokio::test]
async fn any_number_of_tabs_can_refresh_at_once() {
    let (user, host) = (Api::shared().user().await, Host::start().await);
    with_browser(async |page| {
        page.open(&host.url("/v1/")).await;
        page.sign_in(&user.email).await;
        let refresh = r#"
            const { TaskApi } = await import("/v1/web/api.js");
            const tabs = Array.from({ length: 20 }, () => new TaskApi("/v1", { cookie: true }));
            const sessions = await Promise.all(tabs.map((tab) => tab.refresh()));
            return new Set(sessions.map((session) => session.session_id)).size;"#;
        for _ in 0..3 {
            assert_eq!(page.run_async(refresh).await, json!(1));
        }
        // The cookie has the newest refresh token: an older one would end the session now.
        let sql = format!(
            "UPDATE sessions SET refreshed_at = refreshed_at - interval '61 seconds' WHERE user_id = '{}'",
            user.id
        );
        assert_eq!(connect_to_stack().await.execute_typed(&sql, &[]).await.expect("sessions"), 2);
        page.reload().await;
        page.wait_for_list().await;
    })
    .await;
}
