//! Editing a task in its row.

use serde_json::{Value, json};
use tests::{
    api::{Api, User, task_path},
    browser::{Page, page_url, with_browser},
};
use thirtyfour::Key;

/// Opens the page as a user with two tasks, "Buy milk" above "Paint the fence".
async fn open_list(page: &Page) -> (User, Value) {
    let user = Api::shared().user().await;
    user.task("Paint the fence").await;
    let task = user.task("Buy milk").await;
    page.open(&page_url()).await;
    page.sign_in(&user.email).await;
    page.wait_for_titles(&["Buy milk", "Paint the fence"]).await;
    (user, task)
}

/// The value of an input of the form.
async fn value(page: &Page, input: &str) -> Value {
    page.run(&format!("return document.getElementById('edit-{input}')?.value")).await
}

/// Sets an input that keys fill in another way in every language.
async fn set(page: &Page, input: &str, value: &str) {
    page.run(&format!(
        "const input = document.getElementById('edit-{input}');
         input.value = {};
         input.dispatchEvent(new Event('input', {{ bubbles: true }}));",
        json!(value)
    ))
    .await;
}

async fn wait_for_form(page: &Page) {
    page.wait_for("the form", "document.activeElement.id === 'edit-title'").await;
}

async fn wait_for_row(page: &Page) {
    page.wait_for("the row", "!document.querySelector('.editor')").await;
}

/// Lets the page ask what has changed elsewhere.
async fn look_again(page: &Page) {
    page.run("dispatchEvent(new Event('focus'))").await;
}

#[tokio::test]
async fn every_field_is_edited_in_place_and_control_and_enter_save() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        page.focus_task("Buy milk").await;
        page.press(Key::Enter).await;
        wait_for_form(page).await;
        page.fill("Title", "  Buy oat milk ").await;
        page.fill("Description (optional)", "Two bottles").await;
        page.press(Key::Enter).await;
        page.type_text("and one for Ada").await;
        set(page, "due", "2027-03-12").await;
        set(page, "time", "17:30").await;
        page.tab_to("Priority").await;
        page.type_text("2").await;
        page.tab_to("Status").await;
        page.type_text("In").await;
        page.fill("Tags", "#Home urgent").await;
        page.press_with_control(Key::Enter).await;
        wait_for_row(page).await;
        assert_eq!(page.focused().await, "Done: Buy oat milk");
        page.wait_until_sent().await;

        let saved = user.get(&task_path(&task)).await.expect(200).body;
        let due = page.run("return new Date('2027-03-12T17:30').toISOString().replace('Z', '000Z')").await;
        assert_eq!(saved["title"], "Buy oat milk");
        assert_eq!(saved["description"], "Two bottles\nand one for Ada");
        assert_eq!(saved["due_date"], due);
        assert_eq!(saved["priority"], 2);
        assert_eq!(saved["status"], "in_progress");
        assert_eq!(saved["tags"], json!(["home", "urgent"]));

        // All of it goes again, and the button that was pressed has the focus back.
        page.press(Key::Right).await;
        page.press(Key::Enter).await;
        wait_for_form(page).await;
        set(page, "due", "").await;
        set(page, "time", "").await;
        set(page, "description", "").await;
        set(page, "priority", "").await;
        set(page, "tags", "").await;
        page.press_button("Save").await;
        wait_for_row(page).await;
        assert_eq!(page.focused().await, "Edit: Buy oat milk");
        page.wait_until_sent().await;
        let saved = user.get(&task_path(&task)).await.expect(200).body;
        for field in ["due_date", "description", "priority"] {
            assert_eq!(saved[field], Value::Null, "{field}");
        }
        assert_eq!(saved["tags"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn an_edit_sends_only_what_was_touched_and_follows_the_rest() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        page.focus_task("Buy milk").await;
        page.type_text("e").await;
        wait_for_form(page).await;
        page.fill("Title", "Buy oat milk").await;
        user.put(&task_path(&task), &json!({ "description": "One bottle", "priority": 3 })).await.expect(200);
        look_again(page).await;
        page.wait_for("the other fields", "document.getElementById('edit-description').value === 'One bottle'").await;
        assert_eq!(value(page, "priority").await, "3");
        assert_eq!(value(page, "title").await, "Buy oat milk");
        assert_eq!(page.focused().await, "Title");
        page.press_with_control(Key::Enter).await;
        page.wait_until_sent().await;
        let saved = user.get(&task_path(&task)).await.expect(200).body;
        assert_eq!(saved["title"], "Buy oat milk");
        assert_eq!(saved["description"], "One bottle");
        assert_eq!(saved["priority"], 3);
        assert!(!page.text("#tasks").await.contains("changed elsewhere"), "nothing to ask about");
    })
    .await;
}

