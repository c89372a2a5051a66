//! A network that fails, and a service that is away.

use tests::{
    api::Api,
    browser::browse,
    relay::Relay,
    watch::{Settings, Watch},
};
use thirtyfour::Key;

use crate::page_url;

#[tokio::test]
async fn a_task_whose_answer_is_lost_exists_once_and_everything_else_is_owned_up_to() {
    let user = Api::shared().user().await;
    user.task("Buy milk").await;
    let (relay, url) = Relay::before(&page_url()).await;
    browse(async |page| {
        page.open(&url).await;
        page.sign_in(&user.email).await;

        // Out for a moment: told, and mended without anybody.
        relay.refuse(true);
        relay.cut();
        page.fill("New task", "Paint the fence").await;
        page.press(Key::Enter).await;
        page.see("The service could not be reached. Trying again in ").await;
        relay.refuse(false);
        page.see_titles(&["Paint the fence", "Buy milk"]).await;

        // The task is created, but nobody hears of it, for longer than the page tries.
        relay.lose_next_answer();
        relay.refuse(true);
        page.fill("New task", "Mow the lawn").await;
        page.press(Key::Enter).await;
        page.tab_to("Done: Buy milk").await;
        page.press(Key::Space).await;
        page.wait_for("shown at once", "document.querySelectorAll('.check')[1].checked").await;
        page.see("The service could not be reached. Check your connection and try again.").await;
        assert_eq!(page.run("return document.getElementById('add-title').value").await, "Mow the lawn");
        page.see("Not saved. The service could not be reached.").await;
        assert_eq!(page.run("return document.querySelectorAll('.check')[1].checked").await, false, "taken back");

        relay.refuse(false);
        page.push("Add").await;
        let titles = ["Mow the lawn", "Paint the fence", "Buy milk"];
        page.see_titles(&titles).await;
        page.reload().await;
        page.see_titles(&titles).await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_asks_to_wait_is_waited_for() {
    let (relay, settings) = Settings::of_the_stack().relayed().await;
    let watch = Watch::start(&settings);
    let user = watch.api.user().await;
    browse(async |page| {
        page.open(&watch.api.url("/")).await;
        page.sign_in(&user.email).await;
        relay.refuse(true);
        relay.cut();
        page.fill("New task", "Buy milk").await;
        page.press(Key::Enter).await;
        page.see("The service is busy. Trying again in ").await;
        relay.refuse(false);
        page.see_titles(&["Buy milk"]).await;
        page.reload().await;
        page.see_titles(&["Buy milk"]).await;
    })
    .await;
}
