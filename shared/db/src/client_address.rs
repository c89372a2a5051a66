use std::net::{IpAddr, Ipv6Addr};

/// The network that failed sign-ins are counted for: an IPv4 address, or the /64 of an IPv6 address, within which a client
/// chooses addresses freely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress(String);

impl ClientAddress {
    /// From the client's IP address. Any other text is counted as it is.
    pub fn new(ip: &str) -> Self {
        match ip.parse() {
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self(format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            _ => Self(ip.to_owned()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_counted_by_its_network() {
        let client = |ip: &str| ClientAddress::new(ip).0;
        assert_eq!(client("192.0.2.1"), "192.0.2.1");
        assert_eq!(client("2001:db8:0:1:a:b:c:d"), "2001:db8:0:1::/64");
        assert_eq!(client("2001:DB8:0:1::"), client("2001:db8::1:0:0:0:1"));
        assert_ne!(client("2001:db8:0:1::"), client("2001:db8:0:2::"));
        assert_eq!(client(""), "");
    }
}
