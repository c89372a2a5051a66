use std::str::FromStr;

use tokio_postgres::config::Host;

use super::error::InvalidConfig;

/// The accepted parameters of a URL. Those about timeouts and keepalives have no effect: the limits are set in `tcp.rs`.
/// `tokio-postgres` has some more, which only affect a socket that it opens itself.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "options",
    "password",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "tcp_user_timeout",
    "user",
];

pub(crate) fn parse(url: &str) -> Result<tokio_postgres::Config, InvalidConfig> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(InvalidConfig::Url);
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    // Part of a password with an unencoded question mark would be quoted as the name of a parameter.
    if query.contains('@') && !base.contains('@') {
        return Err(InvalidConfig::Url);
    }
    let mut known = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if let Some(pair) = parameter(pair)? {
            known.push(pair);
        }
    }
    let url = if known.is_empty() { base.to_owned() } else { format!("{base}?{}", known.join("&")) };
    let postgres = tokio_postgres::Config::from_str(&url).map_err(|_| InvalidConfig::Url)?;
    if postgres.get_user().is_none_or(str::is_empty) {
        return Err(InvalidConfig::Missing("user"));
    }
    // A Unix socket has no host name to verify.
    let is_named = |host: &Host| matches!(host, Host::Tcp(name) if !name.is_empty());
    if postgres.get_hosts().is_empty() || !postgres.get_hosts().iter().all(is_named) {
        return Err(InvalidConfig::Missing("host"));
    }
    let hosts = postgres.get_hosts().len();
    if ![0, 1, hosts].contains(&postgres.get_ports().len()) || ![0, hosts].contains(&postgres.get_hostaddrs().len()) {
        return Err(InvalidConfig::Url);
    }
    Ok(postgres)
}

/// Validates a `name=value` of the query. `None` for one that only asks for what is done anyway.
fn parameter(pair: &str) -> Result<Option<&str>, InvalidConfig> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    match (name, value) {
        ("sslmode", "disable") => Err(InvalidConfig::Insecure),
        ("sslmode", "allow" | "prefer" | "require" | "verify-ca" | "verify-full") => Ok(None),
        ("sslrootcert", "system") => Ok(None),
        ("sslrootcert", _) => Err(InvalidConfig::CertificateInUrl),
        _ if !PARAMETERS.contains(&name) => Err(InvalidConfig::UnknownParameter(quotable(name))),
        _ if tokio_postgres::Config::from_str(&format!("postgresql://host/database?{pair}")).is_err() => {
            Err(InvalidConfig::BadParameter(name.to_owned()))
        }
        _ => Ok(Some(pair)),
    }
}

/// The name, if it is safe to quote: anything else may be part of a password that was not percent-encoded.
fn quotable(name: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.len() <= 40 && name.chars().all(is_name) { name.to_owned() } else { "…".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "ep-calm-sea-123456-pooler.eu-central-1.aws.neon.tech";

    fn error(url: &str) -> Option<InvalidConfig> {
        parse(url).err()
    }

    fn error_with(query: &str) -> Option<InvalidConfig> {
        error(&format!("postgresql://owner:hunter2@{HOST}/app?{query}"))
    }

    #[test]
    fn urls_are_accepted_as_providers_and_their_guides_write_them() {
        for query in [
            "",
            "sslmode=require",
            "sslmode=require&channel_binding=require",
            "sslmode=verify-full",
            "sslmode=verify-ca",
            "sslmode=verify-full&sslrootcert=system",
            "sslrootcert=system&sslmode=verify-full&channel_binding=require",
            "sslmode=prefer",
            "sslmode=require&connect_timeout=15&application_name=task-api",
            "sslmode=require&options=endpoint%3Dep-calm-sea-123456",
            "sslnegotiation=direct&keepalives_idle=60",
            "hostaddr=192.0.2.1",
            "&sslmode=require&",
        ] {
            assert_eq!(error_with(query), None, "{query}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_with_the_reason() {
        let unknown = |name: &str| Some(InvalidConfig::UnknownParameter(name.to_owned()));
        let bad = |name: &str| Some(InvalidConfig::BadParameter(name.to_owned()));
        assert_eq!(error_with("sslmode=require&pgbouncer=true"), unknown("pgbouncer"));
        assert_eq!(error_with("SSLMODE=require"), unknown("SSLMODE"));
        assert_eq!(error_with("target_session_attrs=read-write"), unknown("target_session_attrs"));
        assert_eq!(error_with("sslmode=verify"), bad("sslmode"));
        assert_eq!(error_with("sslmode"), bad("sslmode"));
        assert_eq!(error_with("channel_binding=yes"), bad("channel_binding"));
        assert_eq!(error_with("connect_timeout=soon"), bad("connect_timeout"));
        assert_eq!(error_with("hostaddr=localhost"), bad("hostaddr"));
        assert_eq!(error_with("hostaddr=192.0.2.1,192.0.2.2"), Some(InvalidConfig::Url));
        assert_eq!(error_with("sslrootcert=/etc/ca.pem"), Some(InvalidConfig::CertificateInUrl));
        assert_eq!(error("postgresql://host/app"), Some(InvalidConfig::Missing("user")));
        for hostless in ["postgresql://u:p@/app", "postgresql://u:p@%2Frun%2Fpostgresql/app", "postgresql://u:p@h,/app"]
        {
            assert_eq!(error(hostless), Some(InvalidConfig::Missing("host")), "{hostless}");
        }
        for not_a_url in
            ["", "postgresql:", "mysql://u:hunter2@h/d", "host=h user=u password=hunter2", "psql 'postgresql://u@h/d'"]
        {
            assert_eq!(error(not_a_url), Some(InvalidConfig::Url), "{not_a_url}");
        }
    }

    #[test]
    fn a_password_is_never_quoted() {
        for url in [
            "postgresql://u:hunter2@h:port/d",
            "postgresql://u:p?hunter2@h/d",
            "postgresql://u:p?hunter2=@h/d",
            "postgresql://u:p@h/d?hunter2%21=1",
            "postgresql://u:hunter2@",
        ] {
            let text = error(url).map(|error| format!("{error} {error:?}")).unwrap_or_default();
            assert!(!text.contains("hunter2"), "{url}: {text}");
        }
    }
}
