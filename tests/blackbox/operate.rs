//! `operate`: secrets, releases, the smoke test, monitoring.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::{Method, Url};
use rustix::process::{Pid, Signal};
use tests::{
    api::{Api, PASSWORD},
    database::{Scratch, column, connect, direct_url, migrations, superuser_url},
    operate::{Checkout, Run, STAGE, smoke},
    watch::{Settings, Watch},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_postgres::error::SqlState;

async fn accounts(database: &Scratch) -> Vec<String> {
    column(&database.connect().await.unwrap(), "SELECT email FROM users").await.unwrap()
}

#[tokio::test]
async fn the_smoke_test_meets_every_part_and_leaves_nothing_behind() {
    let database = Scratch::migrated().await.unwrap();
    let watch = Watch::start(&Settings::of_the_stack().with("DATABASE_URL", database.url()));
    let said = smoke(&watch.api).await.succeeded();
    for step in ["health", "preflight", "no token", "signup", "signin", "create", "list", "delete", "revoked"] {
        assert!(said.contains(step), "{step} in {said}");
    }
    let routes: Vec<_> = watch.requests().iter().map(|line| line["route"].as_str().unwrap().to_owned()).collect();
    assert!(routes.contains(&"POST /users/{user_id}/tasks".to_owned()), "{routes:?}");
    assert!(accounts(&database).await.is_empty());
}

#[tokio::test]
async fn the_smoke_test_deletes_its_account_when_a_step_in_the_middle_fails() {
    let database = Scratch::migrated().await.unwrap();
    // May do everything but create tasks.
    let superuser = database.url_with(|url| url.set_username("postgres").unwrap());
    let sql = "DROP ROLE IF EXISTS halfway; CREATE ROLE halfway LOGIN PASSWORD 'halfway';
        GRANT SELECT, INSERT, UPDATE, DELETE ON users, signin_failures TO halfway;
        GRANT SELECT, DELETE ON tasks TO halfway";
    tests::database::connect(&superuser).await.unwrap().batch_execute(sql).await.unwrap();
    let url = database.url_with(|url| {
        url.set_username("halfway").unwrap();
        url.set_password(Some("halfway")).unwrap();
    });
    let watch = Watch::start(&Settings::of_the_stack().with("DATABASE_URL", &url));
    let complaint = smoke(&watch.api).await.failed();
    assert!(complaint.contains("create a task: 500") && complaint.contains("request id: "), "{complaint}");
    let routes: Vec<_> = watch.requests().iter().map(|line| line["route"].as_str().unwrap().to_owned()).collect();
    assert!(routes.contains(&"POST /users/signup".to_owned()), "{routes:?}");
    assert!(accounts(&database).await.is_empty());
}

#[tokio::test]
async fn the_smoke_test_deletes_its_account_when_it_is_interrupted() {
    let database = Scratch::migrated().await.unwrap();
    let watch = Watch::start(&Settings::of_the_stack().with("DATABASE_URL", database.url()));
    let mut smoke = tokio::process::Command::new(tests::operate::binary())
        .args(["smoke", "--api-url", watch.api.base()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(smoke.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap()
        && !line.contains("no token")
    {}
    // The sign-up takes a while, and is under way.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let pid = Pid::from_raw(smoke.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    let complaint = Run::of(smoke.wait_with_output().await.unwrap()).failed();
    assert_eq!(complaint, "error: interrupted");
    let routes: Vec<_> = watch.requests().iter().map(|line| line["route"].as_str().unwrap().to_owned()).collect();
    assert!(routes.contains(&"POST /users/signup".to_owned()), "{routes:?}");
    assert!(accounts(&database).await.is_empty());
}

#[tokio::test]
async fn the_smoke_test_of_nothing_says_so() {
    let complaint = smoke(&Api::at("http://127.0.0.1:9")).await.failed();
    assert!(complaint.starts_with("error: health: ") && complaint.contains("Connection refused"), "{complaint}");
    assert!(smoke(&Api::at("ftp://example.com")).await.failed().contains("neither http:// nor https://"));
}

#[tokio::test]
async fn stored_secrets_are_encrypted_and_make_the_functions_work() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    for parameter in ["database-url", "database-url-unpooled", "jwt-signing-key", "jwt-public-keys"] {
        let (_, kind) = checkout.store.get(&checkout.name(parameter)).await.expect(parameter);
        assert_eq!(kind, "SecureString", "{parameter}");
    }
    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success().unwrap();
    smoke(&Watch::start(&checkout.settings()).api).await.succeeded();
}

#[tokio::test]
async fn the_functions_get_a_role_of_their_own_with_limits_and_the_migrations_stay_the_owners() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    assert_eq!(checkout.value("database-url-unpooled").await, checkout.owner());
    let functions: Url = checkout.value("database-url").await.parse().unwrap();
    assert_eq!(functions.username(), checkout.functions_role());
    let pooled: Url = checkout.pooled().parse().unwrap();
    assert_eq!((functions.port(), functions.path()), (pooled.port(), pooled.path()));
    assert_ne!(functions.password(), pooled.password());

    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success().unwrap();
    let role = connect(functions.as_str()).await.unwrap();
    let limits = "SELECT current_setting(name) FROM unnest(ARRAY['statement_timeout', 'lock_timeout']) AS name";
    assert_eq!(column(&role, limits).await.unwrap(), ["1500ms", "1s"]);
    for sql in ["ALTER TABLE tasks ADD COLUMN x INTEGER", "DROP TABLE tasks", "CREATE TABLE x ()", "TRUNCATE tasks"] {
        let error = role.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
}

#[tokio::test]
async fn what_is_stored_is_overwritten_only_when_somebody_agrees() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    let parameters = ["database-url", "database-url-unpooled", "jwt-signing-key", "jwt-public-keys"];
    let values = async || join_all(parameters.map(|parameter| checkout.value(parameter))).await;
    let before = values().await;

    for answer in ["\n".to_owned(), format!("{}\n", checkout.owner())] {
        let kept = checkout.run(&["secrets", "set"], &answer, &[("POOLER", "")]).await.succeeded();
        for parameter in ["database-url", "database-url-unpooled"] {
            assert!(kept.contains(&format!("/{parameter} is unchanged (version 1)")), "{kept}");
        }
    }
    let other = format!("{}&application_name=others\n", checkout.owner());
    let refused = checkout.run(&["secrets", "set"], &other, &[]).await.failed();
    assert!(refused.contains("Overwrite it? There is no terminal to ask on: confirm with YES=1"), "{refused}");
    assert_eq!(values().await, before);
    let stored = checkout.run(&["secrets", "set", "--yes"], &other, &[]).await.succeeded();
    assert!(stored.contains("/database-url-unpooled stored (version 2)"), "{stored}");
    let after = values().await;
    assert_eq!(after[1], other.trim());
    assert_eq!(after[0], format!("{}&application_name=others", before[0]), "with the same password");
    assert_eq!(after[2..], before[2..]);
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_not_stored() {
    let checkout = Checkout::create().await;
    let as_other = |name: &str, password: &str| {
        checkout.database.url_with(|url| {
            url.set_username(name).unwrap();
            url.set_password(Some(password)).unwrap();
        })
    };
    let stacks: Url = direct_url().unwrap().parse().unwrap();
    let powerless = as_other(stacks.username(), stacks.password().unwrap());
    let nobody = checkout.database.url_with(|url| url.set_port(Some(9)).unwrap());
    for (answer, variables, said) in [
        ("", &[][..], "the address of the database as its owner is needed"),
        ("mysql://u:hunter2@h/d", &[], "/database-url-unpooled was not stored"),
        ("postgresql://u:hunter2@h/d?sslmode=disable", &[], "/database-url-unpooled was not stored"),
        ("postgresql://u:hunter2@h", &[], "names no database"),
        (&nobody, &[], "nothing was stored: the database at localhost:9 cannot be reached"),
        (&as_other(stacks.username(), "hunter2"), &[], "nothing was stored: "),
        (&powerless, &[], "nothing was stored: "),
        (checkout.owner(), &[("POOLER", "localhost:x")], "POOLER: has an invalid port"),
    ] {
        let complaint = checkout.run(&["secrets", "set"], &format!("{answer}\n"), variables).await.failed();
        assert!(complaint.contains(said) && !complaint.contains("hunter2"), "{complaint}");
    }
    assert_eq!(checkout.value("database-url").await, "", "all of them or none");
    assert_eq!(checkout.value("database-url-unpooled").await, "", "all of them or none");
    let complaint = checkout.run(&["secrets", "set"], "", &[("STAGE", "qa")]).await.failed();
    assert_eq!(complaint, "error: samconfig.toml has no stage qa: it has dev, prod, staging");
}

#[tokio::test]
async fn a_stage_of_the_first_release_gets_the_role_by_an_empty_answer_and_is_not_released_before() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    for (parameter, owners) in [("database-url", &*checkout.pooled()), ("database-url-unpooled", checkout.owner())] {
        checkout.store.put(&checkout.name(parameter), owners).await;
    }
    let complaint = checkout.run(&["deploy"], "", &[]).await.failed();
    assert!(complaint.contains("may change the schema") && complaint.contains("make secrets STAGE=dev"), "{complaint}");

    // Where the pooler is, is known from before.
    checkout.run(&["secrets", "set"], "\n", &[("POOLER", "")]).await.succeeded();
    let functions: Url = checkout.value("database-url").await.parse().unwrap();
    assert_eq!(functions.username(), checkout.functions_role());
    assert_eq!(functions.port(), checkout.pooled().parse::<Url>().unwrap().port());
    assert_eq!(checkout.value("database-url-unpooled").await, checkout.owner());
    checkout.run(&["deploy"], "", &[]).await.succeeded();
}

#[tokio::test]
async fn a_release_needs_a_role_that_gets_in_and_has_its_limits() {
    let checkout = Checkout::create().await;
    // Without the pooler, whose connections keep the limits that they began with.
    let direct = [("POOLER", "")];
    checkout.run(&["secrets", "set"], &format!("{}\n", checkout.owner()), &direct).await.succeeded();
    let role = checkout.functions_role();
    let superuser = connect(&superuser_url().unwrap()).await.unwrap();
    for (harm, said) in [
        ("RESET ALL", "the limits of the functions' role are not in force"),
        ("SET lock_timeout = 0", "the limits of the functions' role are not in force"),
        ("PASSWORD 'other'", "the functions cannot log in"),
        ("NOLOGIN", "the functions cannot log in"),
    ] {
        superuser.batch_execute(&format!("ALTER ROLE {role} {harm}")).await.unwrap();
        let complaint = checkout.run(&["deploy"], "", &[]).await.failed();
        assert!(complaint.contains(said) && complaint.contains("make secrets STAGE=dev"), "{harm}: {complaint}");
        let mended = checkout.run(&["secrets", "set"], "\n", &direct).await.succeeded();
        assert!(mended.contains("/database-url is unchanged (version 1)"), "{harm}: {mended}");
    }
    assert!(checkout.sam_log().is_empty());
    checkout.run(&["deploy"], "", &[]).await.succeeded();
}

#[tokio::test]
async fn a_renewed_password_reaches_functions_that_run() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.run(&["deploy"], "", &[]).await.succeeded();
    let watch = Watch::start(&checkout.settings());
    let user = watch.api.user().await;
    let old = checkout.value("database-url").await;

    let renewed = checkout.run(&["secrets", "set", "--renew"], "\n", &[]).await.succeeded();
    assert!(renewed.contains("/database-url stored (version 2)"), "{renewed}");
    assert!(connect(&old).await.is_err(), "the old password opens nothing");
    user.get("").await.expect(200);
    // What was open ends, and with it what the old password has opened.
    let superuser = connect(&superuser_url().unwrap()).await.unwrap();
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'",
        checkout.functions_role()
    );
    superuser.batch_execute(&end).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while user.get("").await.status != 200 {
        assert!(Instant::now() < deadline, "{}", watch.output());
    }
    let starts = watch
        .requests()
        .iter()
        .filter(|line| line["route"] == "GET /users/{user_id}" && line["cold_start"] == true)
        .count();
    assert_eq!(starts, 1, "the function has found it by itself");
}

