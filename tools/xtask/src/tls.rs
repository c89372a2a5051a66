//! A certificate for this machine, and the authority that signed it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration as StdDuration;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{DistinguishedName, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use crate::server_user::ServerUser;

/// `host.docker.internal` is this machine as a container sees it, under `sam local`.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "host.docker.internal"];
/// macOS accepts no more than 825 days.
const VALID: Duration = Duration::days(825);
/// Renewed well before it ends, so that it does not end in the middle of a day's work.
const RENEW_AFTER: StdDuration = StdDuration::from_secs(700 * 24 * 3600);

/// Where the files of the certificate are.
pub(crate) struct Tls {
    /// What clients check the servers against.
    pub(crate) ca: PathBuf,
    /// What the servers show.
    pub(crate) certificate: PathBuf,
    /// Readable to the servers only.
    pub(crate) key: PathBuf,
}

impl Tls {
    /// The certificate in `folder`, made anew if there is none or it is old.
    pub(crate) fn in_folder(folder: &Path, server_user: ServerUser) -> Result<Self> {
        let tls =
            Self { ca: folder.join("ca.pem"), certificate: folder.join("server.pem"), key: folder.join("server.key") };
        // The certificate is written last: if it is there, so are the others.
        let age = fs::metadata(&tls.certificate).and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_none_or(|age| age > RENEW_AFTER) {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            tls.make(server_user).context("cannot make a certificate for this machine")?;
        }
        Ok(tls)
    }

    /// The authority's own key is dropped here: nobody can sign a second certificate with it.
    fn make(&self, server_user: ServerUser) -> Result<()> {
        let mut authority = params(&[], "task-api local authority")?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let ca = authority.self_signed(&authority_key)?;

        let mut server = params(&NAMES, "localhost")?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?;

        fs::write(&self.ca, ca.pem())?;
        server_user.write(&self.key, &key.serialize_pem())?;
        fs::write(&self.certificate, certificate.pem())?;
        Ok(())
    }
}

fn params(names: &[&str], common_name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = OffsetDateTime::now_utc() - Duration::DAY;
    params.not_after = params.not_before + VALID;
    Ok(params)
}
