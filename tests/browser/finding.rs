//! Finding tasks: search, filters and sort, all of them in the address.

use serde_json::{Value, json};
use tests::{
    api::{Api, User},
    browser::{Page, page_url, with_browser},
};
use thirtyfour::Key;

/// Opens the page as a user with five tasks: the newest, and first in the list, is "Buy ÄPFEL".
async fn open_list(page: &Page) -> User {
    let user = Api::shared().user().await;
    page.open(&page_url()).await;
    // In days from today.
    let due = page
        .run(
            "return [-1, 0, 3, 9].map((days) => {
               const date = new Date();
               date.setDate(date.getDate() + days);
               date.setHours(days === 0 ? 23 : 12, 59, 59, 999);
               return date.toISOString();
             })",
        )
        .await;
    for task in [
        json!({ "title": "Send the invoice", "due_date": due[0], "priority": 1, "tags": ["work"] }),
        json!({ "title": "Water the plants", "due_date": due[1], "tags": ["home"], "status": "in_progress" }),
        json!({ "title": "Book the train", "description": "To Vienna", "due_date": due[2], "priority": 2, "tags": ["home", "travel"] }),
        json!({ "title": "Return the books", "due_date": due[3], "status": "completed", "tags": ["home"] }),
        json!({ "title": "Buy ÄPFEL" }),
    ] {
        user.post("/tasks", &task).await.expect(201);
    }
    page.sign_in(&user.email).await;
    page.wait_for_titles(&ALL).await;
    user
}

const ALL: [&str; 5] = ["Buy ÄPFEL", "Return the books", "Book the train", "Water the plants", "Send the invoice"];

/// The query of the address.
async fn query(page: &Page) -> Value {
    page.run("return location.search").await
}

/// What is said of a control beside its name.
async fn description(page: &Page, selector: &str) -> Value {
    let script = "const id = document.querySelector(arguments0).getAttribute('aria-describedby');
                  return document.getElementById(id).textContent";
    page.run(&script.replace("arguments0", &json!(selector).to_string())).await
}

#[tokio::test]
async fn a_search_finds_each_word_in_title_or_description_in_any_case() {
    with_browser(async |page| {
        open_list(page).await;
        let searches: [(&str, &[&str]); 4] = [
            ("äpfel", &["Buy ÄPFEL"]),
            ("VIENNA book", &["Book the train"]),
            ("the", &["Return the books", "Book the train", "Water the plants", "Send the invoice"]),
            ("nothing like it", &[]),
        ];
        for (words, titles) in searches {
            page.fill("Search", words).await;
            page.wait_for_titles(titles).await;
            page.press(Key::Escape).await;
            page.wait_for_titles(&ALL).await;
            assert_eq!(page.focused().await, "Search");
            assert_eq!(query(page).await, "");
        }
        assert_eq!(page.run("return document.getElementById('search').type").await, "search");
    })
    .await;
}

#[tokio::test]
async fn the_view_is_in_the_address_for_back_reload_and_a_bookmark() {
    with_browser(async |page| {
        open_list(page).await;
        page.tab_to("All").await;
        page.press(Key::Right).await;
        let to_do = ["Buy ÄPFEL", "Book the train", "Water the plants", "Send the invoice"];
        page.wait_for_titles(&to_do).await;
        assert_eq!(query(page).await, "?show=todo");
        page.fill("Search", "the").await;
        page.wait_for_titles(&to_do[1..]).await;
        assert_eq!(query(page).await, "?show=todo&q=the");

        page.run("history.back()").await;
        page.wait_for_titles(&to_do).await;
        assert_eq!(page.run("return document.getElementById('search').value").await, "");
        page.run("history.back()").await;
        page.wait_for_titles(&ALL).await;
        page.run("history.go(2)").await;
        page.wait_for_titles(&to_do[1..]).await;
        page.reload().await;
        page.wait_for_titles(&to_do[1..]).await;
        assert_eq!(page.run("return document.getElementById('search').value").await, "the");
        assert_eq!(page.run("return document.querySelector('#filter :checked').value").await, "todo");

        // A bookmark. What is unknown in it changes nothing.
        let bookmark = "?tag=HOME&due=week&priority=2,9&sort=due_date&show=some&from=mail";
        page.open(&format!("{}{bookmark}", page_url())).await;
        page.wait_for_titles(&["Book the train"]).await;
        page.press_button("Clear filters").await;
        page.wait_for_titles(&[
            "Send the invoice",
            "Water the plants",
            "Book the train",
            "Return the books",
            "Buy ÄPFEL",
        ])
        .await;
        assert_eq!(query(page).await, "?sort=due_date&from=mail");
    })
    .await;
}

