//! Each scenario begins with an API that works and ends with one.

use std::{mem::take, sync::atomic::Ordering, time::Duration};

use tests::api::task_path;
use tokio::time::{sleep, timeout};

use super::{Drill, PATIENCE, account::Account, report::Row, until_written};
use crate::{breakable::BRANCH, harness::short_or_long, workload::Workload};

impl Drill {
    /// Scenario 1. The moment before becomes a branch, and `operate restore` copies from it.
    pub(super) async fn tasks_are_deleted(&mut self) -> Row {
        let mut row = Row::of("1: tasks were deleted by accident");
        let mut account = Account::create(&self.server.api, self.data.tasks).await;
        let workload = Workload::start(take(&mut self.clients));
        let moment = self.pass_a_moment(&workload).await;
        account.delete_tasks().await;
        let newer = account.user.task("written since then").await;
        self.work(&workload).await;

        self.restore(&moment, &account, &["--tasks", "all"], &mut row).await;

        // What was written since then stays.
        account.tasks.insert(task_path(&newer).replace("/tasks/", ""), newer);
        account.sign_in().await;
        row.compare(&account.tasks, &account.list().await);
        self.work(&workload).await;
        self.finish(workload, &mut row).await;
        row
    }

    /// Scenario 2, of one account.
    pub(super) async fn an_account_is_deleted(&mut self) -> Row {
        let mut row = Row::of("2: an account was deleted with its tasks");
        let mut account = Account::create(&self.server.api, self.data.tasks).await;
        let workload = Workload::start(take(&mut self.clients));
        let moment = self.pass_a_moment(&workload).await;
        account.user.delete("").await.expect(204);
        self.work(&workload).await;

        self.restore(&moment, &account, &[], &mut row).await;

        account.user.get("/tasks").await.expect(401);
        account.sign_in().await;
        row.compare(&account.tasks, &account.list().await);
        self.work(&workload).await;
        self.finish(workload, &mut row).await;
        row
    }

    /// Clients write, and go on after a moment and a migration. Returns the moment.
    async fn pass_a_moment(&mut self, workload: &Workload) -> String {
        self.work(workload).await;
        let moment = self.database.moment().await;
        self.migrate().await;
        self.work(workload).await;
        moment
    }

    /// Copies what an account had at a moment from a branch.
    async fn restore(&mut self, moment: &str, account: &Account, what: &[&str], row: &mut Row) {
        let branch = row.step("recover the moment as a branch", self.branch(moment)).await;
        let main = self.database.direct_url();
        let arguments = ["restore", "--from", branch.as_str(), "--account", &account.user.id, "--yes"];
        let arguments = [&arguments, what].concat();
        row.step("`operate restore` from the branch", self.operate(&main, &arguments)).await;
        self.database.stop(BRANCH).await;
    }

    /// Scenario 2, of all accounts: the whole database goes back.
    pub(super) async fn all_accounts_are_deleted(&mut self) -> Row {
        let mut row = Row::of("2: all accounts were deleted");
        let mut account = Account::create(&self.server.api, self.data.tasks).await;
        let workload = Workload::start(take(&mut self.clients));
        self.work(&workload).await;
        // At the moment itself no request is under way: whatever was acknowledged before it has to be there.
        let (mut clients, counters) = workload.finish().await;
        row.count(&counters);
        let moment = self.database.moment().await;
        let workload = Workload::start(clients.clone());
        account.user.delete("/sessions/current").await.expect(204);
        self.migrate().await;
        self.work(&workload).await;
        self.database.owner().await.batch_execute("DELETE FROM users").await.unwrap();

        let branch = row.step("recover the moment as a branch", self.branch(&moment)).await;
        let restored = row.step("`operate restored` there", self.operate(&branch, &["restored", "--yes"])).await;
        assert!(restored.contains(&self.migrations.last()), "{restored}");
        let migrate = self.migrations.up(&self.database.settings, &branch);
        row.step("apply the lost migration again", migrate).await;
        row.verify(async |row| self.verify(&mut clients, &branch, row).await).await;
        let (_, counters) = workload.finish().await;
        row.count(&counters);
        row.undone = counters.writes.load(Ordering::SeqCst);
        // Everybody signs in again as soon as that is possible.
        let workload = Workload::resume(clients);
        row.step("put the branch in the place of the database", self.database.switch_to_branch(&branch)).await;
        // Each client's first write is a sign-in.
        let write = until_written(&workload, self.data.clients + 1);
        row.step("until clients have signed in and written", write).await;
        self.work(&workload).await;

        // Its session came back with the moment, and has ended with all others since.
        account.user.get("/tasks").await.expect(401);
        account.sign_in().await;
        row.compare(&account.tasks, &account.list().await);
        self.finish(workload, &mut row).await;
        row
    }

    /// Scenario 3.
    pub(super) async fn the_server_fails(&mut self) -> Row {
        let mut row = Row::of("3: the server failed");
        let account = Account::create(&self.server.api, self.data.tasks).await;
        let workload = Workload::start(take(&mut self.clients));
        self.work(&workload).await;
        // Neon's 15 s may be most of what this scenario takes.
        self.database.set_pooler("server_login_retry", short_or_long(1, 15)).await;
        let fail = async {
            self.database.kill(BRANCH).await;
            self.database.start_again(BRANCH).await;
        };
        row.step("fail, and start again on the same storage", fail).await;
        let is_served = async {
            while account.user.get("/tasks?limit=1").await.status != 200 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        row.step("until a request is answered", timeout(PATIENCE, is_served)).await.expect("the API answers again");
        row.compare(&account.tasks, &account.list().await);
        self.work(&workload).await;
        self.finish(workload, &mut row).await;
        row
    }
}
