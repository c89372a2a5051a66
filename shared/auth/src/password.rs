use domain::{Password, PasswordAttempt, PasswordHash};

/// The cost factor: 2^12 rounds.
const COST: u32 = 12;

/// A hash of cost [`COST`] that no attempt out of bounds and no unknown account is let in by. It is verified
/// against all the same, so that these take the time any other attempt takes.
const NOBODYS: &str = "$2b$12$C6UzMDM.H6dfI/f/IKcEeO7ZPZ8Rgrj0y8MP.lHqOTzGDDyBXpVVm";

/// Hashes a new password, on a thread where 0.3 s of work hold nobody up.
pub async fn hash(password: Password) -> PasswordHash {
    on_a_thread_of_its_own(move || match bcrypt::hash(password.expose(), COST) {
        Ok(hash) => PasswordHash::new(hash),
        Err(error) => unreachable!("bcrypt refuses only a cost out of range: {error}"),
    })
    .await
}

/// Whether the attempt is the password behind the hash. Runs exactly one verification of cost 12, whatever it is
/// given: without a hash, or with an attempt that no account can have, against [`NOBODYS`].
pub async fn verify(attempt: PasswordAttempt, hash: Option<PasswordHash>) -> bool {
    on_a_thread_of_its_own(move || {
        let password = attempt.as_password();
        let genuine = hash.as_ref().map(PasswordHash::as_str).filter(|_| password.is_some());
        let matches = bcrypt::verify(password.map_or("", Password::expose), genuine.unwrap_or(NOBODYS));
        matches.unwrap_or(false) && genuine.is_some()
    })
    .await
}

async fn on_a_thread_of_its_own<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        // A panic goes on as the request's own panic, which is answered with a 500.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse(text.to_owned()).unwrap()
    }

    fn attempt(text: &str) -> PasswordAttempt {
        PasswordAttempt::parse(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_password_opens_its_own_hash_and_no_other() {
        let hash = hash(password("correct horse")).await;
        assert!(hash.as_str().starts_with("$2b$12$"));
        assert!(verify(attempt("correct horse"), Some(hash.clone())).await);
        assert!(!verify(attempt("Correct horse"), Some(hash)).await);
    }

    #[tokio::test]
    async fn all_72_bytes_of_a_password_count() {
        let longest = "a".repeat(72);
        let hash = hash(password(&longest)).await;
        assert!(verify(attempt(&longest), Some(hash.clone())).await);
        assert!(!verify(attempt(&format!("{}b", "a".repeat(71))), Some(hash.clone())).await);
        assert!(!verify(attempt(&"a".repeat(73)), Some(hash)).await, "nothing is truncated");
    }

    #[tokio::test]
    async fn nobodys_hash_is_valid_and_lets_nobody_in() {
        assert!(bcrypt::verify("", NOBODYS).is_ok(), "an invalid hash would fail fast, and tell");
        for text in ["", "short", "long enough", &"a".repeat(73)] {
            assert!(!verify(attempt(text), None).await, "{text:?}");
        }
        assert!(!verify(attempt("short"), Some(PasswordHash::new(NOBODYS.to_owned()))).await);
    }
}
