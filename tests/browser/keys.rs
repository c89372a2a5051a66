//! The page's keys, and the sheet that lists them.

use serde_json::{Value, json};
use tests::{
    api::Api,
    browser::{Page, page_url, with_browser},
};
use thirtyfour::Key;

/// Opens the page with two tasks, "One" above "Two", and the focus on no control.
async fn open_list(page: &Page) {
    let user = Api::shared().user().await;
    for title in ["Two", "One"] {
        user.task(title).await;
    }
    page.open(&page_url()).await;
    page.sign_in(&user.email).await;
    page.wait_for_titles(&["One", "Two"]).await;
    page.stop_undo_clock().await;
    blur(page).await;
}

async fn blur(page: &Page) {
    page.run("document.activeElement.blur()").await;
}

async fn is_sheet_open(page: &Page) -> Value {
    page.run("return document.getElementById('help').open").await
}

#[tokio::test]
async fn single_keys_add_search_move_tick_edit_delete_undo_and_help() {
    with_browser(async |page| {
        open_list(page).await;
        for key in ["n", "a"] {
            page.type_text(key).await;
            assert_eq!(page.focused().await, "New task");
            assert_eq!(page.run("return document.getElementById('add-title').value").await, "", "the key is no text");
            blur(page).await;
        }
        page.type_text("/").await;
        assert_eq!(page.focused().await, "Search");
        assert_eq!(page.run("return document.getElementById('search').value").await, "");
        blur(page).await;

        page.type_text("j").await;
        assert_eq!(page.focused().await, "Done: One");
        page.type_text("j").await;
        assert_eq!(page.focused().await, "Done: Two");
        page.type_text("k").await;
        assert_eq!(page.focused().await, "Done: One");
        page.type_text("x").await;
        page.wait_for("the tick", "document.querySelector('.task.completed')").await;
        page.type_text("u").await;
        page.wait_for("the tick to go", "!document.querySelector('.task.completed')").await;
        page.type_text("e").await;
        page.wait_for("the form", "document.activeElement.id === 'edit-title'").await;
        assert_eq!(page.run("return document.activeElement.value").await, "One", "the key is no text");
        page.press(Key::Escape).await;
        page.type_text("#").await;
        page.wait_for_titles(&["Two"]).await;
        page.type_text("u").await;
        page.wait_for_titles(&["One", "Two"]).await;

        page.type_text("?").await;
        assert_eq!(is_sheet_open(page).await, true);
        let sheet = page.text("#help").await;
        let words: Vec<_> = sheet.split([' ', ',', '\n']).collect();
        for key in ["n", "a", "/", "u", "?", "j", "k", "x", "e", "#", "Home", "End", "Space", "Enter", "Delete", "Esc"]
        {
            assert!(words.contains(&key), "{key}: {sheet}");
        }
        page.press(Key::Escape).await;
        assert_eq!(is_sheet_open(page).await, false);
    })
    .await;
}

#[tokio::test]
async fn keys_do_nothing_while_one_types_with_other_modifiers_and_held_down() {
    with_browser(async |page| {
        open_list(page).await;
        let typed = "nu/?#xjk";
        page.fill("New task", typed).await;
        assert_eq!(page.run("return document.getElementById('add-title').value").await, typed);
        assert_eq!(is_sheet_open(page).await, false);
        page.replace_text("").await;

        page.focus_task("One").await;
        for modifier in ["ctrlKey", "altKey", "metaKey"] {
            for key in ["x", "#", "n", "?", "Delete"] {
                let event = json!({ "key": key, modifier: true, "bubbles": true, "cancelable": true });
                page.run(&format!("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {event}))")).await;
            }
        }
        for key in ["#", "Delete", "x"] {
            let event = json!({ "key": key, "repeat": true, "bubbles": true, "cancelable": true });
            page.run(&format!("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {event}))")).await;
        }
        assert_eq!(page.focused().await, "Done: One");
        assert_eq!(page.titles().await, ["One", "Two"]);
        assert_eq!(page.run("return document.querySelectorAll('.completed').length").await, 0);
    })
    .await;
}

#[tokio::test]
async fn single_keys_can_be_switched_off_and_the_others_go_on() {
    with_browser(async |page| {
        open_list(page).await;
        page.press_button("Keyboard shortcuts").await;
        page.tab_to("Single-key shortcuts").await;
        page.press(Key::Space).await;
        page.press_button("Close").await;
        assert_eq!(page.focused().await, "Keyboard shortcuts");

        for _ in 0..2 {
            page.focus_task("One").await;
            page.type_text("xne#?/").await;
            assert_eq!(page.focused().await, "Done: One");
            assert_eq!(page.titles().await, ["One", "Two"]);
            assert_eq!(is_sheet_open(page).await, false);
            page.press(Key::Delete).await;
            page.wait_for_titles(&["Two"]).await;
            page.press_with_control("z").await;
            page.wait_for_titles(&["One", "Two"]).await;
            // It is remembered.
            page.reload().await;
            page.wait_for_titles(&["One", "Two"]).await;
            page.stop_undo_clock().await;
        }

        page.press_button("Keyboard shortcuts").await;
        page.tab_to("Single-key shortcuts").await;
        assert_eq!(page.run("return document.activeElement.checked").await, false);
        page.press(Key::Space).await;
        page.press(Key::Escape).await;
        blur(page).await;
        page.type_text("n").await;
        assert_eq!(page.focused().await, "New task");
        let kept = page.run("return localStorage.getItem('task-api-single-keys')").await;
        assert_eq!(kept, Value::Null, "nothing is kept when they are on");
    })
    .await;
}
