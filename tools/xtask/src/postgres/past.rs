//! The past of a server: a copy of its data folder, and all WAL since. With both, another server goes back to any moment in
//! between, as PostgreSQL's point-in-time recovery does it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fs_err as fs;
use tokio::process::Command;

use super::{BRANCH, Postgres};
use crate::{process::run_checked, profile::Profile};

// Paths in these are relative to the data folder, where PostgreSQL runs them.

const ARCHIVE: &str = "
archive_mode = on
archive_command = 'cp %p ../wal/%f'
";

impl Postgres {
    /// Copies the data folder, which no server may be using, and has the WAL kept from the next start on.
    pub(crate) async fn keep_past(&mut self, profile: &Profile) -> Result<()> {
        copy(&self.data, &self.beside("base")).await?;
        let archive = self.beside("wal");
        fs::create_dir_all(&archive)?;
        profile.server_user.own(&archive)?;
        ARCHIVE.clone_into(&mut self.settings);
        Ok(())
    }

    /// A server whose first start brings it to a moment of this one's past. `moment` is in ISO 8601.
    pub(crate) async fn branch(&self, moment: &str, profile: &Profile) -> Result<Self> {
        let data = self.beside("branch");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        copy(&self.beside("base"), &data).await?;
        profile.server_user.write(&data.join("recovery.signal"), "")?;
        // Without a hot standby nobody gets in before the server is at that moment.
        let settings = format!(
            "
hot_standby = off
restore_command = 'cp ../wal/%f %p'
recovery_target_time = '{moment}'
recovery_target_action = 'promote'
"
        );
        Ok(Self {
            part: BRANCH,
            port: profile.branch_port(),
            log: profile.log(BRANCH),
            data,
            settings,
            password: self.password.clone(),
            functions_password: self.functions_password.clone(),
        })
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.data.with_file_name(name)
    }
}

/// Copies a folder with its modes and owners.
async fn copy(from: &Path, to: &Path) -> Result<()> {
    run_checked(Command::new("cp").arg("-Rp").arg(from).arg(to)).await
}
