//! The address a request comes from. Behind a proxy that is the proxy's, and the client's stands in
//! `X-Forwarded-For`, which anybody can write: it counts only from proxies that the operator named.

use std::net::IpAddr;

use actix_web::HttpRequest;
use ipnet::IpNet;

/// The client's address: of those that trusted proxies saw, the one nearest to us that is not a proxy of ours.
#[must_use]
pub fn client_ip(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    let peer = request.peer_addr()?.ip().to_canonical();
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let forwarded = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok());
    let mut seen: Vec<&str> = forwarded
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    // Each proxy appends whom it saw. What can't be read was not written by one of ours.
    while let Some(ip) = seen.pop().and_then(|text| text.parse::<IpAddr>().ok()) {
        let ip = ip.to_canonical();
        if !is_trusted(&ip) {
            return Some(ip);
        }
    }
    Some(peer)
}

/// What limits count by: an IPv4 address, or the /64 that one IPv6 customer has.
#[must_use]
pub fn limit_key(ip: Option<IpAddr>) -> String {
    match ip {
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(ip) => ip.to_string(),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seen(peer: &str, forwarded: Option<&str>) -> String {
        let trusted = [
            "10.0.0.0/8".parse().unwrap(),
            "127.0.0.1/32".parse().unwrap(),
        ];
        let mut request = TestRequest::get().peer_addr(format!("{peer}:1").parse().unwrap());
        if let Some(value) = forwarded {
            request = request.insert_header(("x-forwarded-for", value));
        }
        client_ip(&request.to_http_request(), &trusted)
            .unwrap()
            .to_string()
    }

    #[test]
    fn only_named_proxies_are_believed() {
        assert_eq!(seen("203.0.113.9", Some("192.0.2.1")), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", Some("192.0.2.1")), "192.0.2.1");
        assert_eq!(
            seen("10.0.0.1", Some("6.6.6.6, 192.0.2.1, 10.0.0.2")),
            "192.0.2.1"
        );
        assert_eq!(seen("10.0.0.1", Some("192.0.2.1, rubbish")), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", None), "10.0.0.1");
        assert_eq!(seen("[::ffff:10.0.0.1]", Some("192.0.2.1")), "192.0.2.1");
    }

    #[test]
    fn limits_count_an_ipv6_network_as_one() {
        let key = |ip: &str| limit_key(Some(ip.parse().unwrap()));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("192.0.2.1"), "192.0.2.1");
    }
}
