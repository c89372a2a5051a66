//! New passwords by mail, and mails to old addresses.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    api::{Api, PASSWORD, Reply, User, fresh_email, invoke, reply},
    database::{column, connect_to_stack, set_signin_failures},
    mail::{Mail, Mailbox, forget_network},
    relay::Relay,
    server::{Settings, TestServer},
    store::ParameterStore,
};
use tokio::net::TcpListener;
use tokio_postgres::types::Type;

const NEW: &str = "a new password";

/// How long an answer to a request for a mail takes at least.
const LEAST_TIME: Duration = Duration::from_secs(2);

/// Asks for a mail. The network's count is reset first, because all tests share the network.
pub(crate) async fn ask(api: &Api, email: &str) -> Reply {
    forget_network("127.0.0.1").await;
    api.send(Method::POST, "/users/password-reset", None, Some(&json!({"email": email}))).await
}

/// Asks the shared API for a mail; the mail.
pub(crate) async fn mail_to(email: &str) -> Mail {
    let before = Mailbox::shared().to(email).len();
    ask(&Api::shared(), email).await.expect(202);
    let mut mails = Mailbox::shared().to(email);
    assert_eq!(mails.len(), before + 1);
    mails.pop().unwrap()
}

pub(crate) async fn reset(api: &Api, token: &str, password: &str) -> Reply {
    let body = json!({"token": token, "password": password});
    api.send(Method::PUT, "/users/password-reset", None, Some(&body)).await
}

/// Runs a statement about the user whose id is `$1`.
async fn execute(sql: &str, user: &User) -> u64 {
    let sql = sql.replace("$1", "$1::text::uuid");
    connect_to_stack().await.execute_typed(&sql, &[(&user.id, Type::TEXT)]).await.unwrap()
}

/// How many tokens are stored for a user.
async fn stored(user: &User) -> i64 {
    let sql = "SELECT count(*) FROM password_resets WHERE user_id = $1::text::uuid";
    connect_to_stack().await.query_typed(sql, &[(&user.id, Type::TEXT)]).await.unwrap()[0].get(0)
}

#[tokio::test]
async fn a_mail_leads_to_a_new_password_once() {
    let user = Api::shared().user().await;
    let answer = ask(&user.api, &format!(" {} ", user.email.to_uppercase())).await.expect(202);
    assert_eq!(answer.body, json!({}));
    let mails = Mailbox::shared().to(&user.email);
    let [mail] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!((&*mail.from, &*mail.subject), ("tasks@example.com", "Choose a new password"));
    assert!(mail.source.contains("Auto-Submitted: auto-generated\r\n"), "{}", mail.source);
    assert_eq!((mail.value("email"), mail.token().len()), (user.email.clone(), 43));

    reset(&user.api, &mail.token(), NEW).await.expect(204);
    user.api.sign_in(&user.email, PASSWORD).await.expect(401);
    user.api.sign_in(&user.email, NEW).await.expect(200);
    let again = reset(&user.api, &mail.token(), "another password").await.expect(401);
    assert_eq!((&again.body["code"], again.header("www-authenticate")), (&json!("reset_token_invalid"), "Bearer"));
    user.api.sign_in(&user.email, NEW).await.expect(200);
}

#[tokio::test]
async fn a_reset_ends_every_session() {
    let user = Api::shared().user().await;
    let session = user.api.sign_in(&user.email, PASSWORD).await.expect(200);
    let token = mail_to(&user.email).await.token();
    user.get("").await.expect(200);
    reset(&user.api, &token, NEW).await.expect(204);
    assert_eq!(user.get("").await.expect(401).body["code"], "session_ended");
    user.api.refresh(&session.refresh_token()).await.expect(401);
    let token = user.api.sign_in(&user.email, NEW).await.expect(200).token();
    User { token, ..user }.get("").await.expect(200);
}

