use std::sync::{Arc, OnceLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use memchr::memmem;
use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;

use super::error::InvalidConfig;

/// What is in the names of those authorities of a system that are parsed at once: Let's Encrypt's, which Neon's
/// certificates come from (<https://letsencrypt.org/certificates/>).
const LIKELY: &[u8] = b"ISRG Root";

/// Verifies a server's certificate and name.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: MakeTlsConnector,
    rest: Option<Arc<Rest>>,
}

/// To parse the 140 authorities of a system takes longer than all else when a function starts, and it needs one of them.
/// So most are parsed when a certificate is from none of the others.
struct Rest {
    added: Vec<Certificate>,
    system: String,
    connector: OnceLock<MakeTlsConnector>,
}

impl Tls {
    /// Trusts the authorities in `added` (PEM), and those in `system`: the text of a file with those of the system. Without
    /// it, the library finds and parses them.
    pub(crate) fn new(added: Option<&[u8]>, system: Option<String>) -> Result<Self, InvalidConfig> {
        let added = added.map(certificates).transpose()?.unwrap_or_default();
        let likely = system.iter().flat_map(|system| each(system)).filter(|der| memmem::find(der, LIKELY).is_some());
        let connector = connector(added.iter().cloned().chain(parse(likely)))?;
        let rest = system.map(|system| Arc::new(Rest { added, system, connector: OnceLock::new() }));
        Ok(Self { connector, rest })
    }

    pub(crate) fn connector(&self) -> MakeTlsConnector {
        self.rest.as_ref().and_then(|rest| rest.connector.get()).unwrap_or(&self.connector).clone()
    }

    /// Trusts all authorities of the system from now on. Returns whether that is new.
    pub(crate) fn trust_all(&self) -> bool {
        let Some(rest) = self.rest.as_ref().filter(|rest| rest.connector.get().is_none()) else { return false };
        let all = rest.added.iter().cloned().chain(parse(each(&rest.system)));
        connector(all).is_ok_and(|connector| rest.connector.set(connector).is_ok())
    }
}

fn connector(authorities: impl Iterator<Item = Certificate>) -> Result<MakeTlsConnector, InvalidConfig> {
    let mut tls = TlsConnector::builder();
    for authority in authorities {
        tls.add_root_certificate(authority);
    }
    Ok(MakeTlsConnector::new(tls.build().map_err(|_| InvalidConfig::Tls)?))
}

/// The certificates of a PEM file, in DER.
fn each(pem: &str) -> impl Iterator<Item = Vec<u8>> {
    pem.split("-----BEGIN CERTIFICATE-----").skip(1).filter_map(|rest| {
        let (base64, _) = rest.split_once("-----END CERTIFICATE-----")?;
        BASE64_STANDARD.decode(base64.lines().collect::<String>()).ok()
    })
}

/// Of a system's, those that the library can parse.
fn parse(each: impl Iterator<Item = Vec<u8>>) -> impl Iterator<Item = Certificate> {
    each.filter_map(|der| Certificate::from_der(&der).ok())
}

/// All certificates of a PEM file, which may have other text between them.
fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, InvalidConfig> {
    let headers = String::from_utf8_lossy(pem).matches("-----BEGIN CERTIFICATE-----").count();
    let certificates = Certificate::stack_from_pem(pem).map_err(|_| InvalidConfig::Certificate)?;
    // The library stops silently at the first thing it cannot parse.
    if headers == 0 || certificates.len() != headers { Err(InvalidConfig::Certificate) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate(name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    fn count(pem: &str) -> Result<usize, InvalidConfig> {
        certificates(pem.as_bytes()).map(|certificates| certificates.len())
    }

    #[test]
    fn every_certificate_of_a_file_is_read_whatever_is_between_them() {
        let (old, new) = (certificate("old.example"), certificate("new.example"));
        let key = KeyPair::generate().unwrap().serialize_pem();
        for pem in [
            format!("{old}{new}"),
            format!("# The old one\n{old}\n\n# and the new one:\nCN = new\n{new}\n# the end"),
            format!("{old}{key}{new}"),
        ] {
            assert_eq!(count(&pem), Ok(2), "{pem}");
            assert_eq!(count(&pem.replace('\n', "\r\n")), Ok(2), "{pem}");
        }
        assert_eq!(count(old.trim_end()), Ok(1));
    }

    #[test]
    fn a_file_without_a_certificate_or_with_an_invalid_one_is_refused() {
        let (old, new) = (certificate("old.example"), certificate("new.example"));
        let (head, tail) = new.split_at(new.len() / 2);
        for pem in [
            "".to_owned(),
            "no certificate".to_owned(),
            KeyPair::generate().unwrap().serialize_pem(),
            format!("{old}{head}"),
            format!("{old}{head}!!{tail}"),
            format!("{head}{old}"),
            format!("{old}-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
            format!("{old}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            assert_eq!(count(&pem), Err(InvalidConfig::Certificate), "{pem}");
        }
    }
}
