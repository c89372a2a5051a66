//! How the page is loaded, kept for the next visit, and replaced by the next release.

use std::collections::BTreeMap;

use serde_json::json;
use tests::{
    api::Api,
    base_path::{Host, Received, page_version},
    browser::{Page, with_browser},
    relay::Relay,
};

/// Of the release that [`Host::deploy`] pretends to.
const NEXT: &str = "feedfacefeedface";

/// Opens the page and waits until it can be used.
async fn open(page: &Page, url: &str) {
    page.open(url).await;
    page.wait_for("the sign-in form", "document.querySelector('#welcome:not([hidden]) #sign-in')").await;
}

async fn is_kept(page: &Page, base: &str, version: &str) -> bool {
    let cache = format!("task-api-page {base} {version}");
    page.run_async(&format!("return caches.has({})", json!(cache))).await == json!(true)
}

/// The release of the open page. Everything it has loaded is of the same one.
async fn release(page: &Page) -> String {
    let version = page.run("return document.querySelector('meta[name=version]').content").await;
    let version = version.as_str().expect("a version").to_owned();
    let loaded = page.run("return performance.getEntriesByType('resource').map(({ name }) => name)").await;
    let loaded: Vec<String> = serde_json::from_value(loaded).expect("URLs");
    let files: Vec<_> = loaded.iter().filter(|url| url.contains("/web/") || url.contains("?asset=")).collect();
    assert!(files.iter().any(|url| url.ends_with("/web.js")), "{files:?}");
    assert!(files.iter().all(|url| url.contains(&version)), "{version}: {files:?}");
    version
}

/// The requests for the page and its files, except whether there is another release.
fn files(requests: Vec<Received>) -> Vec<String> {
    let names = requests.into_iter().map(|it| format!("{}?{}", it.route, it.query));
    names.filter(|name| name.starts_with("GET ") && !name.ends_with("/?asset=sw.js")).collect()
}

#[tokio::test]
async fn the_second_visit_asks_for_no_file_and_needs_no_network() {
    let (host, version) = (Host::start().await, page_version(&Api::shared()).await);
    let (relay, _) = Relay::in_front_of(&host.url("/")).await;
    // Without the slash, the release is kept for the address with it, which is the one that is shown and bookmarked.
    for path in ["/v1/", "/v1", "/v1?from=elsewhere#top"] {
        with_browser(async |page| {
            open(page, &relay.url(&host.url(path))).await;
            page.wait_until_kept("/v1/", &version).await;
            host.forget_requests();
            for again in ["/v1/", "/v1/?q=milk#top"] {
                open(page, &relay.url(&host.url(again))).await;
                assert_eq!(release(page).await, version);
            }
            assert_eq!(files(host.requests()), [""; 0], "{path}");

            // Another page below the base is not this one.
            page.open(&relay.url(&host.url("/v1/docs"))).await;
            page.wait_for("the reference", "document.querySelector('.opblock')").await;
            assert_eq!(files(host.requests())[0], "GET /v1/docs?", "{path}");

            relay.refuse(true);
            relay.cut();
            page.open(&relay.url(&host.url("/v1/?q=milk"))).await;
            let program =
                format!("await import(new URL('web/releases/{version}/web.js', document.baseURI)); return true");
            assert_eq!(page.run_async(&program).await, true);
            assert_eq!(page.run("return document.getElementById('load-failure').hidden").await, true);
            assert_eq!(page.run("return document.styleSheets[0].cssRules.length > 0").await, true);
            relay.refuse(false);
        })
        .await;
    }
    host.assert_nothing_outside();
}

