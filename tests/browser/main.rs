//! The page, as people use it: in Chromium, by the keyboard. `make test` starts the API and runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod base_path;
mod conflicts;
mod network;
mod origins;
mod sessions;
mod views;
mod walk;

use tests::api::Api;

/// The address of the page.
fn page_url() -> String {
    Api::shared().url("/")
}
