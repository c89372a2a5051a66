//! Sessions: how they begin, go on and end, and what a client's retries and a thief come to.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{Method, header::USER_AGENT};
use serde_json::{Value, json};
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, reply},
    database::{column, connect_to_stack},
    server::{Settings, TestServer},
};

const DAY: i64 = 86_400;

/// A user and the answer to the sign-in.
async fn signed_in() -> (User, Reply) {
    let user = Api::shared().user().await;
    let session = user.api.sign_in(&user.email, PASSWORD).await.expect(200);
    (User { token: session.token(), ..user }, session)
}

/// Moves a session into the past.
pub(crate) async fn age(session: &Reply, seconds: i64) {
    let past = format!("- {seconds} * interval '1 second'");
    let sql = format!(
        "UPDATE sessions
         SET created_at = created_at {past}, refreshed_at = refreshed_at {past}, expires_at = expires_at {past}
         WHERE id = '{}'",
        session.body["session_id"].as_str().unwrap()
    );
    assert_eq!(connect_to_stack().await.execute_typed(&sql, &[]).await.unwrap(), 1);
}

async fn sessions_of(user: &User) -> i64 {
    let sql = format!("SELECT count(*)::text FROM sessions WHERE user_id = '{}'", user.id);
    column(&connect_to_stack().await, &sql).await.unwrap()[0].parse().unwrap()
}

#[track_caller]
fn assert_ended(reply: &Reply) {
    assert_eq!((reply.status, &reply.body["code"]), (401, &json!("session_ended")), "{reply:?}");
}

fn seconds(reply: &Reply, member: &str) -> i64 {
    reply.body[member].as_i64().unwrap()
}

#[tokio::test]
async fn a_refresh_gives_the_next_token_and_refresh_token_of_the_same_session() {
    let (user, first) = signed_in().await;
    let second = user.api.refresh(&first.refresh_token()).await.expect(200);
    for session in [&first, &second] {
        let members: BTreeSet<_> = session.body.as_object().unwrap().keys().map(String::as_str).collect();
        let expected =
            ["expires_in", "refresh_expires_in", "refresh_token", "session_id", "token", "token_type", "user_id"];
        assert_eq!(members, BTreeSet::from(expected));
        assert_eq!((seconds(session, "expires_in"), &session.body["token_type"]), (3600, &json!("Bearer")));
        assert!((14 * DAY - 60..=14 * DAY).contains(&seconds(session, "refresh_expires_in")));
        assert_eq!((&session.body["user_id"], session.headers.get("set-cookie")), (&json!(user.id), None));
    }
    assert_eq!(first.body["session_id"], second.body["session_id"]);
    assert_ne!(first.refresh_token(), second.refresh_token());
    for token in [first.token(), second.token()] {
        User { token, ..user.clone() }.get("").await.expect(200);
    }
}

#[tokio::test]
async fn a_refresh_token_gives_its_successor_again_for_a_minute() {
    let (user, session) = signed_in().await;
    let refresh = async |token: &str| user.api.refresh(token).await;
    let second = refresh(&session.refresh_token()).await.expect(200);
    for _ in 0..3 {
        assert_eq!(refresh(&session.refresh_token()).await.expect(200).refresh_token(), second.refresh_token());
    }
    age(&session, 50).await;
    assert_eq!(refresh(&session.refresh_token()).await.expect(200).refresh_token(), second.refresh_token());
    let third = refresh(&second.refresh_token()).await.expect(200);
    assert_ended(&refresh(&session.refresh_token()).await);
    assert_eq!(refresh(&second.refresh_token()).await.expect(200).refresh_token(), third.refresh_token());
    refresh(&third.refresh_token()).await.expect(200);
}

#[tokio::test]
async fn an_old_refresh_token_ends_the_session_once_a_minute_has_passed() {
    for replaced_twice in [false, true] {
        let (user, session) = signed_in().await;
        let mut last = user.api.refresh(&session.refresh_token()).await.expect(200);
        if replaced_twice {
            last = user.api.refresh(&last.refresh_token()).await.expect(200);
        }
        age(&session, 61).await;
        assert_ended(&user.api.refresh(&session.refresh_token()).await);
        assert_ended(&user.api.refresh(&last.refresh_token()).await);
        assert_ended(&User { token: last.token(), ..user }.get("/tasks").await);
    }
}

