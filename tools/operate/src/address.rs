//! The addresses of a stage's database: its owner's, and the functions'.

use anyhow::{Context, bail, ensure};
use reqwest::Url;
use uuid::Uuid;

/// What a URL may also say behind its question mark, against what it says in front of it.
const ELSEWHERE: [&str; 5] = ["dbname", "host", "password", "port", "user"];

/// A connection URL that names one host and a database. It has no `Debug`: there is a password in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    url: Url,
    user: String,
    database: String,
}

/// Where a database, or the pooler in front of it, listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    host: String,
    /// None for PostgreSQL's own.
    port: Option<u16>,
}

impl Address {
    /// Reads an address as the functions do. An error says nothing of it.
    pub(crate) fn read(value: &str) -> anyhow::Result<Self> {
        let config = db::Config::new(value, None)?;
        let url: Url = value.trim().parse().ok().context("is not a connection URL")?;
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| ELSEWHERE.contains(&&**name)) {
            bail!("says {name} as a parameter: write postgresql://user:password@host/database");
        }
        ensure!(url.host_str() == Some(config.host()), "names more than one host");
        ensure!(url.path().len() > 1, "names no database: write postgresql://user:password@host/database");
        Ok(Self { url, user: config.user().to_owned(), database: config.database().to_owned() })
    }

    /// As it is kept.
    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The role that logs in with it.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The database's name.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// The same at the direct endpoint, where the host is the name of Neon's pooler.
    pub(crate) fn direct(self) -> anyhow::Result<Self> {
        match db::pooler::direct(&self.place().host) {
            Some(host) => self.at(&Place { host, ..self.place() }),
            None => Ok(self),
        }
    }

    /// Where it leads.
    pub(crate) fn place(&self) -> Place {
        Place { host: self.url.host_str().unwrap_or_default().to_ascii_lowercase(), port: self.url.port() }
    }

    /// Whether both are addresses of one database, seen from one place.
    pub(crate) fn leads_where(&self, other: &Self) -> bool {
        self.place() == other.place() && self.database == other.database
    }

    /// The password, if it is one that was made here.
    pub(crate) fn own_password(&self) -> Option<&str> {
        self.url.password().filter(|password| password.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }

    /// The same database as another role.
    pub(crate) fn as_role(&self, role: &str, password: &str) -> anyhow::Result<Self> {
        let mut url = self.url.clone();
        let changed = url.set_username(role).and_then(|()| url.set_password(Some(password)));
        changed.ok().context("cannot name another role")?;
        Ok(Self { url, user: role.to_owned(), database: self.database.clone() })
    }

    /// The same database from another place.
    pub(crate) fn at(&self, place: &Place) -> anyhow::Result<Self> {
        let mut url = self.url.clone();
        url.set_host(Some(&place.host)).ok().context("cannot name another host")?;
        url.set_port(place.port).ok().context("cannot name another port")?;
        Ok(Self { url, ..self.clone() })
    }
}

impl Place {
    /// Reads `HOST` or `HOST:PORT`.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok().context("has a port that is no number")?)),
            None => (text, None),
        };
        ensure!(!host.is_empty() && !host.contains(['/', '@', '?', ' ']), "is not of the form HOST:PORT");
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    /// Where Neon's pooler is for a database of Neon's.
    pub(crate) fn of_neons_pooler(&self) -> Option<Self> {
        db::pooler::pooled(&self.host).map(|host| Self { host, ..self.clone() })
    }
}

/// 244 random bits as hexadecimal digits, which need no quoting anywhere.
pub(crate) fn random_password() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::read(url).ok().unwrap()
    }

    #[test]
    fn either_of_neons_addresses_tells_both() {
        let [direct, pooled] = ["ep-calm-sea-1", "ep-calm-sea-1-pooler"].map(|endpoint| {
            format!("postgresql://owner:x@{endpoint}.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require")
        });
        for shown in [&direct, &pooled] {
            let owners = address(shown).direct().unwrap();
            assert_eq!(owners.as_str(), direct);
            let pooler = owners.place().of_neons_pooler().unwrap();
            let functions = owners.as_role("neondb_functions", "ab12").unwrap().at(&pooler).unwrap();
            assert_eq!(functions.as_str(), pooled.replace("owner:x", "neondb_functions:ab12"));
        }
    }

    #[test]
    fn another_hosts_pooler_is_named() {
        let owners = address("postgresql://owner:x@db.example:5433/app");
        assert!(owners.place().of_neons_pooler().is_none());
        for (pooler, url) in [
            ("pool.example:6432", "postgresql://owner:x@pool.example:6432/app"),
            ("pool.example", "postgresql://owner:x@pool.example/app"),
        ] {
            assert_eq!(owners.at(&Place::read(pooler).unwrap()).unwrap().as_str(), url);
        }
        for text in ["", ":6432", "pool.example:", "pool.example:x", "postgresql://pool.example", "me@pool.example"] {
            assert!(Place::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_one_database_is_refused_without_being_repeated() {
        for url in [
            "mysql://u:hunter2@h/d",
            "postgresql://u:hunter2@h",
            "postgresql://u:hunter2@h/",
            "postgresql://u:hunter2@h,i/d",
            "postgresql://u:hunter2@h/d?host=elsewhere",
            "postgresql://u@h/d?password=hunter2",
            "hunter2",
        ] {
            let message = format!("{:#}", Address::read(url).err().unwrap());
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn only_a_password_that_was_made_here_is_kept() {
        let password = random_password();
        let url = format!("postgresql://app_functions:{password}@h/app");
        assert_eq!(address(&url).own_password(), Some(&*password));
        assert_eq!(address("postgresql://app_functions:p%40ss@h/app").own_password(), None);
        assert_ne!(password, random_password());
    }
}