#[tokio::test]
async fn filters_are_chosen_and_taken_away_one_by_one() {
    with_browser(async |page| {
        open_list(page).await;
        page.press_button("Filter").await;
        page.tab_to("#home 3 tasks").await;
        page.press(Key::Space).await;
        page.wait_for_titles(&["Return the books", "Book the train", "Water the plants"]).await;
        page.tab_to("Any day").await;
        page.press(Key::Down).await;
        page.wait_for_titles(&[]).await;
        page.press(Key::Down).await;
        page.wait_for_titles(&["Water the plants"]).await;
        page.press(Key::Down).await;
        page.wait_for_titles(&["Book the train", "Water the plants"]).await;
        page.tab_to("2 1 task").await;
        page.press(Key::Space).await;
        page.wait_for_titles(&["Book the train"]).await;
        assert_eq!(query(page).await, "?tag=home&due=week&priority=2");

        page.press_button("Remove filter: Due in the next 7 days").await;
        page.wait_for("the focus to move on", "document.activeElement.title === 'Remove filter: Priority 2'").await;
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Return the books", "Book the train", "Water the plants"]).await;
        page.press_button("Remove filter: #home").await;
        page.wait_for_titles(&ALL).await;
        assert_eq!(query(page).await, "");
        assert_eq!(page.focused().await, "Filter");
    })
    .await;
}

#[tokio::test]
async fn what_has_no_value_comes_last_in_both_directions() {
    with_browser(async |page| {
        let user = open_list(page).await;
        for sort in ["created_at", "due_date", "-due_date", "priority", "-priority", "updated_at", "-updated_at"] {
            page.open(&format!("{}?sort={sort}", page_url())).await;
            let tasks = user.get(&format!("/tasks?sort={sort}")).await.expect(200).body;
            let titles: Vec<_> =
                tasks.as_array().expect("a list").iter().map(|task| task["title"].as_str().expect("a title")).collect();
            page.wait_for_titles(&titles).await;
        }
    })
    .await;
}

#[tokio::test]
async fn every_choice_says_how_many_tasks_it_has() {
    with_browser(async |page| {
        open_list(page).await;
        for (value, count) in [("", "5 tasks"), ("todo", "4 tasks"), ("in_progress", "1 task"), ("done", "1 task")] {
            assert_eq!(description(page, &format!("#filter [value='{value}']")).await, count);
        }
        assert_eq!(page.run("return document.title").await, "(4) Tasks");
        page.fill("Search", "book").await;
        page.wait_for_titles(&["Return the books", "Book the train"]).await;
        assert_eq!(description(page, "#filter [value='todo']").await, "1 task");
        page.wait_for("the number to be said", "document.getElementById('found-aloud').textContent === '2 tasks'")
            .await;
        // All that is left to do is still counted.
        assert_eq!(page.run("return document.title").await, "(4) Tasks");
    })
    .await;
}

#[tokio::test]
async fn completed_tasks_of_the_view_are_cleared_and_can_be_brought_back() {
    with_browser(async |page| {
        let user = open_list(page).await;
        let lawn = json!({ "title": "Mow the lawn", "status": "completed" });
        user.post("/tasks", &lawn).await.expect(201);
        page.reload().await;
        page.wait_for_text("Mow the lawn").await;
        page.stop_undo_clock().await;
        page.fill("Search", "book").await;
        page.wait_for_titles(&["Return the books", "Book the train"]).await;
        page.press_button("Clear completed").await;
        page.wait_for_titles(&["Book the train"]).await;
        assert!(page.run("return document.getElementById('clear-completed').hidden").await.as_bool().expect("a flag"));
        page.press_button("Undo").await;
        page.wait_for_titles(&["Return the books", "Book the train"]).await;
        page.press_button("Clear completed").await;
        page.wait_for_titles(&["Book the train"]).await;
        page.press_button("Clear search").await;
        page.wait_for_titles(&["Mow the lawn", "Buy ÄPFEL", "Book the train", "Water the plants", "Send the invoice"])
            .await;
    })
    .await;
}