#[tokio::test]
async fn white_space_around_a_stored_secret_is_not_part_of_it() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    for parameter in ["database-url", "database-url-unpooled", "jwt-signing-key", "jwt-public-keys"] {
        checkout.store.put(&checkout.name(parameter), &format!(" {}\n", checkout.value(parameter).await)).await;
    }
    checkout.run(&["deploy", "--dry-run"], "", &[]).await.succeeded();
    let kept = checkout.run(&["secrets", "set"], &format!("{}\n", checkout.owner()), &[]).await.succeeded();
    assert!(kept.contains("/database-url is unchanged (version 2)"), "{kept}");
}

/// On a terminal, which would echo what is typed.
#[tokio::test]
async fn a_terminal_is_asked_and_shows_no_answer() {
    let checkout = Checkout::create().await;
    let operate = tests::operate::binary();
    let mut script = checkout
        .command("script".as_ref())
        .args(["-qec", &format!("{} secrets set", operate.display()), "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("script");
    let (mut keyboard, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let mut shown = Vec::new();
    // It is typed when it is asked for: before, the terminal itself would echo it.
    while !String::from_utf8_lossy(&shown).contains("the address of the database as its owner") {
        let read = tokio::time::timeout(Duration::from_secs(60), screen.read_buf(&mut shown)).await;
        assert_ne!(read.expect("a question").unwrap(), 0, "{}", String::from_utf8_lossy(&shown));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    keyboard.write_all(format!("{}\n", checkout.owner()).as_bytes()).await.unwrap();
    screen.read_to_end(&mut shown).await.unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(script.wait().await.unwrap().success(), "{shown}");
    assert!(!shown.contains("postgresql://"), "{shown}");
    assert_eq!(checkout.value("database-url-unpooled").await, checkout.owner());
}

#[tokio::test]
async fn a_rotation_in_three_steps_refuses_no_token_and_no_step_can_come_too_early() {
    let checkout = Checkout::create().await;
    let rotate = async |step: &str, more: &[&str]| {
        let arguments = [&["secrets", "rotate", "--step", step], more].concat();
        checkout.run(&arguments, "", &[]).await
    };
    let deploy = async || checkout.run(&["deploy"], "", &[]).await.succeeded();
    // Functions that start now, as a deployment starts them all.
    let fresh = || Watch::start(&checkout.settings());
    let accepts = async |watch: &Watch, path: &str, token: &str| {
        watch.api.send(Method::GET, path, Some(token), None).await.status == 200
    };

    assert!(rotate("accept", &[]).await.failed().contains("has no keys yet"));
    checkout.store_secrets().await;
    deploy().await;
    let before = fresh();
    let user = before.api.user().await;
    let account = user.path("");
    assert!(rotate("sign", &[]).await.failed().contains("STEP=accept"));

    rotate("accept", &[]).await.succeeded();
    let both = checkout.value("jwt-public-keys").await;
    rotate("accept", &[]).await.succeeded();
    assert_eq!(checkout.value("jwt-public-keys").await, both, "a repeat changes nothing");
    assert_eq!(both.split(',').count(), 2);
    assert!(rotate("sign", &[]).await.failed().contains("make deploy"), "not all functions accept the new key yet");
    deploy().await;
    let overlap = fresh();
    assert!(accepts(&overlap, &account, &user.token).await);

    assert!(rotate("drop", &[]).await.failed().contains("STEP=sign"));
    rotate("sign", &[]).await.succeeded();
    assert_eq!(checkout.value("jwt-signing-key-next").await, "");
    assert!(rotate("drop", &[]).await.failed().contains("make deploy"), "old functions sign with the old key");
    // Between the step and the deployment, functions of both kinds run: each takes the tokens of both.
    let signing = fresh();
    let new_token = signing.api.sign_in(&user.email, PASSWORD).await.expect(200).token();
    for token in [&user.token, &new_token] {
        assert!(accepts(&overlap, &account, token).await && accepts(&signing, &account, token).await);
    }
    deploy().await;

    let early = rotate("drop", &[]).await.failed();
    assert!(early.contains("s more: wait"), "{early}");
    assert_eq!(checkout.value("jwt-public-keys").await, both);
    assert!(!rotate("drop", &["--token-lifetime-seconds", "0"]).await.success, "a lifetime that no token has");
    // With a lifetime of a second, the last token of the old key expires before long.
    loop {
        let dropped = rotate("drop", &["--token-lifetime-seconds", "1"]).await;
        if dropped.success {
            break;
        }
        assert!(dropped.failed().contains("for 1 s more: wait"));
    }
    let done = rotate("drop", &[]).await.succeeded();
    assert!(done.contains("already has the signing key alone"), "{done}");
    deploy().await;
    let after = fresh();
    assert!(accepts(&after, &account, &new_token).await && !accepts(&after, &account, &user.token).await);
}

#[tokio::test]
async fn a_release_runs_its_steps_in_order_and_again_finds_them_done() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;

    let listed = checkout.run(&["deploy", "--dry-run"], "", &[]).await.succeeded();
    assert!(listed.contains("0001_create_users_and_tasks.sql would be applied"), "{listed}");
    assert!(checkout.sam_log().is_empty(), "a dry run asks sam for nothing");
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    let database = checkout.database.connect().await.unwrap();
    assert!(column(&database, tables).await.unwrap().is_empty(), "nor does it touch the database");

    let steps = [
        "build --config-env dev --build-dir .aws-sam/build",
        "deploy --config-env dev --template-file .aws-sam/build/template.yaml --no-confirm-changeset --no-fail-on-empty-changeset",
        "list stack-outputs --output json --stack-name task-api-dev --region eu-central-1",
    ];
    let said = checkout.run(&["deploy"], "", &[]).await.succeeded();
    let order =
        ["1/5 checks", "0004_create_signin_failures.sql applied", "3/5 build", "4/5 deploy", "the token is revoked"];
    let places: Vec<_> =
        order.iter().map(|step| said.find(step).unwrap_or_else(|| panic!("{step} in {said}"))).collect();
    assert!(places.is_sorted(), "{said}");
    assert_eq!(checkout.sam_log(), steps);
    assert!(column(&database, tables).await.unwrap().contains(&"tasks".to_owned()));

    let again = checkout.run(&["deploy"], "", &[]).await.succeeded();
    assert!(again.contains("nothing to apply"), "{again}");
    assert_eq!(checkout.sam_log(), [steps, steps].concat());
}

#[tokio::test]
async fn each_step_of_a_release_that_fails_stops_the_next_and_a_repeat_goes_on() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;

    checkout.write("migrations/9999_broken.sql", "ALTER TABLE nobody ADD COLUMN x INTEGER;\n");
    checkout.commit().await;
    let complaint = checkout.run(&["deploy"], "", &[]).await.failed();
    assert!(complaint.contains("9999_broken.sql failed and was rolled back"), "{complaint}");
    assert!(checkout.sam_log().is_empty());

    fs::remove_file(checkout.path("migrations/9999_broken.sql")).unwrap();
    checkout.commit().await;
    let complaint = checkout.run(&["deploy"], "", &[("SAM_FAILS", "build")]).await.failed();
    assert!(complaint.contains("`sam build --config-env dev"), "{complaint}");
    assert_eq!(checkout.sam_log().len(), 1);
    let complaint = checkout.run(&["deploy"], "", &[("SAM_FAILS", "deploy")]).await.failed();
    assert!(complaint.contains("`sam deploy"), "{complaint}");
    assert_eq!(checkout.sam_log().len(), 3);
    assert_eq!(checkout.value("released").await, "", "nothing was released");

    let complaint = checkout.run(&["deploy"], "", &[("API_URL", "http://127.0.0.1:9")]).await.failed();
    assert!(complaint.contains("to roll back, deploy the previous release: health: "), "{complaint}");
    checkout.run(&["deploy"], "", &[]).await.succeeded();
}

#[tokio::test]
async fn a_release_says_in_one_line_what_is_missing_before_it_touches_anything() {
    let checkout = Checkout::create().await;
    let deploy = async |variables: &[(&str, &str)]| checkout.run(&["deploy"], "", variables).await.failed();
    let complaint = deploy(&[]).await;
    assert!(
        complaint.contains("/task-api/dev/database-url, ") && complaint.contains("make secrets STAGE=dev"),
        "{complaint}"
    );
    assert!(deploy(&[("STAGE", "qa")]).await.contains("has no stage qa"));
    let complaint = deploy(&[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]).await;
    assert!(complaint.contains("no AWS credentials: set AWS_PROFILE"), "{complaint}");
    let complaint = deploy(&[("SAM_FAILS", "--version")]).await;
    assert!(complaint.contains("a release needs sam: "), "{complaint}");

    checkout.store_secrets().await;
    checkout.store.put(&checkout.name("jwt-public-keys"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert!(deploy(&[]).await.contains("does not have the public key of /task-api/dev/jwt-signing-key"));
    checkout.write("new.txt", "");
    assert!(deploy(&[]).await.contains("1 changed or new files are not committed, such as ?? new.txt"));
    assert!(checkout.sam_log().is_empty());
}

#[tokio::test]
async fn a_changed_secret_changes_every_package_so_that_every_function_starts_again() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    let package = || fs::read_to_string(checkout.path(".aws-sam/build/Health/settings.json")).unwrap();
    let deploy = async || {
        checkout.run(&["deploy"], "", &[]).await.succeeded();
        package()
    };
    let first = deploy().await;
    assert_eq!(deploy().await, first, "nothing has changed, and nothing is deployed");
    checkout.run(&["secrets", "rotate", "--step", "accept"], "", &[]).await.succeeded();
    assert_ne!(deploy().await, first);
}

#[tokio::test]
async fn the_watch_over_the_database_shows_every_table_and_what_to_look_for() {
    let user = Api::shared().user().await;
    user.task("x").await;
    let database = tests::database::connect(&tests::database::direct_url().unwrap()).await.unwrap();
    database.batch_execute("SELECT pg_sleep(0.15) AS a_slow_statement").await.unwrap();
    let output = tokio::process::Command::new(tests::operate::binary()).arg("monitor").env_remove("STAGE").output();
    let shown = tests::operate::Run::of(output.await.unwrap()).succeeded();
    for part in
        ["max_connections", "mean_ms", "idx_tasks_user_id_created_at", "dead_pct", "Look for: ", "signin_failures"]
    {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("not available"), "{shown}");
}

#[tokio::test]
async fn the_watch_takes_the_database_of_a_stage_and_an_empty_stage_is_none() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success().unwrap();
    let direct = checkout.owner();
    // The stage's database, whatever else is named; then the one that is named.
    for variables in [
        &[("STAGE", STAGE), ("DATABASE_URL_UNPOOLED", "postgresql://127.0.0.1:9/none")][..],
        &[("STAGE", STAGE), ("DATABASE_URL_UNPOOLED", "")],
        &[("STAGE", ""), ("DATABASE_URL_UNPOOLED", direct)],
    ] {
        let shown = checkout.run(&["monitor"], "", variables).await.succeeded();
        assert!(shown.contains("idx_tasks_user_id_created_at"), "{shown}");
    }
    let complaint = checkout.run(&["monitor"], "", &[("STAGE", ""), ("DATABASE_URL_UNPOOLED", "")]).await.failed();
    assert_eq!(complaint, "error: no database: set STAGE or DATABASE_URL_UNPOOLED");
    let complaint = checkout.run(&["monitor"], "", &[("STAGE", "qa")]).await.failed();
    assert!(complaint.contains("has no stage qa"), "{complaint}");
}

#[tokio::test]
async fn the_watch_gives_a_database_up_that_does_not_answer() {
    let checkout = Checkout::create().await;
    let watch = async |url: &str, timeout: &str| {
        let variables = [("STAGE", ""), ("DATABASE_URL_UNPOOLED", url)];
        checkout.run(&["monitor", "--timeout", timeout], "", &variables).await.failed()
    };
    let url = |port: u16| checkout.database.url_with(|url| url.set_port(Some(port)).unwrap());
    // The system takes the connection, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let silent_once_encrypted = silent_once_encrypted(checkout.database.url()).await;
    for port in [silent_port, silent_once_encrypted] {
        let complaint = watch(&url(port), "1").await;
        assert_eq!(complaint, "error: the database did not answer within 1 s");
    }

    // What every name in a query is looked up in.
    let mut superuser: reqwest::Url = superuser_url().unwrap().parse().unwrap();
    superuser.set_path(checkout.database.name());
    let holder = tests::database::connect(superuser.as_str()).await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE pg_namespace").await.unwrap();
    let complaint = watch(checkout.database.url(), "10").await;
    assert!(complaint.starts_with("error: Connections: ") && complaint.ends_with("within 10 s"), "{complaint}");

    // Nor is the Parameter Store waited for without end.
    let endpoint = format!("http://127.0.0.1:{silent_port}");
    let variables = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_MAX_ATTEMPTS", "1")];
    let complaint = checkout.run(&["monitor"], "", &variables).await.failed();
    assert!(complaint.contains("the Parameter Store cannot be read"), "{complaint}");
}

/// A port before the database's at which nothing comes through once the connection is encrypted.
async fn silent_once_encrypted(url: &str) -> u16 {
    let database = url.parse::<reqwest::Url>().unwrap().port().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", database)).await.unwrap();
        let (mut said, mut answered) = ([0; 65536], [0; 65536]);
        // PostgreSQL's request for TLS, the client's part of the handshake, and what it says after that.
        let mut spoken = 0;
        loop {
            tokio::select! {
                count = client.read(&mut said) => match count {
                    Err(_) | Ok(0) => break,
                    Ok(_) if spoken == 2 => {}
                    Ok(count) => {
                        spoken += 1;
                        server.write_all(&said[..count]).await.unwrap();
                    }
                },
                count = server.read(&mut answered) => match count {
                    Err(_) | Ok(0) => break,
                    Ok(count) => client.write_all(&answered[..count]).await.unwrap(),
                },
            }
        }
    });
    port
}

#[tokio::test]
async fn removing_a_stages_secrets_asks_a_terminal() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    let complaint = checkout.run(&["secrets", "remove"], "y\n", &[]).await.failed();
    assert!(complaint.contains(&format!("Remove every secret of {STAGE}")), "{complaint}");
    checkout.run(&["secrets", "remove", "--yes"], "", &[]).await.succeeded();
    assert_eq!(checkout.value("database-url").await, "");
}
