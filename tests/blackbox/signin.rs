//! Throttling of failed sign-ins.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, invoke},
    database::{column, connect_to_stack, set_signin_failures, set_signin_failures_from},
    server::{Settings, TestServer},
};
use tokio_postgres::types::Type;

const WRONG: &str = "wrong password";

async fn all_failures() -> Vec<String> {
    column(&connect_to_stack().await, "SELECT row_to_json(signin_failures)::text FROM signin_failures").await.unwrap()
}

/// How many sign-ins have failed for an e-mail address: from this machine and from anywhere, the lower number first.
async fn failures_of(email: &str) -> Vec<i32> {
    let sql = "SELECT failures FROM signin_failures
        WHERE key IN (sha256(convert_to($1, 'UTF8')), sha256(convert_to($1 || ' 127.0.0.1', 'UTF8')))
        ORDER BY failures";
    let rows = connect_to_stack().await.query_typed(sql, &[(&email, Type::TEXT)]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The network that tests sign in from.
const HERE: &str = "127.0.0.1";

/// For failures in the future: a delay of a second might pass while a slow machine answers, one of a minute does not.
const IN_A_MINUTE: i32 = -60;

/// Signs in after so many failures, the last of them in a minute, and checks that the delay after it is `seconds`.
async fn assert_throttled(api: &Api, email: &str, password: &str, [here, anywhere]: [i32; 2], seconds: u64) -> Reply {
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
async fn ten_failures_throttle_even_the_right_password_and_a_success_resets_them() {
    let user = Api::shared().user().await;
    let sign_in = async |password: &str| user.api.sign_in(&user.email, password).await;
    for _ in 0..9 {
        sign_in(WRONG).await.expect(401);
    }
    set_signin_failures_from(HERE, &user.email, 9, IN_A_MINUTE).await;
    sign_in(PASSWORD).await.expect(200);
    assert_eq!(failures_of(&user.email).await, [0; 0], "a success resets");
    for _ in 0..10 {
        sign_in(WRONG).await.expect(401);
    }
    assert_eq!(failures_of(&user.email).await, [10], "a network of the account's is counted by itself");
    for password in [PASSWORD, WRONG] {
        assert_throttled(&user.api, &user.email, password, [10, 10], 1).await;
    }
    set_signin_failures(&user.email, 10, 10, 1).await;
    sign_in(PASSWORD).await.expect(200);
    sign_in(WRONG).await.expect(401);
    sign_in(PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_email_without_an_account_is_throttled_the_same() {
    let (api, email) = (Api::shared(), fresh_email());
    let known = fresh_email();
    api.sign_up(&known).await.expect(201);
    let mut bodies = Vec::new();
    for email in [&email, &known] {
        set_signin_failures(email, 9, 9, 0).await;
        api.sign_in(email, WRONG).await.expect(401);
        assert_eq!(failures_of(email).await, [10, 10]);
        let mut reply = assert_throttled(&api, email, WRONG, [10, 10], 1).await;
        reply.body["request_id"] = json!(null);
        bodies.push(reply.body.clone());
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn the_delay_doubles_with_every_failure_up_to_15_minutes() {
    let api = Api::shared();
    for (failures, seconds) in [(10, 1), (11, 2), (12, 4), (15, 32), (19, 512), (20, 900), (1000, 900)] {
        assert_throttled(&api, &fresh_email(), WRONG, [failures, failures], seconds).await;
    }
}

#[tokio::test]
async fn a_hundred_failures_from_anywhere_throttle_every_network_but_the_accounts_own() {
    let (api, email) = (Api::shared(), fresh_email());
    api.sign_up(&email).await.expect(201);
    set_signin_failures(&email, 0, 99, 0).await;
    api.sign_in(&email, WRONG).await.expect(401);
    assert_eq!(failures_of(&email).await, [1, 100]);
    assert_throttled(&api, &email, PASSWORD, [1, 100], 1).await;
    set_signin_failures(&email, 1, 99, IN_A_MINUTE).await;
    let session = api.sign_in(&email, PASSWORD).await.expect(200);

    set_signin_failures(&email, 0, 1000, IN_A_MINUTE).await;
    api.sign_in(&email, PASSWORD).await.expect(200);
    assert_eq!(sign_in_from(ELSEWHERE, &email, PASSWORD).await, 429);
    let user =
        User { api: api.clone(), id: session.body["user_id"].as_str().unwrap().into(), email, token: session.token() };
    user.delete("/sessions").await.expect(204);
    api.sign_in(&user.email, PASSWORD).await.expect(200);

    let database = connect_to_stack().await;
    let age = async |days: u32| {
        let sql = format!(
            "UPDATE session_networks SET used_at = CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - interval '{days} days'
            WHERE user_id = '{}'",
            user.id
        );
        database.batch_execute(&sql).await.unwrap();
    };
    age(29).await;
    api.sign_in(&user.email, PASSWORD).await.expect(200);
    age(31).await;
    api.sign_in(&user.email, PASSWORD).await.expect(429);
}

#[tokio::test]
async fn a_refresh_makes_its_network_the_accounts_own() {
    let (api, email) = (Api::shared(), fresh_email());
    api.sign_up(&email).await.expect(201);
    let session = sign_in(ELSEWHERE, &email, PASSWORD).await;
    assert_eq!(session["statusCode"], 200, "{session}");
    let body: Value = serde_json::from_str(session["body"].as_str().unwrap()).unwrap();
    set_signin_failures(&email, 0, 1000, IN_A_MINUTE).await;
    api.sign_in(&email, PASSWORD).await.expect(429);
    api.refresh(body["refresh_token"].as_str().unwrap()).await.expect(200);
    api.sign_in(&email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_owner_signs_in_every_day_of_a_week_in_which_a_stranger_never_stops_failing() {
    let (api, email) = (Api::shared(), fresh_email());
    api.sign_up(&email).await.expect(201);
    api.sign_in(&email, PASSWORD).await.expect(200);
    let database = connect_to_stack().await;
    // Time passes for everything that is counted or known for this address.
    let pass = async |seconds: i32| {
        for sql in [
            "UPDATE signin_failures SET failed_at = failed_at - $2 * interval '1 second'
             WHERE email_hash = sha256(convert_to($1, 'UTF8'))",
            "UPDATE session_networks SET used_at = used_at - $2 * interval '1 second'
             FROM users WHERE user_id = users.id AND email = $1",
        ] {
            database.execute_typed(sql, &[(&email, Type::TEXT), (&seconds, Type::INT4)]).await.unwrap();
        }
    };
    set_signin_failures(&email, 0, 120, 900).await;
    let mut network = 0;
    for day in 0..7 {
        // A window is 15 minutes long. Most of a day's go by at once.
        for _ in 0..4 {
            network += 1;
            let stranger = format!("198.51.100.{network}");
            assert_eq!(sign_in_from(&stranger, &email, WRONG).await, 401, "the first in a window, day {day}");
            assert_eq!(sign_in_from("203.0.113.9", &email, PASSWORD).await, 429, "a network nobody knows, day {day}");
            pass(901).await;
        }
        pass(22 * 3600).await;
        // A minute before the window ends, which is longer than signing in takes anywhere.
        set_signin_failures(&email, 0, 120 + network, 840).await;
        api.sign_in(&email, PASSWORD).await.expect(200);
        assert_eq!(sign_in_from("203.0.113.9", &email, PASSWORD).await, 429, "still held off, day {day}");
        pass(61).await;
    }
}

#[tokio::test]
async fn guesses_of_the_current_password_are_counted_by_session_and_by_nothing_else() {
    let user = Api::shared().user().await;
    let other = user.signed_in_again().await;
    let guess = async |user: &User, password: &str| {
        user.put("", &json!({"current_password": password, "email": user.email})).await
    };
    // Strangers, and the owner's own failures to sign in, do not keep the owner from a change.
    set_signin_failures(&user.email, 1000, 1000, IN_A_MINUTE).await;
    guess(&user, WRONG).await.expect(401);
    guess(&user, PASSWORD).await.expect(200);
    for _ in 0..10 {
        guess(&other, WRONG).await.expect(401);
    }
    let sql = format!(
        "UPDATE signin_failures SET failed_at = failed_at + interval '1 minute'
         WHERE email_hash = sha256(convert_to('{}', 'UTF8')) AND failures = 10",
        user.email
    );
    assert_eq!(connect_to_stack().await.execute_typed(&sql, &[]).await.unwrap(), 1);
    assert!(wait(&guess(&other, PASSWORD).await.expect(429)) > 1, "right or not");
    guess(&user, PASSWORD).await.expect(200);
    other.get("").await.expect(200);
    assert_eq!(failures_of(&user.email).await, [1000, 1000], "it is no sign-in");
}

#[tokio::test]
async fn failures_of_yesterday_do_not_count_and_are_deleted() {
    let user = Api::shared().user().await;
    let yesterday = 25 * 60 * 60;
    let insert_old = async |email: &str| set_signin_failures(email, 50, 500, 40 * yesterday).await;
    let [abandoned, another] = [fresh_email(), fresh_email()];
    for email in [&abandoned, &user.email] {
        insert_old(email).await;
        user.api.sign_in(&user.email, PASSWORD).await.expect(200);
        assert_eq!(failures_of(email).await, [0; 0], "by a sign-in");
    }
    insert_old(&abandoned).await;
    let body = json!({"current_password": PASSWORD, "email": user.email});
    user.put("", &body).await.expect(200);
    assert_eq!(failures_of(&abandoned).await, [0; 0], "by a change of an account");
    insert_old(&abandoned).await;
    user.api.sign_up(&another).await.expect(201);
    assert_eq!(failures_of(&abandoned).await, [0; 0], "by a sign-up");

    let unknown = fresh_email();
    set_signin_failures(&unknown, 50, 500, yesterday).await;
    user.api.sign_in(&unknown, WRONG).await.expect(401);
    assert_eq!(failures_of(&unknown).await, [1, 1], "counted from zero");
    // Only the count from this machine is of yesterday.
    set_signin_failures_from(HERE, &unknown, 50, yesterday).await;
    user.api.sign_in(&unknown, WRONG).await.expect(401);
    assert_eq!(failures_of(&unknown).await, [1, 2]);
}

/// Signs in from another network; the function's answer.
async fn sign_in(network: &str, email: &str, password: &str) -> Value {
    let event = json!({
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"sourceIp": network}},
        "body": json!({"email": email, "password": password}).to_string(),
    });
    invoke("signin", &event).await
}

/// The status for a sign-in from another network.
async fn sign_in_from(network: &str, email: &str, password: &str) -> u64 {
    sign_in(network, email, password).await["statusCode"].as_u64().unwrap()
}

async fn fail_from(network: &str, email: &str) {
    assert_eq!(sign_in_from(network, email, WRONG).await, 401);
}

/// How many sign-ins have failed for an e-mail address from that network.
async fn failures_from(network: &str, email: &str) -> Option<i32> {
    let sql = "SELECT failures FROM signin_failures WHERE key = sha256(convert_to($1 || ' ' || $2, 'UTF8'))";
    let rows =
        connect_to_stack().await.query_typed(sql, &[(&email, Type::TEXT), (&network, Type::TEXT)]).await.unwrap();
    rows.first().map(|row| row.get(0))
}

/// A network that no other test uses.
const ELSEWHERE: &str = "192.0.2.77";

#[tokio::test]
async fn failures_are_deleted_with_their_account() {
    let user = Api::shared().user().await;
    fail_from(ELSEWHERE, &user.email).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    assert_eq!((failures_of(&user.email).await, failures_from(ELSEWHERE, &user.email).await), (vec![1, 1], Some(1)));
    user.delete("").await.expect(204);
    assert_eq!((failures_of(&user.email).await, failures_from(ELSEWHERE, &user.email).await), (vec![], None));
}

#[tokio::test]
async fn a_sign_up_clears_failures_and_a_refused_one_does_not() {
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
async fn a_change_of_email_clears_the_failures_of_both_addresses() {
    let (user, new) = (Api::shared().user().await, fresh_email());
    for email in [&user.email, &new] {
        fail_from(ELSEWHERE, email).await;
    }
    let change_to = async |email: &str| user.put("", &json!({"current_password": PASSWORD, "email": email})).await;
    change_to(&user.email).await.expect(200);
    assert_eq!(failures_from(ELSEWHERE, &user.email).await, Some(1), "the address has not changed");
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
async fn failures_counted_by_the_first_release_count() {
    let (api, email) = (Api::shared(), fresh_email());
    // Its statement for the count from anywhere.
    let count = "INSERT INTO signin_failures AS known (key, failures, failed_at)
        SELECT sha256(convert_to($1, 'UTF8')), 1, CURRENT_TIMESTAMP AT TIME ZONE 'UTC'
        ON CONFLICT (key) DO UPDATE SET failed_at = excluded.failed_at, failures = known.failures + 1";
    let count = async || connect_to_stack().await.query_typed(count, &[(&email, Type::TEXT)]).await.unwrap();
    count().await;
    api.sign_in(&email, WRONG).await.expect(401);
    assert_eq!(failures_of(&email).await, [1, 2]);
    count().await;
    assert_eq!(failures_of(&email).await, [1, 3]);
    api.sign_up(&email).await.expect(201);
    assert_eq!(failures_of(&email).await, [0; 0]);
}

#[tokio::test]
async fn failures_are_stored_without_the_email() {
    let (api, email) = (Api::shared(), fresh_email());
    api.sign_in(&email, WRONG).await.expect(401);
    let rows = all_failures().await;
    assert_eq!(failures_of(&email).await, [1, 1]);
    let hexadecimal: String = email.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(rows.iter().all(|row| !row.contains(&email) && !row.contains(&hexadecimal) && !row.contains("127.0.0.1")));
}

#[tokio::test]
async fn concurrent_attempts_do_not_bypass_the_limit() {
    let server = TestServer::start(&Settings::shared().concurrency(4));
    let user = Api::shared().user().await;
    // Start the processes first, so that no delay passes meanwhile.
    join_all((0..4).map(async |_| server.api.sign_in(&fresh_email(), WRONG).await.expect(401))).await;
    user.api.sign_in(&user.email, WRONG).await.expect(401);
    let begin = Instant::now();
    let replies = join_all((0..30).map(|_| server.api.sign_in(&user.email, WRONG))).await;
    // Another attempt is verified after a second, the next after two more, then four.
    let delays_passed = (begin.elapsed().as_secs() + 1).ilog2() as usize;
    let verified = replies.iter().filter(|reply| reply.status == 401).count();
    assert!((9..=9 + delays_passed).contains(&verified), "the tenth failure is the last that is verified");
    assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 30 - verified);
    let counted = i32::try_from(1 + verified).unwrap();
    assert_eq!(failures_of(&user.email).await, [counted], "each is counted");
}

#[tokio::test]
async fn a_known_and_an_unknown_email_take_the_same_time() {
    let server = TestServer::start(&Settings::shared());
    let known = Api::shared().user().await;
    let time = async |email: &str| {
        let begin = Instant::now();
        server.api.sign_in(email, WRONG).await.expect(401);
        begin.elapsed()
    };
    time(&fresh_email()).await;
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for round in 0..27 {
        if round % 9 == 0 {
            // Reset the failures, so that the known address is never throttled.
            server.api.sign_in(&known.email, PASSWORD).await.expect(200);
            time(&known.email).await;
        }
        let unknown = fresh_email();
        // The unknown address has failed before, too, so that the same statements are sent for both.
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
