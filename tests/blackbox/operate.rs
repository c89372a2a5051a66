//! The `operate` program: secrets, releases, the smoke test, the monitor.

use std::{
    collections::BTreeSet,
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use migrate::{GRACE_PERIOD, RELEASE};
use reqwest::{Method, Url};
use rustix::process::{Pid, Signal};
use tests::{
    api::{Api, PASSWORD},
    caller::SESSIONS,
    command::Output,
    database::{
        TestDatabase, column, connect, connect_as_superuser, connect_to_stack, direct_url, migrations, superuser_url,
        wait_for_row,
    },
    operate::{Checkout, STAGE, smoke},
    server::{Settings, TestServer},
    workspace::root,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_postgres::{Client, error::SqlState};

async fn emails(database: &TestDatabase) -> Vec<String> {
    column(&database.connect().await.unwrap(), "SELECT email FROM users").await.unwrap()
}

#[tokio::test]
async fn the_smoke_test_exercises_every_part_and_leaves_nothing_behind() {
    let database = TestDatabase::migrated().await.unwrap();
    let server = TestServer::start(&Settings::shared().with("DATABASE_URL", database.url()));
    let output = smoke(&server.api).await.success();
    for step in
        ["health", "preflight", "no token", "signup", "signin", "refresh", "create", "list", "delete", "revoked"]
    {
        assert!(output.contains(step), "{step} in {output}");
    }
    let routes: Vec<_> = server.requests().iter().map(|line| line["route"].as_str().unwrap().to_owned()).collect();
    assert!(routes.contains(&"POST /users/{user_id}/tasks".to_owned()), "{routes:?}");
    assert!(emails(&database).await.is_empty());
}

#[tokio::test]
async fn the_smoke_test_deletes_its_account_when_a_later_step_fails() {
    let database = TestDatabase::migrated().await.unwrap();
    // A role that may do everything except create tasks.
    let superuser = database.url_with(|url| url.set_username("postgres").unwrap());
    let sql = "DROP ROLE IF EXISTS halfway; CREATE ROLE halfway LOGIN PASSWORD 'halfway';
        GRANT SELECT, INSERT, UPDATE, DELETE ON users, signin_failures, sessions, session_networks TO halfway;
        GRANT SELECT, DELETE ON tasks TO halfway";
    connect(&superuser).await.unwrap().batch_execute(sql).await.unwrap();
    let url = database.url_with(|url| {
        url.set_username("halfway").unwrap();
        url.set_password(Some("halfway")).unwrap();
    });
    let server = TestServer::start(&Settings::shared().with("DATABASE_URL", &url));
    let error = smoke(&server.api).await.failure();
    assert!(error.contains("create a task: 500") && error.contains("request id: "), "{error}");
    let routes: Vec<_> = server.requests().iter().map(|line| line["route"].as_str().unwrap().to_owned()).collect();
    assert!(routes.contains(&"POST /users/signup".to_owned()), "{routes:?}");
    assert!(emails(&database).await.is_empty());
}

#[tokio::test]
async fn the_smoke_test_deletes_its_account_when_it_is_interrupted() {
    let database = TestDatabase::migrated().await.unwrap();
    let server = TestServer::start(&Settings::shared().with("DATABASE_URL", database.url()));
    // The sign-up is under way for as long as its row cannot be inserted.
    let lock = database.connect().await.unwrap();
    lock.batch_execute("BEGIN; LOCK TABLE users IN SHARE MODE").await.unwrap();
    let smoke = tokio::process::Command::new(tests::operate::binary())
        .args(["smoke", "--api-url", server.api.base()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // In another session: within a transaction, `pg_stat_activity` does not change.
    wait_for_row(
        &database.connect().await.unwrap(),
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .await;
    let pid = Pid::from_raw(smoke.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    lock.batch_execute("ROLLBACK").await.unwrap();
    let error = Output::from(smoke.wait_with_output().await.unwrap()).failure();
    assert_eq!(error, "error: interrupted");
    let routes: Vec<_> = server.requests().iter().map(|line| line["route"].as_str().unwrap().to_owned()).collect();
    assert!(routes.contains(&"POST /users/signup".to_owned()), "{routes:?}");
    assert!(emails(&database).await.is_empty());
}

#[tokio::test]
async fn the_smoke_test_reports_an_api_that_is_not_there() {
    let error = smoke(&Api::at("http://127.0.0.1:9")).await.failure();
    assert!(error.starts_with("error: health: ") && error.contains("Connection refused"), "{error}");
    assert!(smoke(&Api::at("ftp://example.com")).await.failure().contains("neither http:// nor https://"));
}

#[tokio::test]
async fn stored_secrets_are_encrypted_and_the_functions_work_with_them() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    for parameter in ["database-url", "database-url-unpooled", "jwt-signing-key", "jwt-public-keys"] {
        let (_, kind) = checkout.store.get(&checkout.parameter_name(parameter)).await.expect(parameter);
        assert_eq!(kind, "SecureString", "{parameter}");
    }
    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success();
    smoke(&TestServer::start(&checkout.settings()).api).await.success();
}

#[tokio::test]
async fn the_functions_get_a_role_of_their_own_with_limits_and_migrations_keep_the_owners() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    assert_eq!(checkout.parameter("database-url-unpooled").await, checkout.owner_url());
    let functions: Url = checkout.parameter("database-url").await.parse().unwrap();
    assert_eq!(functions.username(), checkout.functions_role());
    let pooled: Url = checkout.pooled_url().parse().unwrap();
    assert_eq!((functions.port(), functions.path()), (pooled.port(), pooled.path()));
    assert_ne!(functions.password(), pooled.password());

    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success();
    let role = connect(functions.as_str()).await.unwrap();
    let limits = "SELECT current_setting(name) FROM unnest(ARRAY['statement_timeout', 'lock_timeout']) AS name";
    assert_eq!(column(&role, limits).await.unwrap(), ["1500ms", "1s"]);
    for sql in ["ALTER TABLE tasks ADD COLUMN x INTEGER", "DROP TABLE tasks", "CREATE TABLE x ()", "TRUNCATE tasks"] {
        let error = role.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
}

#[tokio::test]
async fn a_stored_secret_is_overwritten_only_after_confirmation() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    let parameters = ["database-url", "database-url-unpooled", "jwt-signing-key", "jwt-public-keys"];
    let values = async || join_all(parameters.map(|parameter| checkout.parameter(parameter))).await;
    let before = values().await;

    for answer in ["\n".to_owned(), format!("{}\n", checkout.owner_url())] {
        let kept = checkout.run(&["secrets", "set"], &answer, &[("POOLER", "")]).await.success();
        for parameter in ["database-url", "database-url-unpooled"] {
            assert!(kept.contains(&format!("/{parameter} is unchanged (version 1)")), "{kept}");
        }
    }
    let other = format!("{}&application_name=others\n", checkout.owner_url());
    let refused = checkout.run(&["secrets", "set"], &other, &[]).await.failure();
    assert!(refused.contains("Overwrite it? There is no terminal to ask on: confirm with YES=1"), "{refused}");
    assert_eq!(values().await, before);
    let stored = checkout.run(&["secrets", "set", "--yes"], &other, &[]).await.success();
    assert!(stored.contains("/database-url-unpooled stored (version 2)"), "{stored}");
    let after = values().await;
    assert_eq!(after[1], other.trim());
    assert_eq!(after[0], format!("{}&application_name=others", before[0]), "with the same password");
    assert_eq!(after[2..], before[2..]);
}

#[tokio::test]
async fn an_unusable_database_is_not_stored() {
    let checkout = Checkout::create().await;
    let as_other = |name: &str, password: &str| {
        checkout.database.url_with(|url| {
            url.set_username(name).unwrap();
            url.set_password(Some(password)).unwrap();
        })
    };
    let stacks: Url = direct_url().parse().unwrap();
    let powerless = as_other(stacks.username(), stacks.password().unwrap());
    let nobody = checkout.database.url_with(|url| url.set_port(Some(9)).unwrap());
    for (answer, variables, message) in [
        ("", &[][..], "the address of the database as its owner is needed"),
        ("mysql://u:hunter2@h/d", &[], "/database-url-unpooled was not stored"),
        ("postgresql://u:hunter2@h/d?sslmode=disable", &[], "/database-url-unpooled was not stored"),
        ("postgresql://u:hunter2@h", &[], "names no database"),
        (&nobody, &[], "nothing was stored: the database at localhost:9 cannot be reached"),
        (&as_other(stacks.username(), "hunter2"), &[], "nothing was stored: "),
        (&powerless, &[], "nothing was stored: "),
        (checkout.owner_url(), &[("POOLER", "localhost:x")], "POOLER: has an invalid port"),
    ] {
        let error = checkout.run(&["secrets", "set"], &format!("{answer}\n"), variables).await.failure();
        assert!(error.contains(message) && !error.contains("hunter2"), "{error}");
    }
    assert_eq!(checkout.parameter("database-url").await, "", "all of them or none");
    assert_eq!(checkout.parameter("database-url-unpooled").await, "", "all of them or none");
    let error = checkout.run(&["secrets", "set"], "", &[("STAGE", "qa")]).await.failure();
    assert_eq!(error, "error: samconfig.toml has no stage qa: it has dev, prod, staging");
}

#[tokio::test]
async fn a_stage_of_the_first_release_needs_the_functions_role_which_an_empty_answer_creates() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    for (parameter, owners) in
        [("database-url", &*checkout.pooled_url()), ("database-url-unpooled", checkout.owner_url())]
    {
        checkout.store.put(&checkout.parameter_name(parameter), owners).await;
    }
    let error = checkout.run(&["deploy"], "", &[]).await.failure();
    assert!(error.contains("may change the schema") && error.contains("make secrets STAGE=dev"), "{error}");

    // The pooler's address is taken from what is stored.
    checkout.run(&["secrets", "set"], "\n", &[("POOLER", "")]).await.success();
    let functions: Url = checkout.parameter("database-url").await.parse().unwrap();
    assert_eq!(functions.username(), checkout.functions_role());
    assert_eq!(functions.port(), checkout.pooled_url().parse::<Url>().unwrap().port());
    assert_eq!(checkout.parameter("database-url-unpooled").await, checkout.owner_url());
    checkout.run(&["deploy"], "", &[]).await.success();
}

#[tokio::test]
async fn a_release_needs_a_role_that_can_log_in_and_has_its_limits() {
    let checkout = Checkout::create().await;
    // Without the pooler, whose connections keep the limits of their start.
    let direct = [("POOLER", "")];
    checkout.run(&["secrets", "set"], &format!("{}\n", checkout.owner_url()), &direct).await.success();
    let role = checkout.functions_role();
    let superuser = connect_as_superuser().await;
    for (change, message) in [
        ("RESET ALL", "the limits of the functions' role are not in force"),
        ("SET lock_timeout = 0", "the limits of the functions' role are not in force"),
        ("PASSWORD 'other'", "the functions cannot log in"),
        ("NOLOGIN", "the functions cannot log in"),
    ] {
        superuser.batch_execute(&format!("ALTER ROLE {role} {change}")).await.unwrap();
        let error = checkout.run(&["deploy"], "", &[]).await.failure();
        assert!(error.contains(message) && error.contains("make secrets STAGE=dev"), "{change}: {error}");
        let output = checkout.run(&["secrets", "set"], "\n", &direct).await.success();
        assert!(output.contains("/database-url is unchanged (version 1)"), "{change}: {output}");
    }
    assert!(checkout.sam_log().is_empty());
    checkout.run(&["deploy"], "", &[]).await.success();
}

#[tokio::test]
async fn running_functions_pick_up_a_renewed_password() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.run(&["deploy"], "", &[]).await.success();
    let server = TestServer::start(&checkout.settings());
    let user = server.api.user().await;
    let old = checkout.parameter("database-url").await;

    let renewed = checkout.run(&["secrets", "set", "--renew"], "\n", &[]).await.success();
    assert!(renewed.contains("/database-url stored (version 2)"), "{renewed}");
    assert!(connect(&old).await.is_err(), "the old password is refused");
    user.get("").await.expect(200);
    // Close the connections that were opened with the old password.
    let superuser = connect_as_superuser().await;
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'",
        checkout.functions_role()
    );
    superuser.batch_execute(&end).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while user.get("").await.status != 200 {
        assert!(Instant::now() < deadline, "{}", server.output());
    }
    let starts = server
        .requests()
        .iter()
        .filter(|line| line["route"] == "GET /users/{user_id}" && line["cold_start"] == true)
        .count();
    assert_eq!(starts, 1, "without a restart");
}

#[tokio::test]
async fn white_space_around_a_stored_secret_is_ignored() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    for parameter in ["database-url", "database-url-unpooled", "jwt-signing-key", "jwt-public-keys"] {
        checkout
            .store
            .put(&checkout.parameter_name(parameter), &format!(" {}\n", checkout.parameter(parameter).await))
            .await;
    }
    checkout.run(&["deploy", "--dry-run"], "", &[]).await.success();
    let kept = checkout.run(&["secrets", "set"], &format!("{}\n", checkout.owner_url()), &[]).await.success();
    assert!(kept.contains("/database-url is unchanged (version 2)"), "{kept}");
}

