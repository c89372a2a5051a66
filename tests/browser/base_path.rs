//! The pages and their client behind a base path, as with an API mapping, a stage or a reverse proxy.

use serde_json::json;
use tests::{
    api::{Api, PASSWORD, two_users},
    base_path::Host,
    browser::with_browser,
    server::{Settings, TestServer},
};

use crate::journey::{long_list, user_journey};

#[tokio::test]
async fn the_whole_journey_works_behind_a_base_path() {
    let host = Host::start().await;
    user_journey(&host.url("/v1/")).await;
    long_list(&host.url("/v1/")).await;
    host.assert_nothing_outside();
}

#[tokio::test]
async fn the_whole_journey_works_behind_a_base_path_without_its_slash() {
    let host = Host::start().await;
    user_journey(&host.url("/v1")).await;
    long_list(&host.url("/v1")).await;
    host.assert_nothing_outside();
}

#[tokio::test]
async fn the_page_links_to_the_reference_and_back() {
    let host = Host::start().await;
    with_browser(async |page| {
        for path in ["/v1", "/v1/", "/v1?from=elsewhere#top"] {
            page.open(&host.url(path)).await;
            page.wait_for("the page", "!document.getElementById('welcome').hidden").await;
            assert_eq!(
                page.run("return document.querySelector('footer a').href").await,
                host.url("/v1/docs"),
                "{path}"
            );
            assert_eq!(page.run("return document.styleSheets[0].cssRules.length > 0").await, true, "{path}");
            // The page has added no entry to the history, such as another form of its address.
            page.run("document.querySelector('footer a').click()").await;
            page.wait_for("the reference", "location.pathname === '/v1/docs' && document.querySelector('.opblock')")
                .await;
            page.run("history.back()").await;
            page.wait_for("the page again", "document.getElementById('welcome')?.hidden === false").await;
            // Nobody is signed in: the browser reports the 401 that says so.
            let mut errors = page.console_errors().await;
            errors.retain(|error| !error.contains("/v1/users/token") || !error.contains("status of 401"));
            assert!(errors.is_empty(), "{path}: {errors:#?}");
        }
    })
    .await;
    host.assert_nothing_outside();
}

#[tokio::test]
async fn the_reference_sends_its_requests_below_the_base_path() {
    let host = Host::start().await;
    with_browser(async |page| {
        for path in ["/v1/docs", "/v1/docs/", "/v1/docs/?from=elsewhere#/Operation/health"] {
            page.open(&host.url(path)).await;
            page.wait_for("the reference", "document.querySelector('.opblock')").await;
            let server = page.run("return document.querySelector('.servers option').value").await;
            assert_eq!(server, host.url("/v1"), "{path}");
            page.wait_for(
                "the health check can be sent",
                "(() => {
                    const health = document.querySelector('#operations-Operation-health');
                    const send = health.querySelector('.execute');
                    if (!send) health.querySelector('.opblock-summary-control[aria-expanded=false]')?.click();
                    return send;
                })()",
            )
            .await;
            page.run("document.querySelector('#operations-Operation-health .execute').click()").await;
            let answer = "document.querySelector('#operations-Operation-health .live-responses-table .response')";
            page.wait_for("the answer", &format!("{answer}?.innerText.startsWith('200')")).await;
            let sent = page.text("#operations-Operation-health .request-url").await;
            assert!(sent.contains(&host.url("/v1/health")), "{path}: {sent}");
            let errors = page.console_errors().await;
            assert!(errors.is_empty(), "{path}: {errors:#?}");
        }
    })
    .await;
    host.assert_nothing_outside();
}

#[tokio::test]
async fn the_client_takes_its_base_in_any_form_and_finds_every_page() {
    let (host, user) = (Host::start().await, Api::shared().user().await);
    for title in ["First", "Second", "Third", "Fourth", "Fifth"] {
        user.task(title).await;
    }
    let titles = json!([["Fifth", "Fourth"], ["Third", "Second"], ["First"]]);
    let absolute = [host.url("/v1"), host.url("/v1/"), host.url("/v1?x=y#z"), host.url("/v1/?x=y/#z/")];
    let relative = ["/v1", "/v1/", "", ".", "./", "../v1", "../v2/"].map(str::to_owned);
    with_browser(async |page| {
        page.open(&host.url("/v1/")).await;
        for base in absolute.iter().chain(&relative) {
            let script = format!(
                r#"
                const {{ TaskApi }} = await import("/v1/web/api.js");
                const [base, email, password] = {};
                const found = [];
                for (const api of [new TaskApi(base), new TaskApi(new URL(base, document.baseURI))]) {{
                    api.session = await api.signIn(email, password);
                    const pages = [];
                    for (let next; next !== null; ) {{
                        const page = await api.listTasks({{ limit: 2, completed: false, next }});
                        pages.push(page.tasks.map((task) => task.title));
                        next = page.next;
                    }}
                    found.push(pages);
                }}
                return found;"#,
                json!([base, user.email, PASSWORD])
            );
            assert_eq!(page.run_async(&script).await, json!([titles, titles]), "{base:?}");
        }
    })
    .await;
    host.assert_nothing_outside();
}

#[tokio::test]
async fn stages_on_one_host_keep_their_sessions_apart() {
    let [one, two] = ["one", "two"].map(|stage| TestServer::start(&Settings::shared().with("STAGE", stage)));
    let host = Host::start_https(&[("/v1", &one.api), ("/v2", &two.api)]).await;
    let (ada, bob) = two_users().await;
    ada.task("Ada's").await;
    bob.task("Bob's").await;
    with_browser(async |page| {
        for (path, user, title) in [("/v1/", &ada, "Ada's"), ("/v2/", &bob, "Bob's")] {
            page.open(&host.url(path)).await;
            page.wait_for("the sign-in form", "!document.getElementById('sign-in').closest('[hidden]')").await;
            page.sign_in(&user.email).await;
            page.wait_for_titles(&[title]).await;
        }
        page.open(&host.url("/v1")).await;
        page.wait_for_titles(&["Ada's"]).await;
        page.press_button("Sign out").await;
        page.wait_for_text("You are signed out.").await;
        page.open(&host.url("/v2")).await;
        page.wait_for_titles(&["Bob's"]).await;
    })
    .await;
    host.assert_nothing_outside();
}
