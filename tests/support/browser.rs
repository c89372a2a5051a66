//! A person at a browser: Chromium without a window, used by the keyboard.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities, DesiredCapabilities, Key, WebDriver, error::WebDriverError};

use crate::{api::PASSWORD, watch::free_port};

/// How long anything on a page may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a page is asked whether something has come true.
const TICK: Duration = Duration::from_millis(50);

/// Chromium, for a page that is none of its own business: no account, no updates, no questions.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Gives a test a browser of its own, and ends it however the test ends.
pub async fn browse(test: impl AsyncFnOnce(&Page)) {
    let chromedriver = Chromedriver::start();
    let mut capabilities = DesiredCapabilities::chrome();
    let set = |capabilities: &mut thirtyfour::ChromeCapabilities| {
        capabilities.set_binary(&variable("CHROMIUM"))?;
        capabilities.set_browser_log_level(thirtyfour::LoggingPrefsLogLevel::All)?;
        ARGUMENTS.iter().try_for_each(|argument| capabilities.add_arg(argument))?;
        capabilities.add_arg(&format!("--user-data-dir={}", chromedriver.folder.path().join("profile").display()))
    };
    set(&mut capabilities).expect("capabilities");
    let url = format!("http://127.0.0.1:{}", chromedriver.port);
    let driver = WebDriver::new(url, capabilities).await.expect("a browser");
    let done = driver
        .run_and_quit(|driver| async move {
            test(&Page { driver }).await;
            Ok::<_, WebDriverError>(())
        })
        .await;
    done.expect("an end");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make test` sets it"))
}

/// What starts a browser and speaks WebDriver for it.
struct Chromedriver {
    child: Child,
    port: u16,
    /// The log and the browser's profile.
    folder: TempDir,
}

impl Chromedriver {
    fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        let port = free_port();
        let child = Command::new(variable("CHROMEDRIVER"))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("chromedriver");
        let chromedriver = Self { child, port, folder };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = || fs::read_to_string(chromedriver.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "chromedriver does not listen: {}", log());
            sleep(TICK);
        }
        chromedriver
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// The tab in front.
#[derive(Debug)]
pub struct Page {
    driver: WebDriver,
}

impl Page {
    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.driver.goto(url).await.expect("a page");
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.driver.refresh().await.expect("a page");
    }

    /// Opens another tab and turns to it.
    pub async fn new_tab(&self) {
        let tab = self.driver.new_tab().await.expect("a tab");
        self.driver.switch_to_window(tab).await.expect("the tab");
    }

    /// Turns to a tab, by the order of their opening.
    pub async fn turn_to_tab(&self, number: usize) {
        let tabs = self.driver.windows().await.expect("tabs");
        self.driver.switch_to_window(tabs[number].clone()).await.expect("the tab");
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        let returned = self.driver.execute(script, Vec::new()).await;
        returned.unwrap_or_else(|error| panic!("{script}: {error}")).json().clone()
    }

    /// What a script's promise comes to.
    pub async fn run_async(&self, promise: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {promise} }})().then(done, (error) => done({{ failed: String(error) }}));"
        );
        let value = self.driver.execute_async(script, Vec::new()).await.expect("a value").json().clone();
        assert!(value["failed"].is_null(), "{promise}: {value}");
        value
    }

    /// Presses a key.
    pub async fn press(&self, key: Key) {
        self.driver.action_chain().send_keys(key + "").perform().await.expect("a key");
    }

    /// Types where the keyboard is, in the place of what is there.
    pub async fn type_over(&self, text: &str) {
        self.driver
            .action_chain()
            .key_down(Key::Control)
            .send_keys("a")
            .key_up(Key::Control)
            .perform()
            .await
            .expect("keys");
        self.driver.action_chain().send_keys(text).perform().await.expect("keys");
    }

    /// Where the keyboard is, by the name that a screen reader would say.
    pub async fn focused(&self) -> String {
        let script = "
            const element = document.activeElement;
            if (element === document.body) return '';
            const named = element.getAttribute('aria-labelledby')?.split(' ').map((id) => document.getElementById(id));
            const names = named ?? [...(element.labels ?? [])];
            const name = element.getAttribute('aria-label') || names.map((it) => it.textContent).join(' ');
            return (name || element.textContent).replace(/\\s+/g, ' ').trim();";
        self.run(script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Presses Tab until the keyboard is at what has this name.
    pub async fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..80 {
            let focused = self.focused().await;
            if focused == name {
                return;
            }
            passed.push(focused);
            self.press(Key::Tab).await;
        }
        panic!("the keyboard does not come to {name:?}, but to {passed:?}");
    }

    /// Goes to a field by the keyboard and types into it.
    pub async fn fill(&self, field: &str, text: &str) {
        self.tab_to(field).await;
        self.type_over(text).await;
    }

    /// Goes to a button by the keyboard and presses it.
    pub async fn push(&self, button: &str) {
        self.tab_to(button).await;
        self.press(Key::Enter).await;
    }

    /// Waits until an expression is true.
    pub async fn wait_for(&self, what: &str, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(&format!("return Boolean({expression})")).await != json!(true) {
            if Instant::now() > deadline {
                self.shoot("timeout").await;
                panic!("{what}: it did not come; the page says {:?}", self.text("body").await);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Waits until the text is somewhere on the page to be seen.
    pub async fn see(&self, text: &str) {
        self.wait_for(text, &format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// What is to be seen of an element.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({}).innerText", json!(selector))).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The titles in the list.
    pub async fn titles(&self) -> Vec<String> {
        let titles =
            self.run("return [...document.querySelectorAll('.task .title')].map((it) => it.textContent)").await;
        serde_json::from_value(titles).expect("titles")
    }

    /// Waits until the list has these titles, and no others.
    pub async fn see_titles(&self, titles: &[&str]) {
        let shown = "JSON.stringify([...document.querySelectorAll('.task .title')].map((it) => it.textContent))";
        self.wait_for(&format!("{titles:?}"), &format!("{shown} === {}", json!(json!(titles).to_string()))).await;
    }

    /// Signs in, from the sign-in form to the list.
    pub async fn sign_in(&self, email: &str) {
        self.fill("E-mail address", email).await;
        self.fill("Password", PASSWORD).await;
        self.press(Key::Enter).await;
        self.see_list().await;
    }

    /// Waits until the list has come.
    pub async fn see_list(&self) {
        let come =
            "!document.getElementById('desk').hidden && !document.getElementById('tasks').hasAttribute('aria-busy')";
        self.wait_for("the list", come).await;
    }

    /// Takes the size of a screen, in CSS pixels, and light or dark colours. Nothing moves.
    pub async fn appear(&self, width: u32, height: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", metrics).await.expect("a size");
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]});
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", features).await.expect("a scheme");
    }

    /// Keeps a picture of the page.
    pub async fn shoot(&self, name: &str) {
        let folder = PathBuf::from(variable("SCREENSHOTS"));
        fs::create_dir_all(&folder).expect("a folder");
        self.driver.screenshot(&folder.join(format!("{name}.png"))).await.expect("a picture");
    }

    /// What axe-core finds against the rules of WCAG 2.2 (A and AA) and good practice.
    pub async fn violations(&self) -> Vec<String> {
        let axe = fs::read_to_string(variable("AXE")).expect("axe-core");
        self.driver.execute(axe, Vec::new()).await.expect("axe-core");
        let found =
            self.run_async("return (await axe.run(document, { resultTypes: ['violations'] })).violations").await;
        let found = found.as_array().expect("a list").iter();
        found.map(|violation| format!("{}: {} at {}", violation["id"], violation["help"], violation["nodes"])).collect()
    }

    /// What the browser has complained about since it was last asked: errors of scripts, and the page's own policy.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("a log");
        log.into_iter().map(|entry| entry.message).collect()
    }
}
