//! The addresses of a stage's database, as its owner and as the functions' role.

use anyhow::{Context, bail, ensure};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use uuid::Uuid;

/// Query parameters that would override the other parts of the URL.
const OVERRIDES: [&str; 5] = ["dbname", "host", "password", "port", "user"];

/// A connection URL with exactly one host and a database. It has no `Debug`: it holds a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    url: Url,
    user: String,
    database: String,
}

/// The host of a database or of its pooler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    name: String,
    /// None for 5432.
    port: Option<u16>,
}

impl Address {
    /// Parses an address as the functions do. Errors do not repeat it.
    pub(crate) fn parse(value: &str) -> anyhow::Result<Self> {
        let config = db::Config::new(value, None)?;
        let url: Url = value.trim().parse().ok().context("is not a connection URL")?;
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| OVERRIDES.contains(&&**name)) {
            bail!("has {name} as a parameter: write postgresql://user:password@host/database");
        }
        ensure!(url.host_str() == Some(config.host()), "names more than one host");
        ensure!(url.path().len() > 1, "names no database: write postgresql://user:password@host/database");
        Ok(Self { url, user: config.user().to_owned(), database: config.database().to_owned() })
    }

    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str()
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn host(&self) -> Host {
        Host { name: self.url.host_str().unwrap_or_default().to_ascii_lowercase(), port: self.url.port() }
    }

    /// With a pooler's host replaced by the direct endpoint's.
    pub(crate) fn direct(self) -> anyhow::Result<Self> {
        let Host { name, port } = self.host();
        match db::pooler::direct(&name) {
            Some(name) => self.with_host(&Host { name, port }),
            None => Ok(self),
        }
    }

    pub(crate) fn is_same_database(&self, other: &Self) -> bool {
        self.host() == other.host() && self.database == other.database
    }

    /// For PostgreSQL's own programs: without the password, which other users of the machine could read, and without what
    /// would weaken the check of the server's certificate.
    pub(crate) fn for_command_line(&self) -> anyhow::Result<Url> {
        let mut url = self.url.clone();
        url.set_password(None).ok().context("has a password that cannot be left out")?;
        let checks = |parameter: &&str| !parameter.starts_with("sslmode=") && !parameter.starts_with("sslrootcert=");
        let query = url.query().unwrap_or_default().split('&').filter(checks).collect::<Vec<_>>().join("&");
        url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
        Ok(url)
    }

    /// The password, decoded.
    pub(crate) fn password(&self) -> anyhow::Result<String> {
        let password = percent_decode_str(self.url.password().unwrap_or_default()).decode_utf8();
        Ok(password.ok().context("has a password that is not UTF-8")?.into_owned())
    }

    /// The password, if it may be from [`generate_password`].
    pub(crate) fn generated_password(&self) -> Option<&str> {
        self.url.password().filter(|password| password.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }

    pub(crate) fn with_role(&self, role: &str, password: &str) -> anyhow::Result<Self> {
        let mut url = self.url.clone();
        let changed = url.set_username(role).and_then(|()| url.set_password(Some(password)));
        changed.ok().context("cannot have another role")?;
        Ok(Self { url, user: role.to_owned(), ..self.clone() })
    }

    /// Another database of the server.
    pub(crate) fn with_database(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(name);
        Self { url, database: name.to_owned(), ..self.clone() }
    }

    pub(crate) fn with_host(&self, host: &Host) -> anyhow::Result<Self> {
        let mut url = self.url.clone();
        url.set_host(Some(&host.name)).ok().context("cannot have another host")?;
        url.set_port(host.port).ok().context("cannot have another port")?;
        Ok(Self { url, ..self.clone() })
    }
}

impl Host {
    /// Parses `HOST` or `HOST:PORT`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok().context("has an invalid port")?)),
            None => (text, None),
        };
        ensure!(!name.is_empty() && !name.contains(['/', '@', '?', ' ']), "is not of the form HOST:PORT");
        Ok(Self { name: name.to_ascii_lowercase(), port })
    }

    /// Neon's pooler in front of this host, if it is Neon's.
    pub(crate) fn neon_pooler(&self) -> Option<Self> {
        db::pooler::pooled(&self.name).map(|name| Self { name, port: self.port })
    }
}

/// 244 random bits as hexadecimal digits, which no URL or shell has to quote.
pub(crate) fn generate_password() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).ok().unwrap()
    }

    #[test]
    fn either_of_neons_addresses_gives_both() {
        let [direct, pooled] = ["ep-calm-sea-1", "ep-calm-sea-1-pooler"].map(|endpoint| {
            format!("postgresql://owner:x@{endpoint}.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require")
        });
        for shown in [&direct, &pooled] {
            let owners = address(shown).direct().unwrap();
            assert_eq!(owners.as_str(), direct);
            let pooler = owners.host().neon_pooler().unwrap();
            let functions = owners.with_role("neondb_functions", "ab12").unwrap().with_host(&pooler).unwrap();
            assert_eq!(functions.as_str(), pooled.replace("owner:x", "neondb_functions:ab12"));
        }
    }

    #[test]
    fn another_hosts_pooler_is_given() {
        let owners = address("postgresql://owner:x@db.example:5433/app");
        assert!(owners.host().neon_pooler().is_none());
        for (pooler, url) in [
            ("pool.example:6432", "postgresql://owner:x@pool.example:6432/app"),
            ("pool.example", "postgresql://owner:x@pool.example/app"),
        ] {
            assert_eq!(owners.with_host(&Host::parse(pooler).unwrap()).unwrap().as_str(), url);
        }
        for text in ["", ":6432", "pool.example:", "pool.example:x", "postgresql://pool.example", "me@pool.example"] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_must_have_one_host_and_a_database_and_is_not_repeated() {
        for url in [
            "mysql://u:hunter2@h/d",
            "postgresql://u:hunter2@h",
            "postgresql://u:hunter2@h/",
            "postgresql://u:hunter2@h,i/d",
            "postgresql://u:hunter2@h/d?host=elsewhere",
            "postgresql://u@h/d?password=hunter2",
            "hunter2",
        ] {
            let message = format!("{:#}", Address::parse(url).err().unwrap());
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_command_line_has_no_password_and_leaves_the_checks_to_the_environment() {
        let owners = address("postgresql://owner:p%40ss@h:5433/app?sslmode=require&options=endpoint%3Dep-x%20y");
        let url = owners.for_command_line().unwrap();
        assert_eq!(url.as_str(), "postgresql://owner@h:5433/app?options=endpoint%3Dep-x%20y");
        assert_eq!(owners.password().unwrap(), "p@ss");
        let other = address("postgresql://owner:x@h/app?sslmode=require").with_database("other");
        assert_eq!(other.for_command_line().unwrap().as_str(), "postgresql://owner@h/other");
    }

    #[test]
    fn only_a_generated_password_is_kept() {
        let password = generate_password();
        let url = format!("postgresql://app_functions:{password}@h/app");
        assert_eq!(address(&url).generated_password(), Some(&*password));
        assert_eq!(address("postgresql://app_functions:p%40ss@h/app").generated_password(), None);
        assert_ne!(password, generate_password());
    }
}
