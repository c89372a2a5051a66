use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use domain::{NewPassword, Password, PasswordAttempt, PasswordHash};

/// 2^12 rounds.
const COST: u32 = 12;

/// A hash of cost [`COST`] to verify against when there is no account, or when no account can have the password: such
/// attempts take as long as any other, and always fail.
const DUMMY_HASH: &str = "$2b$12$C6UzMDM.H6dfI/f/IKcEeO7ZPZ8Rgrj0y8MP.lHqOTzGDDyBXpVVm";

tokio::task_local! {
    static HASHING: Cell<Duration>;
}

/// Runs a request's work; also returns how long it has waited for hashes.
pub async fn time_hashing<T>(work: impl Future<Output = T>) -> (T, Duration) {
    HASHING.scope(Cell::default(), async { (work.await, HASHING.with(Cell::get)) }).await
}

/// Hashes a new password: 0.3 s of work, off the async threads.
pub async fn hash_password(password: NewPassword) -> PasswordHash {
    run_blocking(move || match bcrypt::hash(password.expose(), COST) {
        Ok(hash) => PasswordHash::new(hash),
        Err(error) => unreachable!("bcrypt refuses only a cost out of range: {error}"),
    })
    .await
}

/// Whether the attempt matches the hash. Always runs exactly one verification of cost [`COST`]: without a hash, or for an
/// attempt that no account can have, against [`DUMMY_HASH`].
pub async fn verify_password(attempt: PasswordAttempt, hash: Option<PasswordHash>) -> bool {
    run_blocking(move || {
        let password = attempt.as_password();
        let stored = hash.as_ref().map(PasswordHash::as_str).filter(|_| password.is_some());
        let matches = bcrypt::verify(password.map_or("", Password::expose), stored.unwrap_or(DUMMY_HASH));
        matches.unwrap_or(false) && stored.is_some()
    })
    .await
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let started = Instant::now();
    let outcome = tokio::task::spawn_blocking(work).await;
    // Fails where nobody asks for the time.
    let _ = HASHING.try_with(|time| time.set(time.get() + started.elapsed()));
    match outcome {
        Ok(value) => value,
        // Becomes a panic of the request, which is answered with a 500.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use domain::{ChosenPassword, Email};

    use super::*;

    fn password(text: &str) -> NewPassword {
        let address = Email::parse("ada@example.com").unwrap();
        ChosenPassword::parse(text.to_owned()).unwrap().for_account(&address).unwrap()
    }

    fn attempt(text: &str) -> PasswordAttempt {
        PasswordAttempt::parse(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_password_opens_its_own_hash_and_no_other() {
        let hash = hash_password(password("correct horse")).await;
        assert!(hash.as_str().starts_with("$2b$12$"));
        assert!(verify_password(attempt("correct horse"), Some(hash.clone())).await);
        assert!(!verify_password(attempt("Correct horse"), Some(hash)).await);
    }

    #[tokio::test]
    async fn all_72_bytes_of_a_password_count() {
        let longest = "a".repeat(72);
        let hash = hash_password(password(&longest)).await;
        assert!(verify_password(attempt(&longest), Some(hash.clone())).await);
        assert!(!verify_password(attempt(&format!("{}b", "a".repeat(71))), Some(hash.clone())).await);
        assert!(!verify_password(attempt(&"a".repeat(73)), Some(hash)).await, "nothing is truncated");
    }

    #[tokio::test]
    async fn the_dummy_hash_is_valid_and_matches_nothing() {
        assert!(
            bcrypt::verify("", DUMMY_HASH).is_ok(),
            "an invalid hash would fail fast, and reveal that there is no account"
        );
        for text in ["", "short", "long enough", &"a".repeat(73)] {
            assert!(!verify_password(attempt(text), None).await, "{text:?}");
        }
        assert!(!verify_password(attempt("short"), Some(PasswordHash::new(DUMMY_HASH.to_owned()))).await);
    }
}
