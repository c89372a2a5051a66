//! A network that fails, and a service that is unavailable.

use tests::{
    api::Api,
    browser::{page_url, with_browser},
    relay::Relay,
    server::{Settings, TestServer},
};
use thirtyfour::Key;

#[tokio::test]
async fn a_task_whose_answer_is_lost_is_created_once_and_other_failures_are_shown() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    let (relay, url) = Relay::in_front_of(&page_url()).await;
    with_browser(async |page| {
        page.open(&url).await;
        page.sign_in(&user.email).await;

        // A short outage: shown, and retried without the user.
        relay.refuse(true);
        relay.cut();
        page.fill("New task", "Paint the fence").await;
        page.press(Key::Enter).await;
        page.wait_for_text("The service could not be reached. Trying again in ").await;
        page.wait_for_titles(&["Paint the fence", "Buy milk"]).await;
        relay.refuse(false);
        page.wait_until_sent().await;
        page.wait_for_titles(&["Paint the fence", "Buy milk"]).await;

        // The task is created, but the answer is lost, for longer than the page retries.
        relay.lose_next_answer();
        relay.refuse(true);
        page.fill("New task", "Mow the lawn").await;
        page.press(Key::Enter).await;
        page.tick("Buy milk").await;
        page.wait_for_text("2 changes are kept here, and sent when it is back.").await;
        let titles = ["Mow the lawn", "Paint the fence", "Buy milk"];
        page.wait_for_titles(&titles).await;

        // The page also tries by itself, and takes the button away when that succeeds.
        page.tab_to("Try again").await;
        relay.refuse(false);
        page.press(Key::Enter).await;
        page.wait_until_sent().await;
        page.wait_for("the notice goes", "document.getElementById('offline').hidden").await;
        page.reload().await;
        page.wait_for_titles(&titles).await;
        let tasks = user.get("/tasks").await.body;
        let status: Vec<_> = tasks.as_array().expect("tasks").iter().map(|task| &task["status"]).collect();
        assert_eq!(status, ["pending", "pending", "completed"]);
    })
    .await;
}

#[tokio::test]
async fn a_request_is_retried_when_the_service_is_busy() {
    let (relay, settings) = Settings::shared().with_relay().await;
    let server = TestServer::start(&settings);
    let user = server.api.user().await;
    with_browser(async |page| {
        page.open(&server.api.url("/")).await;
        page.sign_in(&user.email).await;
        relay.refuse(true);
        relay.cut();
        page.fill("New task", "Buy milk").await;
        page.press(Key::Enter).await;
        page.wait_for_text("The service is busy. Trying again in ").await;
        relay.refuse(false);
        page.wait_for_titles(&["Buy milk"]).await;
        page.reload().await;
        page.wait_for_titles(&["Buy milk"]).await;
    })
    .await;
}
