//! An account that something happens to.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, User, task_path};

/// Tasks as the API answers them, by their ids.
type Tasks = BTreeMap<String, Value>;

pub(crate) struct Account {
    pub(crate) user: User,
    /// What it has, with every member.
    pub(crate) tasks: Tasks,
}

impl Account {
    /// Signs up and creates tasks, which make use of everything that a task can have.
    pub(crate) async fn create(api: &Api, tasks: usize) -> Self {
        let user = api.user().await;
        for number in 0..tasks {
            let task = json!({
                "title": format!("Task {number}"),
                "description": format!("About {number} ☂"),
                "status": (["pending", "in_progress", "completed"][number % 3]),
                "priority": 1 + number % 4,
                "due_date": "2100-01-01T12:00:00.000001Z",
                "tags": ([["home"].as_slice(), &["home", "urgent"], &[]][number % 3]),
            });
            let task = user.post("/tasks", &task).await.expect(201).body;
            if number.is_multiple_of(2) {
                user.patch(&task_path(&task), &json!({"title": format!("Task {number}, renamed")})).await.expect(200);
            }
        }
        Self { tasks: list(&user).await, user }
    }

    /// What it has now.
    pub(crate) async fn list(&self) -> Tasks {
        list(&self.user).await
    }

    /// Deletes its tasks, as its owner does by accident.
    pub(crate) async fn delete_tasks(&self) {
        for task in self.tasks.values() {
            self.user.delete(&task_path(task)).await.expect(204);
        }
    }

    /// Its owner signs in again.
    pub(crate) async fn sign_in(&mut self) {
        self.user = self.user.signed_in_again().await;
    }
}

async fn list(user: &User) -> Tasks {
    let (mut tasks, mut path) = (Tasks::new(), user.path("/tasks?limit=100"));
    loop {
        let page = user.api.send(Method::GET, &path, Some(&user.token), None).await.expect(200);
        let page_tasks = page.body.as_array().unwrap();
        tasks.extend(page_tasks.iter().map(|task| (task["id"].as_str().unwrap().to_owned(), task.clone())));
        let Some(next) = page.next_page() else { return tasks };
        path = format!("{}?{}", next.path(), next.query().unwrap());
    }
}