#[tokio::test]
async fn escape_and_a_reload_lose_nothing_that_was_typed() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        page.stop_undo_clock().await;
        page.focus_task("Buy milk").await;
        page.press(Key::Enter).await;
        wait_for_form(page).await;
        page.press(Key::Escape).await;
        wait_for_row(page).await;
        assert_eq!(page.run("return document.querySelector('#undo button').hidden").await, true, "nothing was typed");
        assert_eq!(page.focused().await, "Done: Buy milk");

        page.press(Key::Enter).await;
        page.fill("Title", "Buy half a").await;
        page.press(Key::Escape).await;
        page.wait_for_text("Changes discarded.").await;
        page.wait_for_titles(&["Buy milk", "Paint the fence"]).await;
        page.press_with_control("z").await;
        wait_for_form(page).await;
        assert_eq!(value(page, "title").await, "Buy half a");

        page.fill("Description (optional)", "Not lost").await;
        page.reload().await;
        page.wait_for("the form", "document.querySelector('.editor')").await;
        assert_eq!(value(page, "title").await, "Buy half a");
        assert_eq!(value(page, "description").await, "Not lost");
        page.fill("Title", "Buy half a bottle").await;
        page.press(Key::Enter).await;
        wait_for_row(page).await;
        page.wait_until_sent().await;
        let saved = user.get(&task_path(&task)).await.expect(200).body;
        assert_eq!((&saved["title"], &saved["description"]), (&json!("Buy half a bottle"), &json!("Not lost")));

        // What was saved is no draft any more.
        page.reload().await;
        page.wait_for_titles(&["Buy half a bottle", "Paint the fence"]).await;
        assert_eq!(page.run("return document.querySelector('.editor')").await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_broken_rule_is_shown_at_its_field_before_anything_is_sent() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        page.focus_task("Buy milk").await;
        page.press(Key::Enter).await;
        wait_for_form(page).await;
        for (field, input, broken, error) in [
            ("Title", "title", " \u{200b}".to_owned(), "Must not consist of invisible characters alone."),
            ("Title", "title", String::new(), "Must not be empty."),
            ("Title", "title", "x".repeat(501), "Must be at most 500 characters long."),
            ("Description (optional)", "description", "x".repeat(5001), "Must be at most 5000 characters long."),
            ("Tags", "tags", "x".repeat(51), "Must not have names of more than 50 characters."),
            ("Time", "time", "10:00".to_owned(), "Must be set for a time."),
        ] {
            let before = value(page, input).await;
            set(page, input, &broken).await;
            page.tab_to("Save").await;
            page.press(Key::Enter).await;
            page.wait_for_text(error).await;
            let focused = if field == "Time" { "Due" } else { field };
            assert_eq!(page.focused().await, focused);
            set(page, input, before.as_str().expect("a text")).await;
        }
        page.press(Key::Escape).await;
        wait_for_row(page).await;
        assert_eq!(user.get(&task_path(&task)).await.body["updated_at"], task["updated_at"]);
        // As many code points as are allowed.
        page.press(Key::Enter).await;
        wait_for_form(page).await;
        set(page, "title", &"\u{1f95b}".repeat(500)).await;
        page.press_with_control(Key::Enter).await;
        wait_for_row(page).await;
        page.wait_until_sent().await;
        assert_eq!(page.run("return document.querySelectorAll('.note').length").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_double_click_opens_a_row_and_saves_the_one_that_was_open() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        page.stop_undo_clock().await;
        page.double_click(".task:nth-child(1) .title").await;
        wait_for_form(page).await;
        page.replace_text("Buy oat milk").await;
        page.double_click(".task:nth-child(2) .title").await;
        page.wait_for("the other", "document.getElementById('edit-title')?.value === 'Paint the fence'").await;
        assert_eq!(page.focused().await, "Title");
        page.wait_for_titles(&["Buy oat milk", "Paint the fence"]).await;
        page.press(Key::Escape).await;
        page.wait_until_sent().await;
        assert_eq!(user.get(&task_path(&task)).await.body["title"], "Buy oat milk");

        // An edit can be undone as well.
        page.type_text("u").await;
        page.wait_for_titles(&["Buy milk", "Paint the fence"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_task_deleted_elsewhere_while_it_is_edited_keeps_what_was_typed() {
    with_browser(async |page| {
        let (user, task) = open_list(page).await;
        page.focus_task("Buy milk").await;
        page.press(Key::Enter).await;
        page.fill("Title", "Buy oat milk").await;
        user.delete(&task_path(&task)).await.expect(204);
        look_again(page).await;
        page.wait_for_text("This task was deleted elsewhere.").await;
        assert_eq!(value(page, "title").await, "Buy oat milk");
        page.press_with_control(Key::Enter).await;
        page.wait_for_titles(&["Buy oat milk", "Paint the fence"]).await;
        page.wait_until_sent().await;
        assert_eq!(user.get("/tasks").await.body[0]["title"], "Buy oat milk");

        // Where nothing was typed, the form goes with the row.
        page.press(Key::Enter).await;
        wait_for_form(page).await;
        user.delete(&task_path(&user.get("/tasks").await.body[0])).await.expect(204);
        look_again(page).await;
        page.wait_for_titles(&["Paint the fence"]).await;
        assert_eq!(page.focused().await, "Done: Paint the fence");
    })
    .await;
}
