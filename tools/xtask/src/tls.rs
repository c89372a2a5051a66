//! A certificate for this machine. It is self-signed: what clients trust is the certificate itself.

use std::path::{Path, PathBuf};
use std::time::Duration as StdDuration;

use anyhow::{Context, Result};
use fs_err as fs;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use time::{Duration, OffsetDateTime};

use crate::server_user::ServerUser;

/// `host.docker.internal` is this machine as a container sees it, under `sam local`.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "host.docker.internal"];
/// macOS accepts no more than 825 days.
const VALIDITY: Duration = Duration::days(825);
/// Renewed well before it expires.
const RENEW_AFTER: StdDuration = StdDuration::from_secs(700 * 24 * 3600);

/// Where the files are.
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    /// Only the servers can read it.
    pub(crate) key: PathBuf,
}

impl Tls {
    /// The certificate in `folder`, created if there is none or it is old.
    pub(crate) fn in_folder(folder: &Path, server_user: ServerUser) -> Result<Self> {
        let tls = Self { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        // The certificate is written last: if it is there, so is the key.
        let age = fs::metadata(&tls.certificate).and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_none_or(|age| age > RENEW_AFTER) {
            fs::create_dir_all(folder)?;
            let (certificate, key) = generate().context("cannot create a certificate for this machine")?;
            server_user.write(&tls.key, &key)?;
            fs::write(&tls.certificate, certificate)?;
        }
        Ok(tls)
    }
}

/// A certificate and its key, in PEM.
fn generate() -> Result<(String, String)> {
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    // Clients find a certificate that they trust by its name.
    params.distinguished_name.push(DnType::CommonName, "task-api on localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = OffsetDateTime::now_utc() - Duration::DAY;
    params.not_after = params.not_before + VALIDITY;
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}
