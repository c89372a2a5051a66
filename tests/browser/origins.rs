//! Cross-origin use of the API, with the page's own client.

use serde_json::json;
use tests::{
    api::{Api, PASSWORD, fresh_email},
    browser::with_browser,
    database::set_signin_failures,
    origins::{CLIENT, FIRST_CLIENT, serve_empty_page, serve_empty_page_with},
    server::{Settings, TestServer},
};

/// What any client of ours can do, from a page of another origin. `next` is how it is given the next page.
async fn journey(client: &str, next: &str) {
    let (origin, email) = (serve_empty_page_with(client).await, fresh_email());
    let api = Api::shared().url("/");
    with_browser(async |page| {
        page.open(&origin).await;
        let journey = format!(
            r#"
            const {{ TaskApi, Changed, Problem, newKey }} = await import("/api.js");
            const [base, email, password] = {};
            const failure = (call) => call.then(() => null, (error) => error);
            const api = new TaskApi(base);
            const account = await api.signUp(email, password);
            const taken = await failure(api.signUp(email, password));
            api.session = await api.signIn(email, password);
            const key = newKey();
            const first = await api.createTask({{ title: "First", description: "words" }}, key);
            const again = await api.createTask({{ title: "First", description: "words" }}, key);
            const second = await api.createTask({{ title: "Second" }}, newKey());
            const page = await api.listTasks({{ limit: 1 }});
            const rest = await api.listTasks({{ next: {next} }});
            const got = await api.task(first.id);
            const done = await api.updateTask(got, {{ completed: true }});
            const stale = await failure(api.updateTask(got, {{ title: "Lost" }}));
            await api.deleteTask(done);
            const deleted = await failure(api.task(first.id));
            const renewed = await api.changePassword(password, password + "!");
            const stays = await api.account();
            const other = new TaskApi(base);
            other.session = await other.signIn(email, password + "!");
            const me = await other.account();
            await other.deleteAccount();
            return {{
                same: [renewed, stays, me].every(({{ id }}) => id === account.id),
                taken: taken.status,
                once: again.id === first.id,
                pages: [page.tasks.map((task) => task.title), rest.tasks.map((task) => task.title), rest.next],
                tags: [first.etag === got.etag, done.etag !== got.etag, /^"[^"]+"$/.test(got.etag)],
                stale: [stale instanceof Changed, stale.current?.completed],
                gone: deleted.status,
                ended: await failure(api.account()).then((error) => [error.status, error.tokenIsInvalid]),
            }};"#,
            json!([api, email, PASSWORD])
        );
        let found = page.run_async(&journey).await;
        let expected = json!({
            "same": true,
            "taken": 409,
            "once": true,
            "pages": [["Second"], ["First"], null],
            "tags": [true, true, true],
            "stale": [true, true],
            "gone": 403,
            "ended": [401, true],
        });
        assert_eq!(found, expected);
    })
    .await;
}

#[tokio::test]
async fn a_page_of_another_origin_can_do_everything() {
    journey(CLIENT, "page.next").await;
}

/// It takes the target of `Link` for a path of the host, not for one relative to the request as RFC 8288 has it.
#[tokio::test]
async fn the_client_of_the_first_release_still_works_but_for_the_next_page() {
    journey(FIRST_CLIENT, "`users/${api.session.user_id}/tasks${page.next}`").await;
}

#[tokio::test]
async fn a_client_gets_the_next_token_once_for_all_requests_that_wait() {
    let (origin, user) = (serve_empty_page().await, Api::shared().user().await);
    let server = TestServer::start(&Settings::shared());
    with_browser(async |page| {
        page.open(&origin).await;
        let script = format!(
            r#"
            const {{ TaskApi }} = await import("/api.js");
            const [base, email, password] = {};
            const [kept, ends] = [[], []];
            const options = {{ onSession: (session) => kept.push(session), onSessionEnd: () => ends.push(api.session) }};
            const api = new TaskApi(base, options);
            api.session = await api.signIn(email, password);
            const ask = async () => {{
                const answers = await Promise.allSettled(Array.from({{ length: 10 }}, () => api.account()));
                return answers.filter((it) => it.value?.email === email).length;
            }};
            const answered = [await ask()];
            // One that has expired by this clock, and then by the service's alone.
            api.session = {{ ...api.session, token: "x", expires_at: Date.now() }};
            answered.push(await ask());
            api.session = {{ ...api.session, token: "x" }};
            answered.push(await ask());

            // A page that starts with what it has stored.
            const again = new TaskApi(base);
            again.session = JSON.parse(JSON.stringify(kept.at(-1)));
            const next = await again.refresh();
            await again.signOut();
            api.session = {{ ...api.session, token: "x" }};
            answered.push(await ask());
            return [answered, kept.length, ends, next.session_id === kept[0].session_id, again.session];"#,
            json!([server.api.url("/"), user.email, PASSWORD])
        );
        assert_eq!(page.run_async(&script).await, json!([[10, 10, 10, 0], 2, [null], true, null]));
    })
    .await;
    let refreshes: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|line| line["route"] == "POST /users/token")
        .map(|line| line["status"].clone())
        .collect();
    assert_eq!(refreshes, [200, 200, 200, 401]);
}

#[tokio::test]
async fn a_page_of_another_origin_can_read_every_header_it_needs() {
    let origin = serve_empty_page().await;
    let api = Api::shared().url("/");
    with_browser(async |page| {
        page.open(&origin).await;
        let throttled = Api::shared().user().await;
        set_signin_failures(&throttled.email, 1000, 1000, 0).await;
        let headers = format!(
            r#"
            const [base, email, password, token, mine] = {};
            const body = (value) => ({{ method: "POST", body: JSON.stringify(value) }});
            const json = {{ "content-type": "application/json" }};
            const refused = await fetch(base + "users/signin", {{ ...body({{ email, password }}), headers: json }});
            const headers = {{ ...json, authorization: "Bearer " + token }};
            const made = await fetch(base + mine, {{ ...body({{ title: "A task" }}), headers }});
            const location = new URL(made.headers.get("location"), made.url).href;
            return [refused.status, Number(refused.headers.get("retry-after")) > 60, location];"#,
            json!([api, throttled.email, PASSWORD, throttled.token, throttled.path("/tasks").trim_start_matches('/')])
        );
        let found = page.run_async(&headers).await;
        assert_eq!((&found[0], &found[1]), (&json!(429), &json!(true)));
        let location = found[2].as_str().expect("a location");
        assert!(location.starts_with(&format!("{api}{}", &throttled.path("/tasks/")[1..])), "{location}");
    })
    .await;
}

#[tokio::test]
async fn a_page_of_an_origin_that_is_not_allowed_cannot_read_answers() {
    let (origin, stranger) = (serve_empty_page().await, serve_empty_page().await);
    let server = TestServer::start(&Settings::shared().allow_origin(&origin));
    let user = Api::shared().user().await;
    with_browser(async |page| {
        let sign_in = format!(
            r#"
            const {{ TaskApi, NoAnswer }} = await import("/api.js");
            const [base, email, password] = {};
            const outcome = await new TaskApi(base).signIn(email, password).catch((error) => error);
            return outcome instanceof NoAnswer;"#,
            json!([server.api.url("/"), user.email, PASSWORD])
        );
        for (page_origin, is_refused) in [(&origin, false), (&stranger, true)] {
            page.open(page_origin).await;
            assert_eq!(page.run_async(&sign_in).await, is_refused, "{page_origin}");
        }
    })
    .await;
}
