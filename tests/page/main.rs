//! How long the page takes: `make bench-page` measures it in Chromium and writes `docs/page.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::{fmt::Write, fs};

use serde_json::{Value, json};
use tests::{
    api::{Api, User},
    base_path::{Host, page_version},
    browser::{Page, with_browser},
    database::connect_as_superuser,
    workspace::root,
};

/// How often each visit is measured.
const RUNS: usize = 5;
/// Milliseconds from a request to its response.
const LATENCY: u32 = 400;
/// Bytes a second.
const BANDWIDTH: u32 = 50_000;
/// How many tasks are scrolled.
const MANY: u32 = 5_000;

/// A visit: milliseconds until something is painted, and until the first task is.
struct Visit {
    paint: f64,
    list: f64,
}

/// Marks when the first task is there.
const OBSERVE: &str = "
    new MutationObserver((_, observer) => {
        if (!document.querySelector('.task')) return;
        performance.mark('list');
        observer.disconnect();
    }).observe(document, { childList: true, subtree: true });";

const TIMES: &str = "
    const at = (name) => performance.getEntriesByName(name)[0]?.startTime ?? null;
    return [at('first-contentful-paint'), at('list')];";

async fn visit(page: &Page, host: &Host, path: &str) -> Visit {
    page.open("about:blank").await;
    page.open(&host.url(path)).await;
    page.wait_for("the first task", "performance.getEntriesByName('list').length").await;
    page.wait_for("the first paint", "performance.getEntriesByName('first-contentful-paint').length").await;
    let [paint, list]: [f64; 2] = serde_json::from_value(page.run(TIMES).await).unwrap();
    Visit { paint, list }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// First and second visits of a user who is signed in, each in a browser that has never seen the page.
async fn visits(user: &User) -> [Vec<Visit>; 2] {
    let host = Host::start_http2(&[("/v1", &Api::shared())]).await;
    let version = page_version(&Api::shared()).await;
    let mut visits = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        with_browser(async |page| {
            // Signs in, and forgets all but the cookie.
            page.open(&host.url("/v1/")).await;
            page.sign_in(&user.email).await;
            page.forget_all_but_cookies().await;
            page.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": OBSERVE })).await;
            page.command("Network.enable", json!({})).await;
            let network = json!({
                "offline": false, "latency": LATENCY, "downloadThroughput": BANDWIDTH, "uploadThroughput": BANDWIDTH,
            });
            page.command("Network.emulateNetworkConditions", network).await;
            visits[0].push(visit(page, &host, "/v1/").await);
            page.wait_until_kept("/v1/", &version).await;
            visits[1].push(visit(page, &host, "/v1/").await);
        })
        .await;
    }
    visits
}

/// Scrolls on, half a screen a frame: the milliseconds of each frame, and whether this is the end.
const SCROLL: &str = "
    const frames = [];
    let last = await new Promise(requestAnimationFrame);
    let still = 0;
    while (frames.length < 200 && still < 30) {
        const before = scrollY;
        scrollBy({ top: innerHeight / 2, behavior: 'instant' });
        const now = await new Promise(requestAnimationFrame);
        frames.push(now - last);
        last = now;
        still = scrollY > before ? 0 : still + 1;
    }
    return [frames, still > 0];";

/// Of a list of many tasks, scrolled from top to bottom: the milliseconds of each frame, and how many rows there are then.
async fn scroll() -> (Vec<f64>, Value) {
    let user = Api::shared().user().await;
    let sql = format!(
        "INSERT INTO tasks (user_id, title, created_at, updated_at)
         SELECT '{}', 'Task ' || n, now() - n * interval '1 minute', now() - n * interval '1 minute'
         FROM generate_series(1, {MANY}) n",
        user.id
    );
    connect_as_superuser().await.batch_execute(&sql).await.unwrap();
    let host = Host::start().await;
    let (mut frames, mut rows) = (Vec::new(), Value::Null);
    with_browser(async |page| {
        page.open(&host.url("/v1/")).await;
        page.sign_in(&user.email).await;
        page.wait_for_text(&format!("{},{:03}", MANY / 1000, MANY % 1000)).await;
        loop {
            let (found, is_end): (Vec<f64>, bool) = serde_json::from_value(page.run_async(SCROLL).await).unwrap();
            frames.extend(found);
            if is_end {
                break;
            }
        }
        rows = page.run("return document.querySelectorAll('.task').length").await;
    })
    .await;
    (frames, rows)
}

#[tokio::main]
async fn main() {
    let user = Api::shared().user().await;
    for number in 1..=25 {
        user.task(&format!("Task {number}")).await;
    }
    let mut report = format!(
        "# How long the page takes\n\n\
         Written by `make bench-page`: medians of {RUNS} visits in Chromium, behind a network of {LATENCY} ms and {} kB/s, \
         over HTTP/2. The user is signed in and has 25 tasks. At the first visit the browser has nothing but the session's cookie; \
         the second is the next one. Milliseconds until something is painted, and until the first task is.\n\n\
         | visit | paint | list |\n|---|---:|---:|\n",
        BANDWIDTH / 1000
    );
    for (name, visits) in ["first", "second"].iter().zip(visits(&user).await) {
        let of = |value: fn(&Visit) -> f64| median(visits.iter().map(value).collect());
        let (paint, list) = (of(|visit| visit.paint), of(|visit| visit.list));
        writeln!(report, "| {name} | {paint:.0} | {list:.0} |").unwrap();
    }
    let (frames, rows) = scroll().await;
    writeln!(
        report,
        "\nA list of {MANY} tasks is scrolled from top to bottom, half a screen a frame: {} frames, the longest of {:.0} ms, \
         half of them below {:.0} ms. At the end there are {rows} rows.",
        frames.len(),
        frames.iter().copied().fold(0.0, f64::max),
        median(frames.clone())
    )
    .unwrap();
    fs::write(root().join("docs/page.md"), &report).unwrap();
    println!("{report}");
}