#[tokio::test]
async fn a_refused_password_leaves_the_token_as_it_is() {
    let user = Api::shared().user().await;
    let token = mail_to(&user.email).await.token();
    for refused in ["Password1", &user.email.to_uppercase(), "short"] {
        assert_eq!(reset(&user.api, &token, refused).await.expect(422).fields(), ["password"], "{refused}");
    }
    reset(&user.api, &token, NEW).await.expect(204);
}

#[tokio::test]
async fn both_parts_of_a_mail_have_the_link_and_load_nothing() {
    let user = Api::shared().user().await;
    let mail = mail_to(&user.email).await;
    let link = mail.link();
    assert!(mail.html.contains(&format!("href=\"{}\"", link.as_str().replace('&', "&amp;"))), "{}", mail.html);
    for loaded in ["<img", "<script", "<link", "<style", "src=", "url("] {
        assert!(!mail.html.contains(loaded), "{}", mail.html);
    }
    let token = mail.token();
    assert!(!link.as_str().split('#').next().unwrap().contains(&token), "the token is sent to no server");
    assert!(mail.source.lines().all(|line| line.len() <= 998), "RFC 5322, section 2.1.1");
}

#[tokio::test]
async fn the_link_is_the_settings_whatever_the_request_says() {
    let user = Api::shared().user().await;
    forget_network("127.0.0.1").await;
    let request = user.api.request(Method::POST, "/users/password-reset").json(&json!({"email": user.email}));
    let headers = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
    ];
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    reply(request).await.expect(202);
    let mails = Mailbox::shared().to(&user.email);
    let [mail] = &mails[..] else { panic!("{mails:?}") };
    assert!(mail.link().as_str().starts_with(&format!("{}#", Settings::shared().get("PAGE_URL"))), "{}", mail.link());
    assert!(!mail.source.contains("evil"), "{}", mail.source);
}

#[tokio::test]
async fn every_address_gets_the_same_answer_after_the_same_time() {
    let user = Api::shared().user().await;
    let mut answers = Vec::new();
    let nobody = fresh_email();
    // The fourth and fifth are over the limit.
    for email in [&user.email, &nobody, &user.email, &user.email, &user.email, &user.email] {
        let begin = Instant::now();
        let reply = ask(&user.api, email).await.expect(202);
        assert!(begin.elapsed() >= LEAST_TIME, "{:?}", begin.elapsed());
        answers.push((reply.body, reply.headers.keys().cloned().collect::<Vec<_>>()));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
    assert_eq!(Mailbox::shared().to(&nobody).len(), 0);
    assert_eq!(Mailbox::shared().to(&user.email).len(), 3, "at most 3 an hour");
}

#[tokio::test]
async fn concurrent_requests_do_not_exceed_the_limit_of_an_account() {
    let server = TestServer::start(&Settings::shared().concurrency(10));
    let user = Api::shared().user().await;
    join_all((0..30).map(async |_| ask(&server.api, &user.email).await.expect(202))).await;
    assert_eq!(Mailbox::shared().to(&user.email).len(), 3);
    assert_eq!(stored(&user).await, 3);
    let mails = Mailbox::shared().to(&user.email);
    let mut used = join_all(mails.iter().map(async |mail| reset(&server.api, &mail.token(), NEW).await.status)).await;
    used.sort_unstable();
    assert_eq!(used, [204, 401, 401], "using one voids the others");
}

#[tokio::test]
async fn an_hour_later_there_are_mails_again() {
    let user = Api::shared().user().await;
    for _ in 0..4 {
        ask(&user.api, &user.email).await.expect(202);
    }
    let mails = || Mailbox::shared().to(&user.email).len();
    assert_eq!(mails(), 3);
    let key = format!("sha256(convert_to('password reset of account {}', 'UTF8'))", user.id);
    let address = format!("sha256(convert_to('password reset of address {}', 'UTF8'))", user.email);
    let age = |minutes: u32| {
        format!(
            "UPDATE mail_counts
             SET sent_at = ARRAY(SELECT sent - interval '{minutes} minutes' FROM unnest(sent_at) AS sent)
             WHERE key IN ({key}, {address})"
        )
    };
    connect_to_stack().await.batch_execute(&age(50)).await.unwrap();
    ask(&user.api, &user.email).await.expect(202);
    assert_eq!(mails(), 3);
    connect_to_stack().await.batch_execute(&age(11)).await.unwrap();
    ask(&user.api, &user.email).await.expect(202);
    assert_eq!(mails(), 4);
}

#[tokio::test]
async fn who_deletes_an_account_and_signs_up_anew_gets_no_more_mails() {
    let api = Api::shared();
    let email = fresh_email();
    for _ in 0..4 {
        api.sign_up(&email).await.expect(201);
        ask(&api, &email).await.expect(202);
        let session = api.sign_in(&email, PASSWORD).await.expect(200);
        api.send(Method::DELETE, "/users/me", Some(&session.token()), None).await.expect(204);
    }
    assert_eq!(Mailbox::shared().to(&email).len(), 3);
}

/// Asks for a mail from another network.
async fn ask_from(network: &str, email: &str) {
    let event = json!({
        "headers": {"content-type": "application/json", "x-forwarded-for": "192.0.2.200"},
        "requestContext": {"http": {"sourceIp": network}},
        "body": json!({"email": email}).to_string(),
    });
    let answer = invoke("password-reset-request", &event).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
}

#[tokio::test]
async fn a_network_gets_10_mails_an_hour_for_all_accounts() {
    let api = Api::shared();
    let network = "192.0.2.78";
    forget_network(network).await;
    let users = join_all((0..11).map(|_| api.user())).await;
    for user in &users {
        ask_from(network, &fresh_email()).await;
        ask_from(network, &user.email).await;
    }
    let mails: Vec<_> = users.iter().map(|user| Mailbox::shared().to(&user.email).len()).collect();
    assert_eq!(mails, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0], "an address without an account does not count");
    ask_from("192.0.2.79", &users[10].email).await;
    assert_eq!(Mailbox::shared().to(&users[10].email).len(), 1, "another network is not held off");
}