#[tokio::test]
async fn whoever_knows_a_sessions_id_alone_cannot_end_it() {
    let (user, session) = signed_in().await;
    let (_, other) = signed_in().await;
    let (mine, others) = (session.refresh_token(), other.refresh_token());
    // The first 16 bytes are the id; 21 characters hold 15 of them and part of the last.
    let forged = format!("{}{}", &mine[..22], &others[22..]);
    age(&session, 61).await;
    for token in [forged.as_str(), "", "x", &mine[1..], &format!("{mine}A"), &user.token, "null"] {
        assert_ended(&user.api.refresh(token).await);
    }
    user.api.refresh(&mine).await.expect(200);
}

#[tokio::test]
async fn of_twenty_refreshes_at_once_all_get_the_same_successor() {
    let server = TestServer::start(&Settings::shared().concurrency(4));
    for _ in 0..5 {
        let (user, mut session) = signed_in().await;
        for _ in 0..3 {
            let token = session.refresh_token();
            let replies = join_all((0..20).map(|_| server.api.refresh(&token))).await;
            for reply in &replies {
                assert_eq!((reply.status, reply.refresh_token()), (200, replies[0].refresh_token()));
            }
            session = replies.into_iter().next_back().unwrap();
            User { token: session.token(), ..user.clone() }.get("").await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_session_ends_14_days_after_its_last_refresh_and_90_days_after_its_begin() {
    let (user, session) = signed_in().await;
    age(&session, 14 * DAY - 60).await;
    let mut last = user.api.refresh(&session.refresh_token()).await.expect(200);
    for _ in 0..5 {
        age(&session, 13 * DAY).await;
        last = user.api.refresh(&last.refresh_token()).await.expect(200);
    }
    // 79 days have passed.
    let left = seconds(&last, "refresh_expires_in");
    assert!((11 * DAY - 60..=11 * DAY + 60).contains(&left), "{left}");
    age(&session, 11 * DAY - 600).await;
    last = user.api.refresh(&last.refresh_token()).await.expect(200);
    let left = seconds(&last, "expires_in");
    assert!((1..=660).contains(&left) && left == seconds(&last, "refresh_expires_in"), "no token outlives it: {left}");
    age(&session, 660).await;
    assert_ended(&user.api.refresh(&last.refresh_token()).await);

    let (user, idle) = signed_in().await;
    age(&idle, 14 * DAY + 1).await;
    assert_ended(&user.api.refresh(&idle.refresh_token()).await);
}

#[tokio::test]
async fn sessions_are_listed_with_the_last_used_first() {
    let user = Api::shared().user().await;
    let sign_in = async |agent: &str| {
        let request = user.api.request(Method::POST, "/users/signin").header(USER_AGENT, agent);
        reply(request.json(&json!({"email": user.email, "password": PASSWORD}))).await.expect(200)
    };
    let (phone, laptop) = (sign_in("Phone/1").await, sign_in(&"x".repeat(1000)).await);
    let user = User { token: phone.token(), ..user };
    let list = async || user.get("/sessions").await.expect(200).body;
    let ids = |list: &Value| -> Vec<Value> { list.as_array().unwrap().iter().map(|one| one["id"].clone()).collect() };

    let before = list().await;
    assert_eq!(ids(&before)[..2], [laptop.body["session_id"].clone(), phone.body["session_id"].clone()]);
    assert_eq!(before.as_array().unwrap().len(), 3);
    let current: Vec<_> = before.as_array().unwrap().iter().map(|one| one["current"].clone()).collect();
    assert_eq!(current, [false, true, false]);
    assert_eq!(before[0]["user_agent"], "x".repeat(255));
    assert_eq!(before[1]["user_agent"], "Phone/1");
    let members: BTreeSet<_> = before[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["id", "created_at", "refreshed_at", "expires_at", "user_agent", "current"];
    assert_eq!(members, BTreeSet::from(expected));

    let request = user.api.request(Method::POST, "/users/token").header(USER_AGENT, "Phone/2");
    reply(request.json(&json!({"refresh_token": phone.refresh_token()}))).await.expect(200);
    let after = list().await;
    assert_eq!(ids(&after)[..2], [phone.body["session_id"].clone(), laptop.body["session_id"].clone()]);
    assert_eq!(after[0]["user_agent"], "Phone/2");
    assert_eq!(after[0]["created_at"], before[1]["created_at"]);
    assert!(after[0]["refreshed_at"].as_str() > before[1]["refreshed_at"].as_str());

    age(&laptop, 14 * DAY).await;
    assert_eq!(ids(&list().await).len(), 2, "an expired one is not listed");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_no_other() {
    let (user, session) = signed_in().await;
    let other = user.signed_in_again().await;
    user.delete("/sessions/current").await.expect(204);
    assert_ended(&user.get("/tasks").await);
    assert_ended(&user.delete("/sessions/current").await);
    assert_ended(&user.api.refresh(&session.refresh_token()).await);
    other.get("/tasks").await.expect(200);
}

#[tokio::test]
async fn a_session_is_ended_by_its_id_from_another_one() {
    let (user, session) = signed_in().await;
    let other = user.signed_in_again().await;
    let path = format!("/sessions/{}", session.body["session_id"].as_str().unwrap());
    let stranger = user.api.user().await;
    assert_eq!(stranger.delete(&path).await.expect(403).body["code"], "no_such_session");
    user.get("").await.expect(200);
    other.delete(&path).await.expect(204);
    assert_ended(&user.get("").await);
    let answer = other.delete(&path).await.expect(403).body;
    let unknown = other.delete("/sessions/00000000-0000-4000-8000-000000000000").await.expect(403).body;
    assert_eq!((&answer["detail"], &answer["code"]), (&unknown["detail"], &unknown["code"]));
    for path in ["/sessions/1", "/sessions/me", "/sessions/%20", "/sessions/CURRENT"] {
        other.delete(path).await.expect(400);
    }
    other.get("").await.expect(200);
}

#[tokio::test]
async fn ending_all_sessions_signs_the_account_out_everywhere() {
    let (user, session) = signed_in().await;
    let other = user.signed_in_again().await;
    let stranger = user.api.user().await;
    user.delete("/sessions").await.expect(204);
    for user in [&user, &other] {
        assert_ended(&user.get("").await);
    }
    assert_ended(&user.api.refresh(&session.refresh_token()).await);
    assert_eq!(sessions_of(&user).await, 0);
    stranger.get("").await.expect(200);
    user.signed_in_again().await.get("").await.expect(200);
}

#[tokio::test]
async fn a_new_password_ends_every_session_but_the_one_that_set_it() {
    let (user, session) = signed_in().await;
    let (other, other_session) = {
        let session = user.api.sign_in(&user.email, PASSWORD).await.expect(200);
        (User { token: session.token(), ..user.clone() }, session)
    };
    let change = |password: &str| json!({"current_password": PASSWORD, "password": password});
    user.put("", &json!({"current_password": PASSWORD, "email": fresh_email()})).await.expect(200);
    other.get("").await.expect(200);
    user.put("", &change("another password")).await.expect(200);
    assert_ended(&other.get("").await);
    assert_ended(&user.api.refresh(&other_session.refresh_token()).await);
    user.get("").await.expect(200);
    user.api.refresh(&session.refresh_token()).await.expect(200);
    assert_eq!(sessions_of(&user).await, 1);
}

#[tokio::test]
async fn deleting_the_account_ends_its_sessions() {
    let (user, session) = signed_in().await;
    user.delete("").await.expect(204);
    assert_ended(&user.get("").await);
    assert_ended(&user.api.refresh(&session.refresh_token()).await);
    assert_eq!(sessions_of(&user).await, 0);
}

#[tokio::test]
async fn the_session_that_was_not_used_for_longest_makes_room_for_the_51st() {
    let server = TestServer::start(&Settings::shared().concurrency(4));
    let (user, oldest) = signed_in().await;
    age(&oldest, 3600).await;
    let sql = format!(
        "INSERT INTO sessions (id, user_id, family_hash, token_hash, created_at, refreshed_at, expires_at)
         SELECT gen_random_uuid(), '{}', '', '', now, now - n * interval '1 minute', now + interval '14 days'
         FROM generate_series(1, 48) AS n, (SELECT CURRENT_TIMESTAMP AT TIME ZONE 'UTC' AS now) AS clock",
        user.id
    );
    connect_to_stack().await.batch_execute(&sql).await.unwrap();
    assert_eq!(sessions_of(&user).await, 50);
    user.get("").await.expect(200);
    let replies = join_all((0..6).map(|_| server.api.sign_in(&user.email, PASSWORD))).await;
    assert_eq!(sessions_of(&user).await, 50);
    assert_ended(&user.get("").await);
    for reply in replies {
        User { token: reply.expect(200).token(), ..user.clone() }.get("").await.expect(200);
    }
}

#[tokio::test]
async fn expired_sessions_of_anyone_are_swept_by_a_sign_in() {
    let (user, own) = signed_in().await;
    let (gone, session) = signed_in().await;
    age(&own, 14 * DAY).await;
    age(&session, 1000 * DAY).await;
    let before = [sessions_of(&user).await, sessions_of(&gone).await];
    user.signed_in_again().await;
    assert_eq!([sessions_of(&user).await, sessions_of(&gone).await], [before[0], before[1] - 1]);
}

#[tokio::test]
async fn a_sign_in_that_races_with_a_new_password_leaves_no_session_of_the_old_one() {
    let server = TestServer::start(&Settings::shared().concurrency(3));
    for round in 0..6 {
        let (user, _) = signed_in().await;
        let at_server = user.via(&server.api);
        let change = json!({"current_password": PASSWORD, "password": "another password"});
        let (changed, entered) = tokio::join!(
            at_server.put("", &change),
            join_all((0..2).map(|_| server.api.sign_in(&user.email, PASSWORD)))
        );
        changed.expect(200);
        for reply in entered.iter().filter(|reply| reply.status == 200) {
            assert_ended(&User { token: reply.token(), ..user.clone() }.get("").await);
        }
        assert_eq!(sessions_of(&user).await, 1, "round {round}");
    }
}

#[tokio::test]
async fn nothing_in_the_database_is_a_token() {
    let (user, session) = signed_in().await;
    let second = user.api.refresh(&session.refresh_token()).await.expect(200);
    let sql = format!("SELECT to_jsonb(sessions)::text FROM sessions WHERE user_id = '{}'", user.id);
    let rows = column(&connect_to_stack().await, &sql).await.unwrap().concat();
    for token in [session.refresh_token(), second.refresh_token()] {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap();
        for secret in bytes[16..].chunks(8) {
            let hexadecimal: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!rows.contains(&hexadecimal) && !rows.contains(&token));
        }
    }
    let networks =
        format!("SELECT to_jsonb(session_networks)::text FROM session_networks WHERE user_id = '{}'", user.id);
    let rows = column(&connect_to_stack().await, &networks).await.unwrap().concat();
    assert!(!rows.contains("127.0.0.1") && !rows.is_empty());
}

#[tokio::test]
async fn a_bad_refresh_is_told_what_is_wrong() {
    let api = Api::shared();
    let send = async |body: Value| api.send(Method::POST, "/users/token", None, Some(&body)).await;
    assert_eq!(send(json!({})).await.expect(401).body["code"], "token_missing");
    for body in [json!({"refresh_token": 1}), json!({"refresh_token": null}), json!({"token": "x"}), json!([])] {
        send(body).await.expect(400);
    }
    assert_eq!(send(json!({"refresh_token": "a\0b"})).await.expect(422).fields(), ["refresh_token"]);
    reply(api.request(Method::POST, "/users/token").body("{}")).await.expect(415);
}
