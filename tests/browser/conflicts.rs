//! A task that changes elsewhere while somebody looks at it.

use serde_json::{Value, json};
use tests::{
    api::{Api, User},
    browser::{Page, browse},
};
use thirtyfour::Key;

use crate::page_url;

/// The path of a task, below its user's.
fn path(task: &Value) -> String {
    format!("/tasks/{}", task["id"].as_str().expect("an id"))
}

/// A user with a task, who has the page open.
async fn at_the_page(page: &Page) -> (User, Value) {
    let user = Api::shared().user().await;
    let task = user.task("Buy milk").await;
    page.open(&page_url()).await;
    page.sign_in(&user.email).await;
    page.see_titles(&["Buy milk"]).await;
    (user, task)
}

#[tokio::test]
async fn an_edit_of_what_was_changed_elsewhere_overwrites_nothing_unseen_and_loses_no_word() {
    browse(async |page| {
        let (user, task) = at_the_page(page).await;
        page.push("Edit: Buy milk").await;
        page.fill("Title", "Buy oat milk").await;
        user.put(&path(&task), &json!({ "title": "Buy soy milk", "description": "One bottle" })).await.expect(200);

        page.push("Save").await;
        page.see("This task was changed elsewhere").await;
        let shown = page.text(".conflict").await;
        assert!(shown.contains("Buy soy milk") && shown.contains("One bottle"), "{shown}");
        assert_eq!(page.run("return document.getElementById('edit-title').value").await, "Buy oat milk");
        assert_eq!(user.get(&path(&task)).await.body["title"], "Buy soy milk", "nothing is overwritten yet");

        // Now that it has been seen, it may be. But not what is newer still.
        user.put(&path(&task), &json!({ "completed": true })).await.expect(200);
        page.push("Save mine over it").await;
        page.wait_for("the newer one", "document.querySelector('.conflict .meta').textContent === 'Done'").await;
        page.push("Save mine over it").await;
        page.see_titles(&["Buy oat milk"]).await;
        assert_eq!(user.get(&path(&task)).await.body["title"], "Buy oat milk");

        // Or one takes what there is.
        user.put(&path(&task), &json!({ "title": "Buy no milk" })).await.expect(200);
        page.push("Edit: Buy oat milk").await;
        page.fill("Title", "Buy more milk").await;
        page.push("Save").await;
        page.push("Use this version instead").await;
        page.push("Save").await;
        page.see_titles(&["Buy no milk"]).await;
        assert_eq!(user.get(&path(&task)).await.body["title"], "Buy no milk");
    })
    .await;
}

#[tokio::test]
async fn what_was_changed_or_deleted_elsewhere_is_neither_completed_nor_deleted_unseen() {
    browse(async |page| {
        let (user, task) = at_the_page(page).await;
        user.put(&path(&task), &json!({ "title": "Sell milk" })).await.expect(200);
        page.tab_to("Done: Buy milk").await;
        page.press(Key::Space).await;
        page.see("This task was changed elsewhere in the meantime. This is how it is now.").await;
        page.see_titles(&["Sell milk"]).await;
        assert_eq!(page.run("return document.querySelector('.check').checked").await, false);

        user.put(&path(&task), &json!({ "title": "Sell cheese" })).await.expect(200);
        page.push("Delete: Sell milk").await;
        page.push("Delete").await;
        page.see("This task was changed elsewhere in the meantime, and has not been deleted.").await;
        assert!(page.text("#delete").await.contains("Sell cheese"));
        assert_eq!(user.get(&path(&task)).await.body["completed"], false);
        page.push("Keep it").await;

        page.push("Edit: Sell cheese").await;
        page.fill("Title", "Eat cheese").await;
        user.delete(&path(&task)).await.expect(204);
        page.push("Save").await;
        page.see("This task is not there any more").await;
        assert_eq!(page.run("return document.getElementById('edit-title').value").await, "Eat cheese");
        page.push("Cancel").await;
        page.see("Nothing here yet.").await;
    })
    .await;
}
