//! Migrations of releases to come.

use std::{
    fs,
    path::{Path, PathBuf},
};

use reqwest::Url;
use tempfile::TempDir;
use tests::{
    database::{self, Migrate},
    server::Settings,
};

/// Those of this checkout, and more.
pub(crate) struct Migrations {
    checkout: TempDir,
    added: u32,
}

impl Migrations {
    pub(crate) fn of_checkout() -> Self {
        let this = Self { checkout: TempDir::new().unwrap(), added: 0 };
        fs::create_dir(this.folder()).unwrap();
        for file in fs::read_dir(database::migrations()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), this.folder().join(file.file_name())).unwrap();
        }
        this
    }

    /// The checkout that has them.
    pub(crate) fn checkout(&self) -> &Path {
        self.checkout.path()
    }

    fn folder(&self) -> PathBuf {
        self.checkout().join("migrations")
    }

    /// One that adds a column to the tasks.
    pub(crate) fn add(&mut self) {
        self.added += 1;
        let sql =
            format!("SET LOCAL lock_timeout = '500ms';\nALTER TABLE tasks ADD COLUMN added_{} INTEGER;\n", self.added);
        fs::write(self.folder().join(self.last()), sql).unwrap();
    }

    /// The name of the last one.
    pub(crate) fn last(&self) -> String {
        format!("{}_add_column_{}.sql", 9000 + self.added, self.added)
    }

    /// Applies those that a database lacks; there must be one.
    pub(crate) async fn up(&self, settings: &Settings, database: &Url) {
        let ca_file = Some(settings.get("DATABASE_CA_FILE"));
        let migrate = Migrate::new(database.as_str(), &self.folder()).unwrap().env("DATABASE_CA_FILE", ca_file);
        let printed = migrate.run(&["up"]).await.unwrap().success();
        assert!(printed.contains(&format!("{} applied in ", self.last())), "{printed}");
    }
}