#[tokio::test]
async fn a_token_holds_for_30_minutes() {
    let user = Api::shared().user().await;
    let age = "UPDATE password_resets SET created_at = created_at - interval '29 minutes' WHERE user_id = $1";
    for (ages, status) in [(1, 204), (2, 401)] {
        let token = mail_to(&user.email).await.token();
        for _ in 0..ages {
            assert_eq!(execute(age, &user).await, 1);
        }
        reset(&user.api, &token, NEW).await.expect(status);
    }
    // Expired ones are swept by the next request, whoever makes it.
    assert_eq!(stored(&user).await, 1);
    ask(&user.api, &fresh_email()).await.expect(202);
    assert_eq!(stored(&user).await, 0);
}

#[tokio::test]
async fn counts_of_more_than_an_hour_ago_are_swept() {
    let database = connect_to_stack().await;
    let old = "INSERT INTO mail_counts (key, sent_at, counted_at)
        SELECT sha256(convert_to(gen_random_uuid()::text, 'UTF8')), '{}',
               CURRENT_TIMESTAMP AT TIME ZONE 'UTC' - age * interval '1 minute'
        FROM unnest($1) AS age RETURNING encode(key, 'hex')";
    let rows = database.query_typed(old, &[(&vec![59, 6000], Type::INT4_ARRAY)]).await.unwrap();
    let keys: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    ask(&Api::shared(), &fresh_email()).await.expect(202);
    let kept = column(&database, "SELECT encode(key, 'hex') FROM mail_counts").await.unwrap();
    assert_eq!(keys.iter().map(|key| kept.contains(key)).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn a_change_of_address_or_password_voids_the_token() {
    let user = Api::shared().user().await;
    let token = mail_to(&user.email).await.token();
    let (email, password) = (fresh_email(), "another password");
    // No change.
    user.put("", &json!({"current_password": PASSWORD, "email": user.email})).await.expect(200);
    user.api.sign_in(&user.email, PASSWORD).await.expect(200);
    assert_eq!(stored(&user).await, 1);

    user.put("", &json!({"current_password": PASSWORD, "email": email})).await.expect(200);
    reset(&user.api, &token, NEW).await.expect(401);
    let token = mail_to(&email).await.token();
    user.put("", &json!({"current_password": PASSWORD, "password": password})).await.expect(200);
    reset(&user.api, &token, NEW).await.expect(401);
    user.api.sign_in(&email, password).await.expect(200);

    // As release 0.1.0 does it, by whatever statement.
    let token = mail_to(&email).await.token();
    let change = "UPDATE users SET email = email, password_hash = reverse(password_hash) WHERE id = $1";
    assert_eq!((execute(change, &user).await, execute(change, &user).await), (1, 1), "and back");
    reset(&user.api, &token, NEW).await.expect(401);

    let user = user.api.user().await;
    let token = mail_to(&user.email).await.token();
    user.delete("").await.expect(204);
    assert_eq!(stored(&user).await, 0);
    reset(&user.api, &token, NEW).await.expect(401);
}

#[tokio::test]
async fn of_concurrent_uses_of_a_token_one_succeeds() {
    let server = TestServer::start(&Settings::shared().concurrency(4));
    let user = Api::shared().user().await;
    let token = mail_to(&user.email).await.token();
    let passwords: Vec<_> = (0..12).map(|number| format!("password number {number}")).collect();
    let statuses = join_all(passwords.iter().map(async |password| reset(&server.api, &token, password).await.status));
    let statuses = statuses.await;
    let winners: Vec<_> = passwords.iter().zip(&statuses).filter(|(_, status)| **status == 204).collect();
    assert_eq!(winners.len(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 11, "{statuses:?}");
    user.api.sign_in(&user.email, winners[0].0).await.expect(200);
}

#[tokio::test]
async fn a_token_of_any_other_form_is_a_401() {
    let user = Api::shared().user().await;
    let token = mail_to(&user.email).await.token();
    let last = if token.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{last}", &token[..42]);
    for other in ["", " ", "x", &token[1..], &format!("{token}="), &format!(" {token}"), &changed, &"a".repeat(60_000)]
    {
        let reply = reset(&user.api, other, NEW).await.expect(401);
        assert_eq!(reply.body["code"], "reset_token_invalid", "{other:?}");
    }
    assert_eq!(reset(&user.api, &token, "short").await.expect(422).fields(), ["password"]);
    reset(&user.api, &token, NEW).await.expect(204);
}

#[tokio::test]
async fn a_new_password_clears_the_failed_sign_ins() {
    let user = Api::shared().user().await;
    let token = mail_to(&user.email).await.token();
    set_signin_failures(&user.email, 20, 200, 0).await;
    user.api.sign_in(&user.email, PASSWORD).await.expect(429);
    reset(&user.api, &token, NEW).await.expect(204);
    user.api.sign_in(&user.email, NEW).await.expect(200);
}

#[tokio::test]
async fn nothing_that_could_be_used_is_stored() {
    let user = Api::shared().user().await;
    let token = mail_to(&user.email).await.token();
    let database = connect_to_stack().await;
    let mut rows = column(&database, "SELECT row_to_json(password_resets)::text FROM password_resets").await.unwrap();
    rows.extend(column(&database, "SELECT row_to_json(mail_counts)::text FROM mail_counts").await.unwrap());
    let hexadecimal = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for clear in [&token, &user.email, "127.0.0.1"] {
        let found = rows.iter().find(|row| row.contains(clear) || row.contains(&hexadecimal(clear)));
        assert_eq!(found, None, "{clear}");
    }
}

#[tokio::test]
async fn a_repeated_attempt_counts_once_and_sends_one_mail() {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    let user = server.user().await;
    ask(&server.api, &fresh_email()).await.expect(202);
    for mails in 1..=3 {
        relay.lose_next_answer();
        ask(&server.api, &user.email).await.expect(202);
        assert_eq!(Mailbox::shared().to(&user.email).len(), mails);
        assert_eq!(relay.answers_lost(), u32::try_from(mails).unwrap());
    }
    assert_eq!(stored(&user).await, 3);
}

#[tokio::test]
async fn a_reset_whose_answer_was_lost_is_done_once() {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    let user = server.user().await;
    reset(&server.api, "warm up", NEW).await.expect(401);
    let token = mail_to(&user.email).await.token();
    lose_second_answer(&relay, reset(&server.api, &token, NEW)).await.expect(204);
    user.api.sign_in(&user.email, NEW).await.expect(200);
    reset(&server.api, &token, "another password").await.expect(401);
}

/// Loses the answer to the second statement of a request.
async fn lose_second_answer(relay: &Relay, request: impl Future<Output = Reply>) -> Reply {
    let before = (relay.round_trips(), relay.answers_lost());
    let lose = async {
        while relay.round_trips() == before.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The first answer passes before bcrypt, which takes far longer than this.
        tokio::time::sleep(Duration::from_millis(50)).await;
        relay.lose_next_answer();
    };
    let (reply, ()) = tokio::join!(request, lose);
    assert_eq!(relay.answers_lost(), before.1 + 1);
    reply
}

#[tokio::test]
async fn without_a_sender_there_is_no_mail() {
    let server = TestServer::start(&Settings::shared().without("MAIL_FROM"));
    let user = server.user().await;
    for body in [json!({"email": user.email}), json!({}), Value::Null] {
        let reply = server.api.send(Method::POST, "/users/password-reset", None, Some(&body)).await.expect(501);
        assert_eq!(reply.body["code"], "mail_not_set_up");
    }
    assert_eq!(stored(&user).await, 0);
    let email = fresh_email();
    user.put("", &json!({"current_password": PASSWORD, "email": email})).await.expect(200);
    assert_eq!(Mailbox::shared().to(&user.email).len(), 0);
    // A mail from before is still good.
    let token = mail_to(&email).await.token();
    reset(&server.api, &token, NEW).await.expect(204);
}

#[tokio::test]
async fn a_change_of_address_tells_the_old_one() {
    let user = Api::shared().user().await;
    let emails = [user.email.clone(), fresh_email(), fresh_email()];
    let change_to = async |email: &str, status: u16| {
        user.put("", &json!({"current_password": PASSWORD, "email": email})).await.expect(status);
    };
    change_to(&emails[0].to_uppercase(), 200).await;
    change_to(&Api::shared().user().await.email, 409).await;
    assert_eq!(Mailbox::shared().to(&emails[0]).len(), 0, "nothing has changed");
    change_to(&emails[1], 200).await;
    let mails = Mailbox::shared().to(&emails[0]);
    let [mail] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!(mail.subject, "The address of your account was changed");
    assert!(!mail.source.contains(&emails[1]), "the new address is not told");
    change_to(&emails[2], 200).await;
    assert_eq!(Mailbox::shared().to(&emails[1]).len(), 1);
    assert_eq!(Mailbox::shared().to(&emails[2]).len(), 0);
}

#[tokio::test]
async fn an_address_is_told_3_times_an_hour_whoever_asks_for_mails_before() {
    let user = Api::shared().user().await;
    let (first, second) = (user.email.clone(), fresh_email());
    for _ in 0..3 {
        ask(&user.api, &first).await.expect(202);
    }
    let told = || Mailbox::shared().to(&first).iter().filter(|mail| mail.subject.starts_with("The address")).count();
    for round in 0..5 {
        user.put("", &json!({"current_password": PASSWORD, "email": second})).await.expect(200);
        assert_eq!(told(), 3.min(round + 1));
        user.put("", &json!({"current_password": PASSWORD, "email": first})).await.expect(200);
    }
}

/// Settings as in the cloud: secrets by name, and mail through SES.
async fn in_the_cloud(store: &ParameterStore) -> Settings {
    let names = ["DATABASE_URL", "JWT_PUBLIC_KEYS"];
    store.move_settings(&Settings::shared(), &names).await.without("MAIL_FOLDER")
}

#[tokio::test]
async fn ses_sends_the_mails_of_a_verified_sender() {
    let store = ParameterStore::start().await;
    store.verify_identity("tasks@example.com").await;
    let server = TestServer::start(&in_the_cloud(&store).await);
    let user = server.user().await;
    ask(&server.api, &user.email).await.expect(202);
    let email = fresh_email();
    user.put("", &json!({"current_password": PASSWORD, "email": email})).await.expect(200);
    let mails = store.mails().await;
    let [reset_mail, notice] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!((&*reset_mail.from, &*reset_mail.to, &*notice.to), ("tasks@example.com", &*user.email, &*user.email));
    assert_eq!(notice.subject, "The address of your account was changed");

    ask(&server.api, &email).await.expect(202);
    let token = store.mails().await.last().unwrap().token();
    reset(&server.api, &token, NEW).await.expect(204);
    server.api.sign_in(&email, NEW).await.expect(200);
    assert_eq!(Mailbox::shared().to(&user.email).len(), 0);
}

#[tokio::test]
async fn a_refused_mail_is_logged_without_the_address_and_not_told() {
    let store = ParameterStore::start().await;
    let server = TestServer::start(&in_the_cloud(&store).await);
    let user = server.user().await;
    assert_eq!(ask(&server.api, &user.email).await.expect(202).body, json!({}));
    user.put("", &json!({"current_password": PASSWORD, "email": fresh_email()})).await.expect(200);
    let log = server.output();
    let errors: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let causes: Vec<_> = errors.iter().filter(|line| line["message"] == "the mail was not sent").collect();
    assert_eq!(causes.len(), 2, "{log}");
    assert!(
        causes.iter().all(|line| line["cause"] == "SES: MessageRejected" && line["level"] == "ERROR"),
        "{causes:?}"
    );
    assert!(!log.contains(&user.email), "{log}");
}

#[tokio::test]
async fn a_slow_ses_does_not_tell_who_has_an_account() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let store = ParameterStore::start().await;
    let settings = in_the_cloud(&store).await.with("AWS_ENDPOINT_URL_SESV2", &endpoint);
    let server = TestServer::start(&settings);
    let user = server.user().await;
    let time = async |email: &str| {
        let begin = Instant::now();
        ask(&server.api, email).await.expect(202);
        begin.elapsed().as_secs_f64()
    };
    time(&fresh_email()).await;
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        of_known.push(time(&user.email).await);
        of_unknown.push(time(&fresh_email()).await);
    }
    of_known.sort_by(f64::total_cmp);
    of_unknown.sort_by(f64::total_cmp);
    let ratio = of_known[1] / of_unknown[1];
    println!("known to unknown: {ratio:.3}");
    assert!((0.9..1.1).contains(&ratio), "{of_known:?}, {of_unknown:?}");
    assert!(server.output().contains("no answer in 1.5 s"), "{}", server.output());
    // The change is made, and told as soon as the time for the mail is over.
    user.put("", &json!({"current_password": PASSWORD, "email": fresh_email()})).await.expect(200);
}

#[tokio::test]
async fn every_mail_is_a_file_of_its_own_in_the_folder() {
    let folder = TempDir::new().unwrap();
    // A folder that does not exist yet.
    let mails = folder.path().join("new/mails");
    let server = TestServer::start(&Settings::shared().with("MAIL_FOLDER", mails.to_str().unwrap()));
    let user = server.user().await;
    for count in 1..=2 {
        ask(&server.api, &user.email).await.expect(202);
        assert_eq!(Mailbox::at(&mails).to(&user.email).len(), count);
    }
    let tokens: Vec<_> = Mailbox::at(&mails).to(&user.email).iter().map(Mail::token).collect();
    assert_ne!(tokens[0], tokens[1]);
    // Both hold until one is used.
    assert_eq!(stored(&user).await, 2);
    reset(&server.api, &tokens[0], NEW).await.expect(204);
    reset(&server.api, &tokens[1], NEW).await.expect(401);
}