#[tokio::test]
async fn the_next_release_takes_over_when_it_is_there_wholly() {
    let (host, version) = (Host::start().await, page_version(&Api::shared()).await);
    with_browser(async |page| {
        for base in ["/v2/", "/v1/"] {
            open(page, &host.url(base)).await;
            page.wait_until_kept(base, &version).await;
        }

        // During a deployment some requests are answered by one release, some by the other.
        host.deploy(NEXT, true).await;
        open(page, &host.url("/v1/")).await;
        let attempt = "
            const worker = await navigator.serviceWorker.getRegistration();
            const { installing } = await worker.update().catch(() => worker);
            while (installing && installing.state !== 'redundant') await new Promise((resolve) => setTimeout(resolve, 50));
            return Boolean(installing);";
        assert_eq!(page.run_async(attempt).await, true);
        assert!(!is_kept(page, "/v1/", NEXT).await);
        open(page, &host.url("/v1/")).await;
        assert_eq!(release(page).await, version);

        host.deploy(NEXT, false).await;
        open(page, &host.url("/v1/")).await;
        page.wait_until_kept("/v1/", NEXT).await;
        // The page that is open goes on with its own files.
        host.forget_requests();
        let own = format!("return (await fetch('web/releases/{version}/web.js')).ok");
        assert_eq!(page.run_async(&own).await, true);
        assert_eq!(release(page).await, version);
        open(page, &host.url("/v1/")).await;
        assert_eq!(release(page).await, NEXT);
        assert_eq!(files(host.requests()), [""; 0]);

        // What is kept of other stages on this host stays; of this one no more than the last release.
        host.deploy("cafecafecafecafe", false).await;
        open(page, &host.url("/v1/")).await;
        page.wait_until_kept("/v1/", "cafecafecafecafe").await;
        let kept = [("/v1/", &*version), ("/v1/", NEXT), ("/v2/", &*version)];
        let mut found = Vec::new();
        for (base, version) in kept {
            found.push(is_kept(page, base, version).await);
        }
        assert_eq!(found, [false, true, true]);
    })
    .await;
    host.assert_nothing_outside();
}

#[tokio::test]
async fn a_page_that_meets_two_releases_at_once_works() {
    let host = Host::start().await;
    host.deploy(NEXT, true).await;
    with_browser(async |page| {
        open(page, &host.url("/v1/")).await;
        assert_eq!(release(page).await, NEXT);
        // What came from the other release under this one's name is not kept.
        page.reload().await;
        let asked = "performance.getEntriesByType('resource').some(({ name, transferSize }) => \
                     name.endsWith('/web.js') && transferSize > 0)";
        page.wait_for("another request for a module", asked).await;
    })
    .await;
}

#[tokio::test]
async fn a_program_that_cannot_be_loaded_is_said_and_loaded_anew() {
    let host = Host::start().await;
    with_browser(async |page| {
        page.block(&["*/web.js"]).await;
        page.open(&host.url("/v1/")).await;
        page.wait_for_text("A part of this page could not be loaded.").await;
        assert_eq!(page.axe_violations().await, [""; 0]);
        page.block(&[]).await;
        page.press_button("Reload").await;
        page.wait_for("the sign-in form", "document.querySelector('#welcome:not([hidden]) #sign-in')").await;
        assert!(!page.text("body").await.contains("could not be loaded"));
    })
    .await;
}

#[tokio::test]
async fn the_first_visit_loads_less_than_60_kb_and_nothing_twice() {
    let (host, version) = (Host::start().await, page_version(&Api::shared()).await);
    with_browser(async |page| {
        open(page, &host.url("/v1/")).await;
        page.wait_until_kept("/v1/", &version).await;
    })
    .await;
    let requests = host.requests();
    let bytes: usize = requests.iter().map(|it| it.bytes).sum();
    assert!(bytes < 60_000, "{bytes} bytes: {requests:#?}");
    let mut times = BTreeMap::new();
    for file in files(requests.into_iter().filter(|it| it.status == 200).collect()) {
        *times.entry(file).or_insert(0) += 1;
    }
    assert!(times.len() > 4 && times.values().all(|times| *times == 1), "{times:#?}");
}

#[tokio::test]
async fn on_the_first_visit_the_first_tasks_are_asked_for_with_the_page() {
    let (host, user) = (Host::start().await, Api::shared().user().await);
    user.task("Buy milk").await;
    with_browser(async |page| {
        open(page, &host.url("/v1/")).await;
        page.sign_in(&user.email).await;
        page.wait_for_titles(&["Buy milk"]).await;
        page.forget_all_but_cookies().await;
        host.forget_requests();
        page.open(&host.url("/v1/")).await;
        page.wait_for_titles(&["Buy milk"]).await;
        // The program asks for the same, and finds that it has been asked for.
        let asked = page.run("return [...begun.keys()]").await;
        assert_eq!(asked, json!([]));
    })
    .await;
    let requests = host.requests();
    let times = |route: &str, query: &str| requests.iter().filter(|it| it.route == route && it.query == query).count();
    assert_eq!(times("POST /v1/users/token", ""), 1, "{requests:#?}");
    assert_eq!(times(&format!("GET /v1/users/{}/tasks", user.id), "limit=25"), 1, "{requests:#?}");
}

#[tokio::test]
async fn the_page_can_be_installed() {
    let host = Host::start().await;
    with_browser(async |page| {
        for path in ["/v1/", "/v1"] {
            open(page, &host.url(path)).await;
            assert_eq!(page.installability_errors().await, [json!(null); 0], "{path}");
        }
    })
    .await;
    host.assert_nothing_outside();
}
