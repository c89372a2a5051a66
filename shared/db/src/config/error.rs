use std::{error::Error, io};

use tokio_postgres::error::DbError;

/// Settings that cannot be used. The messages never quote the URL, which holds a password; only a parameter's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    #[error("is not a PostgreSQL connection URL such as postgresql://user:password@host/database?sslmode=require")]
    Url,
    /// No user, or no host whose certificate could be verified.
    #[error("names no {0}: postgresql://user:password@host/database is expected")]
    Missing(&'static str),
    #[error("has the unknown parameter {0:?}: remove it")]
    UnknownParameter(String),
    #[error("has an invalid value for the parameter {0:?}")]
    BadParameter(String),
    #[error("names a file in sslrootcert: remove that, and name the file in DATABASE_CA_FILE")]
    CertificateInUrl,
    #[error("must not have sslmode=disable: connections are always encrypted and verified")]
    Insecure,
    /// The file of authorities has no certificate, or an invalid one.
    #[error("is not a file of valid certificates in PEM form")]
    Certificate,
    #[error("cannot be used: the TLS library fails to initialise")]
    Tls,
}

/// Why a connection was not opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no address of the host can be reached: {0}")]
    Network(#[from] io::Error),
    /// TLS failed, or the server refused or closed the connection.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

impl ConnectError {
    /// The error that the server answered with, if it answered.
    pub fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Network(_) => None,
            Self::Postgres(error) => error.as_db_error(),
        }
    }

    /// Whether TLS failed: with a certificate that is not trusted, for example.
    pub(super) fn is_tls(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.source().is_some_and(|source| source.is::<native_tls::Error>())
    }
}
