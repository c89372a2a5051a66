//! Neon's two host names for one endpoint: `ep-x.REGION.aws.neon.tech` is the server, `ep-x-pooler.REGION.…` the pooler
//! in front of it ([Neon's documentation](https://neon.com/docs/connect/connection-pooling)).

const SUFFIX: &str = "-pooler";

/// The direct host of a pooled one; `None` when the host is not a pooler's.
pub fn direct(host: &str) -> Option<String> {
    let (first, rest) = split(host);
    let name = first.len().checked_sub(SUFFIX.len()).and_then(|at| first.split_at_checked(at))?;
    name.1.eq_ignore_ascii_case(SUFFIX).then(|| format!("{}{rest}", name.0))
}

/// The pooled host of a direct one; `None` when the host is a pooler's already, or not Neon's.
pub fn pooled(host: &str) -> Option<String> {
    let (first, rest) = split(host);
    let is_neons = rest.to_ascii_lowercase().ends_with(".neon.tech");
    (is_neons && direct(host).is_none()).then(|| format!("{first}{SUFFIX}{rest}"))
}

/// The first label, and the rest with its leading dot.
fn split(host: &str) -> (&str, &str) {
    host.split_at(host.find('.').unwrap_or(host.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_names_of_an_endpoint_are_converted_into_each_other() {
        for (plain, pooler) in [
            ("ep-calm-sea-123456.eu-central-1.aws.neon.tech", "ep-calm-sea-123456-pooler.eu-central-1.aws.neon.tech"),
            ("EP-CALM-SEA.NEON.TECH", "EP-CALM-SEA-pooler.NEON.TECH"),
        ] {
            assert_eq!(direct(pooler).as_deref(), Some(plain));
            assert_eq!(pooled(plain).as_deref(), Some(pooler));
            assert_eq!((direct(plain), pooled(pooler)), (None, None));
        }
        assert_eq!(direct("EP-X-POOLER.neon.tech").as_deref(), Some("EP-X.neon.tech"));
    }

    #[test]
    fn only_the_first_label_marks_a_pooler() {
        for host in ["db.my-pooler.example", "pooler.example", "localhost", "", "é-pooleré.example"] {
            assert_eq!(direct(host), None, "{host}");
        }
        assert_eq!(direct("db-pooler.example").as_deref(), Some("db.example"));
        assert_eq!(pooled("db.example"), None, "others have other rules");
    }
}
