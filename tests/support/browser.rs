//! Headless Chromium, used as a person at a keyboard would.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{
    By, CapabilitiesHelper, ChromiumLikeCapabilities, Cookie, DesiredCapabilities, Key, TypingData, WebDriver,
    WebElement, error::WebDriverError,
};

use crate::{
    api::{Api, PASSWORD},
    service::{Service, free_port},
    workspace::variable,
};

/// How long anything on a page may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often a condition is checked.
const TICK: Duration = Duration::from_millis(50);

/// Chromium without a window, accounts, updates and dialogs.
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

/// The address of the page.
pub fn page_url() -> String {
    Api::shared().url("/")
}

/// Runs a test with a browser of its own, which ends however the test ends.
pub async fn with_browser(test: impl AsyncFnOnce(&Page)) {
    with_profile(TempDir::new().expect("a folder").path(), test).await;
}

/// The same, in a folder that keeps what a browser keeps between its runs.
pub async fn with_profile(profile: &Path, test: impl AsyncFnOnce(&Page)) {
    let port = free_port();
    let mut chromedriver = Command::new(variable("CHROMEDRIVER"));
    chromedriver.arg(format!("--port={port}")).process_group(0);
    let _chromedriver = Service::start(TempDir::new().expect("a folder"), port, &mut chromedriver);
    let mut capabilities = DesiredCapabilities::chrome();
    let set = |capabilities: &mut thirtyfour::ChromeCapabilities| {
        capabilities.set_binary(&variable("CHROMIUM"))?;
        capabilities.set_browser_log_level(thirtyfour::LoggingPrefsLogLevel::All)?;
        // The stack's own, of `origins::serve_https`.
        capabilities.accept_insecure_certs(true)?;
        ARGUMENTS.iter().try_for_each(|argument| capabilities.add_arg(argument))?;
        capabilities.add_arg(&format!("--user-data-dir={}", profile.display()))
    };
    set(&mut capabilities).expect("capabilities");
    let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await.expect("a browser");
    let done = driver
        .run_and_quit(|driver| async move {
            driver.set_script_timeout(TIMEOUT).await?;
            test(&Page { driver }).await;
            Ok::<_, WebDriverError>(())
        })
        .await;
    done.expect("an end");
}

/// The current tab.
#[derive(Debug)]
pub struct Page {
    driver: WebDriver,
}

impl Page {
    pub async fn open(&self, url: &str) {
        self.driver.goto(url).await.expect("a page");
    }

    pub async fn reload(&self) {
        self.driver.refresh().await.expect("a page");
    }

    /// Opens another tab and switches to it.
    pub async fn new_tab(&self) {
        let tab = self.driver.new_tab().await.expect("a tab");
        self.driver.switch_to_window(tab).await.expect("the tab");
    }

    /// Switches to a tab, counted from 0 in the order of opening.
    pub async fn switch_to_tab(&self, number: usize) {
        let tabs = self.driver.windows().await.expect("tabs");
        self.driver.switch_to_window(tabs[number].clone()).await.expect("the tab");
    }

    /// All cookies that the browser would send with a request to this page.
    pub async fn cookies(&self) -> Vec<Cookie> {
        self.driver.get_all_cookies().await.expect("cookies")
    }