#[tokio::test]
async fn answers_typed_on_a_terminal_are_not_echoed() {
    let checkout = Checkout::create().await;
    let operate = tests::operate::binary();
    let mut script = checkout
        .command("script".as_ref())
        .args(["-qec", &format!("tty >tty && exec {} secrets set", operate.display()), "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("script");
    let (mut keyboard, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let mut shown = Vec::new();
    // Type only when the echo is off; until then the terminal itself would show it.
    while !String::from_utf8_lossy(&shown).contains("the address of the database as its owner") {
        let read = tokio::time::timeout(Duration::from_secs(60), screen.read_buf(&mut shown)).await;
        assert_ne!(read.expect("a question").unwrap(), 0, "{}", String::from_utf8_lossy(&shown));
    }
    let terminal = fs::read_to_string(checkout.path("tty")).unwrap();
    let settings = async || {
        let stty = tokio::process::Command::new("stty").args(["-a", "-F", terminal.trim()]).output().await;
        Output::from(stty.unwrap()).success()
    };
    let is_off = tokio::time::timeout(Duration::from_secs(60), async {
        while !settings().await.contains(" -echo ") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    is_off.await.expect("the echo is off");
    keyboard.write_all(format!("{}\n", checkout.owner_url()).as_bytes()).await.unwrap();
    screen.read_to_end(&mut shown).await.unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(script.wait().await.unwrap().success(), "{shown}");
    assert!(!shown.contains("postgresql://"), "{shown}");
    assert_eq!(checkout.parameter("database-url-unpooled").await, checkout.owner_url());
}

#[tokio::test]
async fn a_rotation_in_three_steps_refuses_no_token_and_no_step_can_run_too_early() {
    let checkout = Checkout::create().await;
    let rotate = async |step: &str, more: &[&str]| {
        let arguments = [&["secrets", "rotate", "--step", step], more].concat();
        checkout.run(&arguments, "", &[]).await
    };
    let deploy = async || checkout.run(&["deploy"], "", &[]).await.success();
    // Functions that start with the secrets of now, as a deployment restarts them.
    let fresh = || TestServer::start(&checkout.settings());
    let accepts = async |server: &TestServer, path: &str, token: &str| {
        server.api.send(Method::GET, path, Some(token), None).await.status == 200
    };

    assert!(rotate("accept", &[]).await.failure().contains("has no keys yet"));
    checkout.store_secrets().await;
    deploy().await;
    let before = fresh();
    let user = before.api.user().await;
    let account = user.path("");
    assert!(rotate("sign", &[]).await.failure().contains("STEP=accept"));

    rotate("accept", &[]).await.success();
    let both = checkout.parameter("jwt-public-keys").await;
    rotate("accept", &[]).await.success();
    assert_eq!(checkout.parameter("jwt-public-keys").await, both, "a second run changes nothing");
    assert_eq!(both.split(',').count(), 2);
    assert!(rotate("sign", &[]).await.failure().contains("make deploy"), "not all functions accept the new key yet");
    deploy().await;
    let overlap = fresh();
    assert!(accepts(&overlap, &account, &user.token).await);

    assert!(rotate("drop", &[]).await.failure().contains("STEP=sign"));
    rotate("sign", &[]).await.success();
    assert_eq!(checkout.parameter("jwt-signing-key-next").await, "");
    assert!(rotate("drop", &[]).await.failure().contains("make deploy"), "old functions sign with the old key");
    // Until the deployment ends, old and new functions run: each accepts the tokens of both.
    let signing = fresh();
    let new_token = signing.api.sign_in(&user.email, PASSWORD).await.expect(200).token();
    for token in [&user.token, &new_token] {
        assert!(accepts(&overlap, &account, token).await && accepts(&signing, &account, token).await);
    }
    deploy().await;

    let early = rotate("drop", &[]).await.failure();
    assert!(early.contains("s more: wait"), "{early}");
    assert_eq!(checkout.parameter("jwt-public-keys").await, both);
    assert!(rotate("drop", &["--token-lifetime-seconds", "0"]).await.code != Some(0), "0 is no lifetime");
    // With a lifetime of a second, the last token of the old key expires soon.
    loop {
        let dropped = rotate("drop", &["--token-lifetime-seconds", "1"]).await;
        if dropped.code == Some(0) {
            break;
        }
        assert!(dropped.failure().contains("for 1 s more: wait"));
    }
    let done = rotate("drop", &[]).await.success();
    assert!(done.contains("already has the signing key alone"), "{done}");
    deploy().await;
    let after = fresh();
    assert!(accepts(&after, &account, &new_token).await && !accepts(&after, &account, &user.token).await);
}

#[tokio::test]
async fn a_release_runs_its_steps_in_order_and_can_be_repeated() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;

    let parameters = "--parameter-overrides Stage=\"dev\" \
        AllowedOrigins=\"http://localhost:3000,http://127.0.0.1:9000\" LogLevel=\"DEBUG\" IgnoreAlarms=\"false\"";
    let build = format!("build --config-env dev --build-dir .aws-sam/build {parameters}");
    let deploy = |option: &str| {
        let template = "--template-file .aws-sam/build/template.yaml";
        let config = checkout.path("samconfig.toml").canonicalize().unwrap();
        let options = format!("--config-env dev {template} {option} --no-fail-on-empty-changeset");
        format!("deploy --config-file {} {options} {parameters}", config.display())
    };
    let looks = [build.clone(), deploy("--no-execute-changeset --s3-prefix task-api-dev-preview")];
    let listed = checkout.run(&["deploy", "--dry-run"], "", &[]).await.success();
    assert!(listed.contains("0001_create_users_and_tasks.sql would be applied"), "{listed}");
    assert_eq!(checkout.sam_log(), looks);
    // Before `sam build`, which builds one function after the other, all are built at once.
    let built = fs::read_to_string(checkout.path("cargo-lambda.log")).unwrap();
    let words: Vec<_> = built.lines().last().unwrap().split(' ').collect();
    let (options, programs) = words.split_at(4);
    assert_eq!(options, ["lambda", "build", "--release", "--arm64"]);
    let programs: BTreeSet<_> = programs.chunks(2).map(|words| (words[0], words[1].to_owned())).collect();
    let functions = fs::read_dir(root().join("functions")).unwrap();
    let functions = functions.map(|entry| ("--bin", entry.unwrap().file_name().into_string().unwrap()));
    assert_eq!(programs, functions.collect());
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
    let database = checkout.database.connect().await.unwrap();
    assert!(column(&database, tables).await.unwrap().is_empty(), "a dry run does not change the database");

    let steps = [build, deploy("--no-confirm-changeset")];
    let output = checkout.run(&["deploy"], "", &[]).await.success();
    let order = [
        "1/7 checks",
        "2/7 build",
        "3/7 changes",
        "0004_create_signin_failures.sql would be applied",
        "4/7 migrations",
        "0004_create_signin_failures.sql applied",
        "5/7 deploy",
        "the token is revoked",
        "7/7 ",
    ];
    let places: Vec<_> =
        order.iter().map(|step| output.find(step).unwrap_or_else(|| panic!("{step} in {output}"))).collect();
    assert!(places.is_sorted(), "{output}");
    assert_eq!(checkout.sam_log(), [looks.clone(), steps.clone()].concat());
    assert!(column(&database, tables).await.unwrap().contains(&"tasks".to_owned()));

    let again = checkout.run(&["deploy"], "", &[]).await.success();
    assert!(again.contains("nothing to apply"), "{again}");
    assert_eq!(checkout.sam_log(), [looks, steps.clone(), steps].concat());
}

#[tokio::test]
async fn a_failed_step_stops_a_release_which_can_be_repeated() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;

    checkout.write("migrations/9999_broken.sql", "ALTER TABLE nobody ADD COLUMN x INTEGER;\n");
    checkout.commit().await;
    let error = checkout.run(&["deploy"], "", &[]).await.failure();
    assert!(error.contains("9999_broken.sql failed and was rolled back"), "{error}");
    assert_eq!(checkout.sam_log().len(), 1);

    fs::remove_file(checkout.path("migrations/9999_broken.sql")).unwrap();
    checkout.commit().await;
    let error = checkout.run(&["deploy"], "", &[("SAM_FAILS", "build")]).await.failure();
    assert!(error.contains("`sam build --config-env dev"), "{error}");
    assert_eq!(checkout.sam_log().len(), 2);
    let error = checkout.run(&["deploy"], "", &[("SAM_FAILS", "deploy")]).await.failure();
    assert!(error.contains("`sam deploy") && error.contains("ALARMS=ignore"), "{error}");
    assert_eq!(checkout.sam_log().len(), 4);
    assert_eq!(checkout.parameter("released").await, "", "nothing was released");

    let error = checkout.run(&["deploy"], "", &[("API_URL", "http://127.0.0.1:9")]).await.failure();
    assert!(error.contains("to go back, `make rollback STAGE=dev`: health: "), "{error}");
    checkout.run(&["deploy"], "", &[]).await.success();
}

/// What the migration below takes away.
const IS_THERE: &str = "SELECT column_name::text FROM information_schema.columns
                        WHERE table_name = 'tasks' AND column_name = 'title'";

/// A stage that needs nothing but a deployment, with a contracting migration for the release of the checkout.
async fn with_contracting_migration() -> (Checkout, Client) {
    let checkout = Checkout::create().await;
    let contracting = format!("-- contracting: {RELEASE}\nALTER TABLE tasks DROP COLUMN title CASCADE;\n");
    checkout.write("migrations/9000_drop_title.sql", &contracting);
    checkout.commit().await;
    checkout.store_secrets().await;
    let database = checkout.database.connect().await.unwrap();
    (checkout, database)
}

#[tokio::test]
async fn a_contracting_migration_waits_until_its_release_has_been_live_for_the_grace_period() {
    let (checkout, database) = with_contracting_migration().await;
    let is_there = async || !column(&database, IS_THERE).await.unwrap().is_empty();
    let listed = checkout.run(&["deploy", "--dry-run"], "", &[]).await.success();
    let not_live = format!("9000_drop_title.sql is waiting until release {RELEASE} has been live for 7 days");
    assert!(listed.contains(&not_live), "{listed}");
    checkout.run(&["deploy"], "", &[("SAM_FAILS", "deploy")]).await.failure();
    let since = "SELECT release || ' ' || live_since FROM _releases";
    assert!(column(&database, since).await.is_err(), "it is not live");

    let output = checkout.run(&["deploy"], "", &[]).await.success();
    let (_, last) = output.split_once("7/7 contracting migrations").unwrap();
    assert!(last.contains(&format!(" UTC, when release {RELEASE} has been live for 7 days")), "{last}");
    assert!(is_there().await);
    let first = column(&database, since).await.unwrap();
    checkout.run(&["deploy"], "", &[]).await.success();
    assert_eq!(column(&database, since).await.unwrap(), first, "deployed again, it keeps its time");

    let seconds = GRACE_PERIOD.as_secs();
    for (age, remains) in [(seconds - 600, true), (seconds + 1, false)] {
        let move_back = format!("UPDATE _releases SET live_since = now() - interval '{age} seconds'");
        database.batch_execute(&move_back).await.unwrap();
        // Not before the release has passed its test,
        checkout.run(&["deploy"], "", &[("API_URL", "http://127.0.0.1:9")]).await.failure();
        assert!(is_there().await, "{age}");
        let listed = checkout.run(&["deploy", "--dry-run"], "", &[]).await.success();
        assert_eq!(listed.contains("9000_drop_title.sql would be applied"), !remains, "{listed}");
        let status = checkout.database.migrate(&checkout.path("migrations"), &["status"]).await.unwrap().success();
        assert_eq!(
            status.contains(&format!("waiting for the next deployment: release {RELEASE} has")),
            !remains,
            "{status}"
        );
        let output = checkout.run(&["deploy"], "", &[]).await.success();
        assert_eq!(is_there().await, remains, "{output}");
    }
}

#[tokio::test]
async fn going_back_to_an_earlier_release_restarts_the_grace_period_of_the_later_one() {
    let (checkout, database) = with_contracting_migration().await;
    let releases = "SELECT release FROM _releases ORDER BY release";
    checkout.run(&["deploy"], "", &[]).await.success();
    // An earlier release, long live, and a later one, which this deployment replaces.
    let others =
        "INSERT INTO _releases VALUES ('0.0.1', now() - interval '1 year'), ('99.0.0', now() - interval '1 year')";
    database.batch_execute(others).await.unwrap();
    let output = checkout.run(&["deploy"], "", &[]).await.success();
    assert!(output.contains("9000_drop_title.sql is waiting until "), "{output}");
    assert_eq!(column(&database, releases).await.unwrap(), ["0.0.1", RELEASE]);

    // After going back by the alias, the operator removes the record.
    database
        .batch_execute("UPDATE _releases SET live_since = now() - interval '1 year'; DELETE FROM _releases")
        .await
        .unwrap();
    let output = checkout.run(&["deploy"], "", &[]).await.success();
    assert!(output.contains("9000_drop_title.sql is waiting until "), "{output}");
}

#[tokio::test]
async fn the_operator_can_contract_with_the_deployment() {
    let (checkout, database) = with_contracting_migration().await;
    let listed = checkout.run(&["deploy", "--dry-run", "--contract"], "", &[]).await.success();
    assert!(listed.contains("9000_drop_title.sql would be applied"), "{listed}");
    let output = checkout.run(&["deploy", "--contract"], "", &[]).await.success();
    let order = ["the token is revoked", "7/7 contracting migrations", "9000_drop_title.sql applied"];
    assert!(order.iter().map(|step| output.find(step)).is_sorted(), "{output}");
    assert_eq!(column(&database, IS_THERE).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn tags_that_no_task_has_are_swept() {
    let database = TestDatabase::migrated().await.unwrap();
    let client = database.connect().await.unwrap();
    let data = "INSERT INTO users (id, email, password_hash)
                VALUES ('00000000-0000-4000-8000-000000000001', 'ada@example.com', repeat('x', 60));
                INSERT INTO tasks (user_id, title, status)
                VALUES ('00000000-0000-4000-8000-000000000001', 'Write', 'pending');
                INSERT INTO tags (name) SELECT 'tag' || n FROM generate_series(1, 2500) AS n;
                INSERT INTO task_tags (task_id, tag_id) SELECT tasks.id, tags.id FROM tasks, tags
                WHERE name IN ('tag7', 'tag2400');";
    client.batch_execute(data).await.unwrap();
    // A request is about to give a task this tag.
    let request = database.connect().await.unwrap();
    let give = "BEGIN; INSERT INTO task_tags (task_id, tag_id)
                SELECT tasks.id, tags.id FROM tasks, tags WHERE name = 'tag9'";
    request.batch_execute(give).await.unwrap();
    let sweep = async || {
        let mut operate = tokio::process::Command::new(tests::operate::binary());
        operate.arg("sweep").env_remove("STAGE").env("DATABASE_URL_UNPOOLED", database.url());
        Output::from(operate.output().await.unwrap()).success()
    };
    assert_eq!(sweep().await, "2497 tags that no task has were deleted\n");
    request.batch_execute("COMMIT").await.unwrap();
    let names = "SELECT name FROM tags ORDER BY name";
    assert_eq!(column(&client, names).await.unwrap(), ["tag2400", "tag7", "tag9"]);
    client.batch_execute("DELETE FROM tasks").await.unwrap();
    assert_eq!(sweep().await, "3 tags that no task has were deleted\n");
    assert_eq!(sweep().await, "0 tags that no task has were deleted\n");
}

#[tokio::test]
async fn the_sessions_of_everybody_are_ended() {
    let database = TestDatabase::migrated().await.unwrap();
    let client = database.connect().await.unwrap();
    let data = "INSERT INTO users (id, email, password_hash, updated_at)
                SELECT gen_random_uuid(), n || '@example.com', repeat('x', 60), '2026-01-01'
                FROM generate_series(1, 2500) AS n";
    client.batch_execute(&format!("{data}; {SESSIONS}")).await.unwrap();
    let mut operate = tokio::process::Command::new(tests::operate::binary());
    operate.arg("end-sessions").env_remove("STAGE").env("DATABASE_URL_UNPOOLED", database.url());
    operate.stdin(Stdio::null());
    let refused = Output::from(operate.output().await.unwrap()).failure();
    assert!(refused.contains("confirm with YES=1"), "{refused}");
    assert_eq!(column(&client, "SELECT count(*)::text FROM sessions").await.unwrap(), ["2500"]);

    let ended = Output::from(operate.arg("--yes").output().await.unwrap()).success();
    assert_eq!(ended, "the sessions of 2500 accounts were ended\n");
    assert_eq!(column(&client, "SELECT count(*)::text FROM sessions").await.unwrap(), ["0"]);
    // Nor do tokens without a session hold, and the accounts have not changed.
    let accounts = "SELECT DISTINCT concat_ws(' ', token_version, updated_at) FROM users";
    assert_eq!(column(&client, accounts).await.unwrap(), ["1 2026-01-01 00:00:00"]);
}

#[tokio::test]
async fn a_release_reports_what_is_missing_before_it_changes_anything() {
    let checkout = Checkout::create().await;
    let deploy = async |variables: &[(&str, &str)]| checkout.run(&["deploy"], "", variables).await.failure();
    let error = deploy(&[]).await;
    assert!(error.contains("/task-api/dev/database-url, ") && error.contains("make secrets STAGE=dev"), "{error}");
    assert!(deploy(&[("STAGE", "qa")]).await.contains("has no stage qa"));
    let error = deploy(&[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]).await;
    assert!(error.contains("no AWS credentials: set AWS_PROFILE"), "{error}");
    let error = deploy(&[("SAM_FAILS", "--version")]).await;
    assert!(error.contains("a release needs sam: "), "{error}");

    checkout.store_secrets().await;
    checkout
        .store
        .put(&checkout.parameter_name("jwt-public-keys"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        .await;
    assert!(deploy(&[]).await.contains("does not have the public key of /task-api/dev/jwt-signing-key"));
    checkout.write("new.txt", "");
    assert!(deploy(&[]).await.contains("1 changed or new files are not committed, such as ?? new.txt"));
    assert!(checkout.sam_log().is_empty());
}

#[tokio::test]
async fn a_changed_secret_changes_every_package_so_that_every_function_restarts() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    let package = || fs::read_to_string(checkout.path(".aws-sam/build/Health/settings.json")).unwrap();
    let deploy = async || {
        checkout.run(&["deploy"], "", &[]).await.success();
        package()
    };
    let first = deploy().await;
    assert_eq!(deploy().await, first, "unchanged secrets, unchanged packages");
    checkout.run(&["secrets", "rotate", "--step", "accept"], "", &[]).await.success();
    assert_ne!(deploy().await, first);
}

#[tokio::test]
async fn the_monitor_shows_every_table_and_what_to_look_for() {
    let user = Api::shared().user().await;
    user.task("x").await;
    let database = connect_to_stack().await;
    database.batch_execute("SELECT pg_sleep(0.15) AS a_slow_statement").await.unwrap();
    let mut monitor = tokio::process::Command::new(tests::operate::binary());
    let output = monitor.arg("monitor").env_remove("STAGE").current_dir(root()).output();
    let shown = Output::from(output.await.unwrap()).success();
    for part in [
        "max_connections",
        "mean_ms",
        "idx_tasks_user_id_created_at",
        "dead_pct",
        "Look for: ",
        "signin_failures",
        "0020_drop_completed.sql: waiting until release ",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("not available"), "{shown}");
}

#[tokio::test]
async fn the_monitor_uses_the_database_of_a_stage_and_an_empty_stage_is_none() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    checkout.database.migrate(&migrations(), &["up"]).await.unwrap().success();
    let direct = checkout.owner_url();
    // A stage takes precedence over a URL.
    for variables in [
        &[("STAGE", STAGE), ("DATABASE_URL_UNPOOLED", "postgresql://127.0.0.1:9/none")][..],
        &[("STAGE", STAGE), ("DATABASE_URL_UNPOOLED", "")],
        &[("STAGE", ""), ("DATABASE_URL_UNPOOLED", direct)],
    ] {
        let shown = checkout.run(&["monitor"], "", variables).await.success();
        assert!(shown.contains("idx_tasks_user_id_created_at"), "{shown}");
    }
    let error = checkout.run(&["monitor"], "", &[("STAGE", ""), ("DATABASE_URL_UNPOOLED", "")]).await.failure();
    assert_eq!(error, "error: no database: set STAGE or DATABASE_URL_UNPOOLED");
    let error = checkout.run(&["monitor"], "", &[("STAGE", "qa")]).await.failure();
    assert!(error.contains("has no stage qa"), "{error}");
}

#[tokio::test]
async fn the_monitor_times_out_when_the_database_does_not_answer() {
    let checkout = Checkout::create().await;
    let monitor = async |url: &str, patience: &str| {
        let variables = [("STAGE", ""), ("DATABASE_URL_UNPOOLED", url)];
        checkout.run(&["monitor", "--timeout", patience], "", &variables).await.failure()
    };
    let url = |port: u16| checkout.database.url_with(|url| url.set_port(Some(port)).unwrap());
    // The kernel accepts the connection, and nothing answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let silent_once_encrypted = silent_once_encrypted(checkout.database.url()).await;
    for port in [silent_port, silent_once_encrypted] {
        let error = monitor(&url(port), "1").await;
        assert_eq!(error, "error: the database did not answer within 1 s");
    }

    // Every query has to look its names up in here.
    let mut superuser: reqwest::Url = superuser_url().parse().unwrap();
    superuser.set_path(checkout.database.name());
    let lock = connect(superuser.as_str()).await.unwrap();
    lock.batch_execute("BEGIN; LOCK TABLE pg_namespace").await.unwrap();
    let error = monitor(checkout.database.url(), "10").await;
    assert!(error.starts_with("error: Connections: ") && error.ends_with("within 10 s"), "{error}");

    // The Parameter Store does not answer.
    let endpoint = format!("http://127.0.0.1:{silent_port}");
    let variables = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_MAX_ATTEMPTS", "1")];
    let error = checkout.run(&["monitor"], "", &variables).await.failure();
    assert!(error.contains("the Parameter Store cannot be read"), "{error}");
}

/// The port of a proxy to the database that forwards nothing once the connection is encrypted.
async fn silent_once_encrypted(url: &str) -> u16 {
    let database = url.parse::<reqwest::Url>().unwrap().port().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", database)).await.unwrap();
        let (mut sent, mut answered) = ([0; 65536], [0; 65536]);
        // The SSLRequest and the TLS handshake pass; the startup message does not.
        let mut messages = 0;
        loop {
            tokio::select! {
                count = client.read(&mut sent) => match count {
                    Err(_) | Ok(0) => break,
                    Ok(_) if messages == 2 => {}
                    Ok(count) => {
                        messages += 1;
                        server.write_all(&sent[..count]).await.unwrap();
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
async fn removing_a_stages_secrets_needs_confirmation() {
    let checkout = Checkout::create().await;
    checkout.store_secrets().await;
    let error = checkout.run(&["secrets", "remove"], "y\n", &[]).await.failure();
    assert!(error.contains(&format!("Remove every secret of {STAGE}")), "{error}");
    checkout.run(&["secrets", "remove", "--yes"], "", &[]).await.success();
    assert_eq!(checkout.parameter("database-url").await, "");
}
