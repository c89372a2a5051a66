use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;

use super::error::InvalidConfig;

/// Verifies the server's certificate and name, against the system's authorities and those in `authorities` (PEM).
pub(crate) fn connector(authorities: Option<&[u8]>) -> Result<MakeTlsConnector, InvalidConfig> {
    let mut tls = TlsConnector::builder();
    for authority in authorities.map(certificates).transpose()?.unwrap_or_default() {
        tls.add_root_certificate(authority);
    }
    Ok(MakeTlsConnector::new(tls.build().map_err(|_| InvalidConfig::Tls)?))
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