    /// Runs a script before those of every page that this tab opens.
    pub async fn run_before_pages(&self, script: &str) {
        let cdp = self.driver.cdp();
        cdp.send_raw("Page.enable", json!({})).await.expect("the pages' domain");
        cdp.send_raw("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await.expect("a script");
    }

    /// Starts or stops failing this tab's requests to URLs of this pattern, in which `*` is any text.
    pub async fn block(&self, urls: &[&str]) {
        let cdp = self.driver.cdp();
        cdp.send_raw("Network.enable", json!({})).await.expect("the network's domain");
        cdp.send_raw("Network.setBlockedURLs", json!({ "urls": urls })).await.expect("a filter");
    }

    /// The value that a script returns.
    pub async fn run(&self, script: &str) -> Value {
        let returned = self.driver.execute(script, Vec::new()).await;
        returned.unwrap_or_else(|error| panic!("{script}: {error}")).json().clone()
    }

    /// The value that an asynchronous script returns.
    pub async fn run_async(&self, script: &str) -> Value {
        let wrapped = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {script} }})().then(done, (error) => done({{ failed: String(error) }}));"
        );
        let value = self.driver.execute_async(wrapped, Vec::new()).await.expect("a value").json().clone();
        assert!(value["failed"].is_null(), "{script}: {value}");
        value
    }

    pub async fn press(&self, key: Key) {
        self.driver.action_chain().send_keys(key + "").perform().await.expect("a key");
    }

    /// Presses a key while Control is held.
    pub async fn press_with_control(&self, key: impl Into<TypingData>) {
        let keys = self.driver.action_chain().key_down(Key::Control).send_keys(key).key_up(Key::Control);
        keys.perform().await.expect("keys");
    }

    /// Lets offers to undo stand, and what was deleted wait for one, until the page is loaded again, however slow the
    /// machine is.
    pub async fn stop_undo_clock(&self) {
        self.run("const now = Date.now(); Date.now = () => now; performance.now = () => 0").await;
    }

    /// Clicks in the middle of an element.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.driver.action_chain().click_element(&element).perform().await.expect("a click");
    }

    /// The same, twice in a row.
    pub async fn double_click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.driver.action_chain().double_click_element(&element).perform().await.expect("a double click");
    }

    async fn element(&self, selector: &str) -> WebElement {
        self.driver.find(By::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// Types over the text of the focused field.
    pub async fn replace_text(&self, text: &str) {
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

    /// Types at the focused field, key by key, as fast as they can be sent.
    pub async fn type_text(&self, text: &str) {
        self.driver.action_chain().send_keys(text).perform().await.expect("keys");
    }

    /// Lets every request of this tab take this much longer.
    pub async fn emulate_latency(&self, latency: Duration) {
        self.emulate_network(false, latency).await;
    }

    /// Takes this tab's network away, or gives it back.
    pub async fn set_offline(&self, offline: bool) {
        self.emulate_network(offline, Duration::ZERO).await;
    }

    async fn emulate_network(&self, offline: bool, latency: Duration) {
        let cdp = self.driver.cdp();
        cdp.send_raw("Network.enable", json!({})).await.expect("the network's domain");
        let conditions = json!({
            "offline": offline, "latency": latency.as_millis(), "downloadThroughput": -1, "uploadThroughput": -1
        });
        cdp.send_raw("Network.emulateNetworkConditions", conditions).await.expect("a network");
    }

    /// The accessible name of the focused element.
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

    /// Presses Tab until the element with this accessible name is focused. It may not be there yet.
    pub async fn tab_to(&self, name: &str) {
        let (deadline, mut passed) = (Instant::now() + TIMEOUT, BTreeSet::new());
        while Instant::now() < deadline {
            let focused = self.focused().await;
            if focused == name {
                return;
            }
            passed.insert(focused);
            self.press(Key::Tab).await;
        }
        panic!("{name:?} was not focused, but {passed:?}");
    }

    /// Moves to a field and types into it.
    pub async fn fill(&self, field: &str, text: &str) {
        self.tab_to(field).await;
        self.replace_text(text).await;
    }

    /// Moves to a button and presses it.
    pub async fn press_button(&self, button: &str) {
        self.tab_to(button).await;
        self.press(Key::Enter).await;
    }

    /// Moves to a button, presses it, and returns the name and the text of the file that the page saves then.
    pub async fn download(&self, button: &str) -> (String, String) {
        let folder = TempDir::new().expect("a folder");
        let options = json!({ "behavior": "allow", "downloadPath": folder.path() });
        self.driver.cdp().send_raw("Browser.setDownloadBehavior", options).await.expect("a folder for downloads");
        self.press_button(button).await;
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let names =
                fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
            // What is still being written has another name.
            let name = names.map(|name| name.to_string_lossy().into_owned()).find(|name| name.starts_with("tasks-"));
            if let Some(name) = name.filter(|name| !name.ends_with(".crdownload")) {
                let text = fs::read_to_string(folder.path().join(&name)).expect("a text");
                return (name, text);
            }
            tokio::time::sleep(TICK).await;
        }
        panic!("{button:?} saved no file");
    }

    /// Waits until a JavaScript expression is true.
    pub async fn wait_for(&self, what: &str, expression: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while self.run(&format!("return Boolean({expression})")).await != json!(true) {
            if Instant::now() > deadline {
                self.screenshot("timeout").await;
                panic!("timed out waiting for {what}\nThe page says {:?}", self.text("body").await);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Waits until a text is visible anywhere on the page.
    pub async fn wait_for_text(&self, text: &str) {
        self.wait_for(text, &format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// The visible text of an element.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({}).innerText", json!(selector))).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The titles of the tasks in the list.
    pub async fn titles(&self) -> Vec<String> {
        let titles =
            self.run("return [...document.querySelectorAll('.task .title')].map((it) => it.textContent)").await;
        serde_json::from_value(titles).expect("titles")
    }

    /// Waits until the list has exactly these titles.
    pub async fn wait_for_titles(&self, titles: &[&str]) {
        let shown = "JSON.stringify([...document.querySelectorAll('.task .title')].map((it) => it.textContent))";
        self.wait_for(&format!("{titles:?}"), &format!("{shown} === {}", json!(json!(titles).to_string()))).await;
    }

    /// Fills in the sign-in form and waits for the list.
    pub async fn sign_in(&self, email: &str) {
        self.fill("E-mail address", email).await;
        self.fill("Password", PASSWORD).await;
        self.press(Key::Enter).await;
        self.wait_for_list().await;
    }

    /// Moves to a task of the list, which is one stop of the Tab key.
    pub async fn focus_task(&self, title: &str) {
        let (name, deadline) = (format!("Done: {title}"), Instant::now() + TIMEOUT);
        let is_in_list = "document.activeElement.matches('.check')";
        while self.run(&format!("return {is_in_list}")).await != json!(true) {
            assert!(Instant::now() < deadline, "the list was not focused");
            self.press(Key::Tab).await;
        }
        let mut passed = Vec::new();
        self.press(Key::Home).await;
        loop {
            let focused = self.focused().await;
            if focused == name {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{title:?} was not focused, but {passed:?} of {:?}",
                self.titles().await
            );
            // At the end already: the task has moved up meanwhile.
            let is_at_end = passed.last() == Some(&focused);
            passed.push(focused);
            self.press(if is_at_end { Key::Home } else { Key::Down }).await;
        }
    }

    /// Completes a task, or takes that back.
    pub async fn tick(&self, title: &str) {
        self.focus_task(title).await;
        self.press(Key::Space).await;
    }

    /// Turns a task's row into its editor.
    pub async fn open_editor(&self, title: &str) {
        self.focus_task(title).await;
        self.press(Key::Enter).await;
        self.wait_for("the editor", "document.querySelector('.task.editing')").await;
    }

    /// Gives a task another title.
    pub async fn edit_title(&self, title: &str, new: &str) {
        self.open_editor(title).await;
        self.fill("Title", new).await;
        self.press(Key::Enter).await;
        self.wait_for("the row", "!document.querySelector('.task.editing')").await;
    }

    /// Waits until the server has every change of the tasks that are shown.
    pub async fn wait_until_sent(&self) {
        self.wait_for("everything is sent", "!document.querySelector('.task.unsent')").await;
    }

    /// Waits until the list has loaded.
    pub async fn wait_for_list(&self) {
        let has_loaded =
            "!document.getElementById('desk').hidden && !document.getElementById('tasks').hasAttribute('aria-busy')";
        self.wait_for("the list", has_loaded).await;
    }

    /// Emulates a screen of this size in CSS pixels, a scheme ("light", "dark", or "forced" for the system's own few
    /// colours), and reduced motion.
    pub async fn emulate_screen(&self, width: u32, height: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", metrics).await.expect("a size");
        let forced = scheme == "forced";
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": if forced { "dark" } else { scheme } },
            { "name": "forced-colors", "value": if forced { "active" } else { "none" } },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]});
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", features).await.expect("a scheme");
    }

    /// Emulates a person's time zone and languages, the preferred first, for the pages that are opened from now on.
    pub async fn emulate_person(&self, zone: &str, languages: &[&str]) {
        let cdp = self.driver.cdp();
        let agent = self.run("return navigator.userAgent").await;
        let zone = json!({ "timezoneId": zone });
        cdp.send_raw("Emulation.setTimezoneOverride", zone).await.expect("a time zone");
        let agent = json!({ "userAgent": agent, "acceptLanguage": languages.join(",") });
        cdp.send_raw("Emulation.setUserAgentOverride", agent).await.expect("languages");
    }

    /// Saves a picture of the page to the folder `SCREENSHOTS`.
    pub async fn screenshot(&self, name: &str) {
        let folder = PathBuf::from(variable("SCREENSHOTS"));
        fs::create_dir_all(&folder).expect("a folder");
        self.driver.screenshot(&folder.join(format!("{name}.png"))).await.expect("a picture");
    }

    /// Sends a command of the Chrome DevTools Protocol to this tab.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(name, parameters).await.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Waits until the browser keeps this release of the page at this base path, and it has taken over.
    pub async fn wait_until_kept(&self, base: &str, version: &str) {
        let script = format!(
            "for (;;) {{
                const worker = await navigator.serviceWorker.getRegistration({});
                const isDone = worker?.active?.state === 'activated' && !worker.installing && !worker.waiting;
                if (isDone && await caches.has({})) return true;
                await new Promise((resolve) => setTimeout(resolve, 50));
            }}",
            json!(base),
            json!(format!("task-api-page {base} {version}"))
        );
        self.run_async(&script).await;
    }

    /// Leaves the page, and forgets all that the browser keeps for its origin but the cookies: the page's files, its tasks.
    pub async fn forget_all_but_cookies(&self) {
        let origin = self.run("return location.origin").await;
        self.open("about:blank").await;
        let kinds = "cache_storage,indexeddb,local_storage,service_workers";
        self.command("Storage.clearDataForOrigin", json!({ "origin": origin, "storageTypes": kinds })).await;
        self.command("Network.clearBrowserCache", json!({})).await;
    }

    /// Why Chromium would not offer to install the page as an app; empty if it would.
    pub async fn installability_errors(&self) -> Vec<Value> {
        let found = self.command("Page.getInstallabilityErrors", json!({})).await;
        let manifest = self.command("Page.getAppManifest", json!({})).await;
        let errors = [&found["installabilityErrors"], &manifest["errors"]];
        errors.iter().flat_map(|errors| errors.as_array().expect("a list").clone()).collect()
    }

    /// What axe-core finds: violations of WCAG 2.2 (A and AA) and of good practice.
    pub async fn axe_violations(&self) -> Vec<String> {
        let axe = fs::read_to_string(variable("AXE")).expect("axe-core");
        self.driver.execute(axe, Vec::new()).await.expect("axe-core");
        let found =
            self.run_async("return (await axe.run(document, { resultTypes: ['violations'] })).violations").await;
        let found = found.as_array().expect("a list").iter();
        found.map(|violation| format!("{}: {} at {}", violation["id"], violation["help"], violation["nodes"])).collect()
    }

    /// The console's errors since the last call: of scripts, and of the content security policy.
    pub async fn console_errors(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("a log");
        log.into_iter().map(|entry| entry.message).collect()
    }
}
