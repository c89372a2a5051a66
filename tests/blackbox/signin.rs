//! Sign-ins that fail, again and again.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tests::{
    api::{Api, PASSWORD, Reply, fresh_email},
    database::{column, connect, direct_url, set_signin_failures},
    watch::{Settings, Watch},
};
use tokio_postgres::{Client, types::Type};

const WRONG: &str = "wrong password";

async fn database() -> Client {
    connect(&direct_url().unwrap()).await.unwrap()
}

async fn failures() -> Vec<String> {
    column(&database().await, "SELECT row_to_json(signin_failures)::text FROM signin_failures").await.unwrap()
}

/// The counts of an address, from this machine and from anywhere.
async fn failures_of(email: &str) -> Vec<i32> {
    let sql = "SELECT failures FROM signin_failures
        WHERE key IN (sha256(convert_to($1, 'UTF8')), sha256(convert_to($1 || ' 127.0.0.1', 'UTF8')))";
    let rows = database().await.query_typed(sql, &[(&email, Type::TEXT)]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// An API of the test's own: the first wait is a second, which would pass in the line before another's one process.
fn api_of_ones_own() -> Watch {
    Watch::start(&Settings::of_the_stack())
}

fn wait(reply: &Reply) -> u64 {
    reply.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn ten_failures_hold_up_even_the_right_password_and_a_success_forgets_them() {
    let watch = api_of_ones_own();
    let user = watch.api.user().await;
    for _ in 0..9 {
        user.api.sign_in(&user.email, WRONG).await.expect(401);
    }
    user.api.sign_in(&user.email, PASSWORD).await.expect(200);
    for _ in 0..10 {
        user.api.sign_in(&user.email, WRONG).await.expect(401);
    }
    for password in [PASSWORD, WRONG] {
        assert_eq!(wait(&user.api.sign_in(&user.email, password).await.expect(429)), 1);
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    user.api.sign_in(&user.email, PASSWORD).await.expect(200);
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    user.api.sign_in(&user.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_address_without_an_account_is_held_up_the_same() {
    let watch = api_of_ones_own();
    let (api, email) = (&watch.api, fresh_email());
    let known = api.user().await;
    let mut replies = Vec::new();
    for email in [&email, &known.email] {
        set_signin_failures(email, 9, 9, 0).await;
        api.sign_in(email, WRONG).await.expect(401);
        let mut reply = api.sign_in(email, WRONG).await.expect(429);
        reply.body["request_id"] = json!(null);
        replies.push((reply.body.clone(), wait(&reply)));
    }
    assert_eq!(replies[0], replies[1]);
}

#[tokio::test]
async fn the_wait_doubles_with_every_failure_up_to_15_minutes() {
    let watch = api_of_ones_own();
    let api = &watch.api;
    for (failures, seconds) in [(10, 1), (11, 2), (12, 4), (15, 32), (19, 512), (20, 900), (1000, 900)] {
        let email = fresh_email();
        set_signin_failures(&email, failures, failures, 0).await;
        let wait = wait(&api.sign_in(&email, WRONG).await.expect(429));
        // A little of the wait may have passed by now, and is not waited for again.
        assert!((seconds - seconds / 4..=seconds).contains(&wait), "{failures} failures: {wait} s, not {seconds} s");
    }
}

#[tokio::test]
async fn a_hundred_failures_from_anywhere_hold_up_everybody() {
    let watch = api_of_ones_own();
    let user = watch.api.user().await;
    set_signin_failures(&user.email, 0, 99, 0).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    user.api.sign_in(&user.email, PASSWORD).await.expect(429);
}

#[tokio::test]
async fn the_current_password_is_guessed_no_faster_with_a_token_than_without() {
    let watch = api_of_ones_own();
    let user = watch.api.user().await;
    let guess = async |password: &str| user.put("", &json!({"current_password": password, "email": user.email})).await;
    guess(WRONG).await.expect(401);
    guess(PASSWORD).await.expect(200);
    assert_eq!(failures_of(&user.email).await, [0; 0], "a success forgets");
    set_signin_failures(&user.email, 4, 4, 0).await;
    guess(WRONG).await.expect(401);
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    assert_eq!(failures_of(&user.email).await, [6, 6], "the two are counted together");
    set_signin_failures(&user.email, 14, 14, 0).await;
    assert!(wait(&guess(PASSWORD).await.expect(429)) > 1, "right or not");
    user.api.sign_in(&user.email, PASSWORD).await.expect(429);
    user.get("").await.expect(200);
}

#[tokio::test]
async fn failures_of_yesterday_do_not_count_and_are_swept_away() {
    let user = Api::shared().user().await;
    let abandoned = fresh_email();
    set_signin_failures(&abandoned, 5, 5, 25).await;
    set_signin_failures(&user.email, 50, 500, 25).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    user.api.sign_in(&user.email, PASSWORD).await.expect(200);
    // Some are swept with each first failure of an address: other tests may have left some to sweep, too.
    let old = "SELECT 'x' FROM signin_failures WHERE failed_at < now() AT TIME ZONE 'UTC' - interval '1 day'";
    for _ in 0..20 {
        if column(&database().await, old).await.unwrap().is_empty() {
            return;
        }
        user.api.sign_in(&fresh_email(), WRONG).await.expect(401);
    }
    panic!("old failures are still there");
}

#[tokio::test]
async fn failures_are_kept_without_the_address() {
    let (api, email) = (Api::shared(), fresh_email());
    let before = failures().await.len();
    api.sign_in(&email, WRONG).await.expect(401);
    let rows = failures().await;
    assert!(rows.len() > before || before > 0);
    let hexadecimal: String = email.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(rows.iter().all(|row| !row.contains(&email) && !row.contains(&hexadecimal) && !row.contains("127.0.0.1")));
}

#[tokio::test]
async fn attempts_side_by_side_do_not_slip_past_the_limit() {
    let watch = Watch::start(&Settings::of_the_stack().side_by_side(4));
    let user = Api::shared().user().await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    let replies = join_all((0..30).map(|_| watch.api.sign_in(&user.email, WRONG))).await;
    let looked_at = replies.iter().filter(|reply| reply.status == 401).count();
    assert_eq!(looked_at, 9, "the tenth failure is the last that is looked at");
    assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 21);
}

#[tokio::test]
async fn a_known_and_an_unknown_address_take_the_same_time() {
    let watch = api_of_ones_own();
    let known = Api::shared().user().await;
    let time = async |email: &str| {
        let begin = Instant::now();
        watch.api.sign_in(email, WRONG).await.expect(401);
        begin.elapsed()
    };
    time(&fresh_email()).await;
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for round in 0..27 {
        if round % 9 == 0 {
            // So that the known address is never held up.
            watch.api.sign_in(&known.email, PASSWORD).await.expect(200);
            time(&known.email).await;
        }
        let unknown = fresh_email();
        // An unknown address that has failed before as well: the same statements are sent for both.
        time(&unknown).await;
        if round % 9 < 8 {
            of_unknown.push(time(&unknown).await);
            of_known.push(time(&known.email).await);
        }
    }
    of_known.sort_unstable();
    of_unknown.sort_unstable();
    let ratio = of_known[of_known.len() / 2].as_secs_f64() / of_unknown[of_unknown.len() / 2].as_secs_f64();
    println!("known to unknown: {ratio:.3}");
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
}
