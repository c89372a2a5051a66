//! Sign-ins that fail, again and again.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use tests::{
    api::{Api, PASSWORD, Reply, fresh_email, invoke},
    database::{column, connect, direct_url, set_signin_failures, set_signin_failures_from},
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
        WHERE key IN (sha256(convert_to($1, 'UTF8')), sha256(convert_to($1 || ' 127.0.0.1', 'UTF8')))
        ORDER BY failures";
    let rows = database().await.query_typed(sql, &[(&email, Type::TEXT)]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A failure that is yet to come: a wait of a second would pass while a slow machine answers, that of a minute does not.
const IN_A_MINUTE: i32 = -60;

/// The answer to a sign-in after so many failures, the last of them in a minute: it is to wait so many seconds from then
/// on.
async fn held_up(api: &Api, email: &str, password: &str, [here, anywhere]: [i32; 2], seconds: u64) -> Reply {
    let begin = Instant::now();
    set_signin_failures(email, here, anywhere, IN_A_MINUTE).await;
    let reply = api.sign_in(email, password).await.expect(429);
    let wait = wait(&reply) - 60;
    let waits = wait..=wait + begin.elapsed().as_secs();
    assert!(waits.contains(&seconds), "{here} and {anywhere} failures: {waits:?} s, not {seconds} s");
    reply
}

fn wait(reply: &Reply) -> u64 {
    reply.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn ten_failures_hold_up_even_the_right_password_and_a_success_forgets_them() {
    let user = Api::shared().user().await;
    let sign_in = async |password: &str| user.api.sign_in(&user.email, password).await;
    for _ in 0..9 {
        sign_in(WRONG).await.expect(401);
    }
    set_signin_failures(&user.email, 9, 9, IN_A_MINUTE).await;
    sign_in(PASSWORD).await.expect(200);
    assert_eq!(failures_of(&user.email).await, [0; 0], "a success forgets");
    for _ in 0..10 {
        sign_in(WRONG).await.expect(401);
    }
    assert_eq!(failures_of(&user.email).await, [10, 10]);
    for password in [PASSWORD, WRONG] {
        held_up(&user.api, &user.email, password, [10, 10], 1).await;
    }
    set_signin_failures(&user.email, 10, 10, 1).await;
    sign_in(PASSWORD).await.expect(200);
    sign_in(WRONG).await.expect(401);
    sign_in(PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_address_without_an_account_is_held_up_the_same() {
    let (api, email) = (Api::shared(), fresh_email());
    let known = api.user().await;
    let mut bodies = Vec::new();
    for email in [&email, &known.email] {
        set_signin_failures(email, 9, 9, 0).await;
        api.sign_in(email, WRONG).await.expect(401);
        assert_eq!(failures_of(email).await, [10, 10]);
        let mut reply = held_up(&api, email, WRONG, [10, 10], 1).await;
        reply.body["request_id"] = json!(null);
        bodies.push(reply.body.clone());
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn the_wait_doubles_with_every_failure_up_to_15_minutes() {
    let api = Api::shared();
    for (failures, seconds) in [(10, 1), (11, 2), (12, 4), (15, 32), (19, 512), (20, 900), (1000, 900)] {
        held_up(&api, &fresh_email(), WRONG, [failures, failures], seconds).await;
    }
}

#[tokio::test]
async fn a_hundred_failures_from_anywhere_hold_up_everybody() {
    let user = Api::shared().user().await;
    set_signin_failures(&user.email, 0, 99, 0).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    assert_eq!(failures_of(&user.email).await, [1, 100]);
    held_up(&user.api, &user.email, PASSWORD, [1, 100], 1).await;
    set_signin_failures(&user.email, 1, 99, IN_A_MINUTE).await;
    user.api.sign_in(&user.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn the_current_password_is_guessed_no_faster_with_a_token_than_without() {
    let user = Api::shared().user().await;
    let guess = async |password: &str| user.put("", &json!({"current_password": password, "email": user.email})).await;
    guess(WRONG).await.expect(401);
    guess(PASSWORD).await.expect(200);
    assert_eq!(failures_of(&user.email).await, [0; 0], "a success forgets");
    set_signin_failures(&user.email, 4, 4, 0).await;
    guess(WRONG).await.expect(401);
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    assert_eq!(failures_of(&user.email).await, [6, 6], "the two are counted together");
    set_signin_failures(&user.email, 10, 10, IN_A_MINUTE).await;
    assert!(wait(&guess(PASSWORD).await.expect(429)) > 1, "right or not");
    user.api.sign_in(&user.email, PASSWORD).await.expect(429);
    user.get("").await.expect(200);
}

#[tokio::test]
async fn failures_of_yesterday_do_not_count_and_are_swept_away() {
    let user = Api::shared().user().await;
    let yesterday = 25 * 60 * 60;
    let leave = async |email: &str| set_signin_failures(email, 50, 500, 40 * yesterday).await;
    let [abandoned, of_another] = [fresh_email(), fresh_email()];
    for email in [&abandoned, &user.email] {
        leave(email).await;
        user.api.sign_in(&user.email, PASSWORD).await.expect(200);
        assert_eq!(failures_of(email).await, [0; 0], "by a sign-in");
    }
    leave(&abandoned).await;
    let body = json!({"current_password": PASSWORD, "email": user.email});
    user.put("", &body).await.expect(200);
    assert_eq!(failures_of(&abandoned).await, [0; 0], "by a change of an account");
    leave(&abandoned).await;
    user.api.sign_up(&of_another).await.expect(201);
    assert_eq!(failures_of(&abandoned).await, [0; 0], "by a sign-up");

    set_signin_failures(&user.email, 50, 500, yesterday).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    assert_eq!(failures_of(&user.email).await, [1, 1], "counted anew");
    // One of the two is of yesterday.
    set_signin_failures_from("127.0.0.1", &user.email, 50, yesterday).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    assert_eq!(failures_of(&user.email).await, [1, 2]);
}

/// Lets a sign-in fail that comes from a network of its own.
async fn fail_from(network: &str, email: &str) {
    let event = json!({
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"sourceIp": network}},
        "body": json!({"email": email, "password": WRONG}).to_string(),
    });
    let answer = invoke("signin", &event).await;
    assert_eq!(answer["statusCode"], 401, "{answer}");
}

/// The failures of an address from that network.
async fn failures_from(network: &str, email: &str) -> Option<i32> {
    let sql = "SELECT failures FROM signin_failures WHERE key = sha256(convert_to($1 || ' ' || $2, 'UTF8'))";
    let rows = database().await.query_typed(sql, &[(&email, Type::TEXT), (&network, Type::TEXT)]).await.unwrap();
    rows.first().map(|row| row.get(0))
}

/// A network that no test is in.
const ELSEWHERE: &str = "192.0.2.77";

#[tokio::test]
async fn an_account_takes_its_failures_along() {
    let user = Api::shared().user().await;
    fail_from(ELSEWHERE, &user.email).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    assert_eq!((failures_of(&user.email).await, failures_from(ELSEWHERE, &user.email).await), (vec![1, 2], Some(1)));
    user.delete("").await.expect(204);
    assert_eq!((failures_of(&user.email).await, failures_from(ELSEWHERE, &user.email).await), (vec![], None));
}

#[tokio::test]
async fn a_sign_up_starts_without_failures_and_one_that_is_refused_clears_none() {
    let (api, email) = (Api::shared(), fresh_email());
    fail_from(ELSEWHERE, &email).await;
    set_signin_failures(&email, 10, 100, IN_A_MINUTE).await;
    api.sign_in(&email, PASSWORD).await.expect(429);
    api.sign_up(&email).await.expect(201);
    assert_eq!((failures_of(&email).await, failures_from(ELSEWHERE, &email).await), (vec![], None));
    api.sign_in(&email, PASSWORD).await.expect(200);

    fail_from(ELSEWHERE, &email).await;
    api.sign_up(&email).await.expect(409);
    assert_eq!(failures_from(ELSEWHERE, &email).await, Some(1));
}

#[tokio::test]
async fn an_address_that_an_account_leaves_or_comes_to_starts_without_failures() {
    let (user, new) = (Api::shared().user().await, fresh_email());
    for email in [&user.email, &new] {
        fail_from(ELSEWHERE, email).await;
    }
    let change_to = async |email: &str| user.put("", &json!({"current_password": PASSWORD, "email": email})).await;
    change_to(&user.email).await.expect(200);
    assert_eq!(failures_from(ELSEWHERE, &user.email).await, Some(1), "the address is the one that it was");
    change_to(&new).await.expect(200);
    for email in [&user.email, &new] {
        assert_eq!((failures_of(email).await, failures_from(ELSEWHERE, email).await), (vec![], None));
    }

    let other = user.api.user().await;
    fail_from(ELSEWHERE, &other.email).await;
    change_to(&other.email).await.expect(409);
    assert_eq!(failures_from(ELSEWHERE, &other.email).await, Some(1));
}

#[tokio::test]
async fn the_first_release_counts_with_this_one_while_both_run() {
    let (api, email) = (Api::shared(), fresh_email());
    // Its statement, for the count of an address from anywhere.
    let count = "INSERT INTO signin_failures AS known (key, failures, failed_at)
        SELECT sha256(convert_to($1, 'UTF8')), 1, CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
        ON CONFLICT (key) DO UPDATE SET failed_at = excluded.failed_at, failures = known.failures + 1";
    let count = async || database().await.query_typed(count, &[(&email, Type::TEXT)]).await.unwrap();
    count().await;
    api.sign_in(&email, WRONG).await.expect(401);
    assert_eq!(failures_of(&email).await, [1, 2]);
    count().await;
    assert_eq!(failures_of(&email).await, [1, 3]);
    api.sign_up(&email).await.expect(201);
    assert_eq!(failures_of(&email).await, [0; 0]);
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
    // The processes start with these, not while the wait of the others passes.
    join_all((0..4).map(async |_| watch.api.sign_in(&fresh_email(), WRONG).await.expect(401))).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    let begin = Instant::now();
    let replies = join_all((0..30).map(|_| watch.api.sign_in(&user.email, WRONG))).await;
    // One more is looked at after a second, the next after two more, then four.
    let waits_passed = (begin.elapsed().as_secs() + 1).ilog2() as usize;
    let looked_at = replies.iter().filter(|reply| reply.status == 401).count();
    assert!((9..=9 + waits_passed).contains(&looked_at), "the tenth failure is the last that is looked at");
    assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 30 - looked_at);
    let counted = i32::try_from(1 + looked_at).unwrap();
    assert_eq!(failures_of(&user.email).await, [counted, counted], "what is looked at is counted");
}

#[tokio::test]
async fn a_known_and_an_unknown_address_take_the_same_time() {
    let watch = Watch::start(&Settings::of_the_stack());
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
