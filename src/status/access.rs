//! Who may ask: the Host header must be one of ours (against DNS rebinding), pages of others may not read, and beyond the
//! loopback interface every request must carry the token.

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{Method, Request, StatusCode};

use crate::error::{Error, Result};

/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;
/// The user name with which a browser gives the token.
const USER: &str = "millstream";

/// The rules of access.
pub(super) struct Access {
    hosts: Vec<String>,
    /// Bound to all interfaces: any of their addresses may be named.
    any_address: bool,
    /// What the Authorization header may be, for tools and for browsers.
    authorizations: Option<[String; 2]>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Access {
    /// For a server bound to `ip`, which its user calls `host`.
    pub(super) fn new(host: &str, ip: IpAddr, token: Option<String>, more: &[String]) -> Result<Self> {
        if token.is_none() && !ip.is_loopback() {
            return Err(Error::config(format!(
                "web: {host} can be reached from other machines, so a token is needed; set MILLSTREAM_WEB_TOKEN, or serve \
                 on 127.0.0.1"
            )));
        }
        if token.as_ref().is_some_and(|token| token.len() < SHORTEST_TOKEN || !token.is_ascii()) {
            return Err(Error::config(format!(
                "MILLSTREAM_WEB_TOKEN must be of {SHORTEST_TOKEN} ASCII characters at the least; make one with: openssl \
                 rand -hex 16"
            )));
        }
        let mut hosts: Vec<String> =
            ["localhost", "127.0.0.1", "[::1]", host].map(str::to_lowercase).to_vec();
        hosts.extend(more.iter().map(|host| host.to_lowercase()));
        let basic = |token: &str| format!("Basic {}", base64(format!("{USER}:{token}").as_bytes()));
        let authorizations = token.map(|token| [format!("Bearer {token}"), basic(&token)]);
        Ok(Self { hosts, any_address: ip.is_unspecified(), authorizations })
    }

    /// What a request is refused with.
    pub(super) fn refuses<B>(&self, request: &Request<B>) -> Option<(StatusCode, &'static str)> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD: nothing can be changed here"));
        }
        let headers = request.headers();
        let named = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let mut hosts =
            named.chain(request.uri().authority().map(axum::http::uri::Authority::as_str)).peekable();
        if hosts.peek().is_none() || hosts.any(|host| !self.knows(host)) {
            return Some((
                StatusCode::FORBIDDEN,
                "the Host header names another server; MILLSTREAM_WEB_HOSTS adds names",
            ));
        }
        let from = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if matches!(from, Some("cross-site" | "same-site")) && request.uri().path() != "/" {
            return Some((StatusCode::FORBIDDEN, "not for pages of other sites"));
        }
        let given = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let known = |accepted: &[String; 2]| accepted.iter().fold(false, |any, one| any | same(one, given));
        if self.authorizations.as_ref().is_some_and(|accepted| !known(accepted)) {
            return Some((
                StatusCode::UNAUTHORIZED,
                "a token is needed: Authorization: Bearer MILLSTREAM_WEB_TOKEN",
            ));
        }
        None
    }

    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
            || (self.any_address && bare.parse::<IpAddr>().is_ok())
    }
}

/// Whether two texts are the same; what it takes does not tell where they differ.
fn same(expected: &str, given: &[u8]) -> bool {
    let expected = expected.as_bytes();
    let differ = expected.iter().zip(given).fold(0, |differ, (a, b)| differ | (a ^ b));
    expected.len() == given.len() && differ == 0
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        (0..4)
            .map(|i| if i <= chunk.len() { DIGITS[(bits >> (18 - 6 * i) & 63) as usize] } else { b'=' })
            .collect()
    };
    let digits: Vec<Vec<u8>> = bytes.chunks(3).map(group).collect();
    digits.concat().into_iter().map(char::from).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    fn refused(access: &Access, headers: &[(&str, &str)]) -> Option<u16> {
        let request =
            headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        access.refuses(&request.body(()).unwrap()).map(|(status, _)| status.as_u16())
    }

    fn local() -> Access {
        Access::new("127.0.0.1", "127.0.0.1".parse().unwrap(), None, &["metrics.example".to_owned()]).unwrap()
    }

    #[test]
    fn only_hosts_of_ours_are_served() {
        for host in
            ["localhost", "LOCALHOST:6066", "127.0.0.1:1", "[::1]:6066", "[::1]", "metrics.example:80"]
        {
            assert_eq!(refused(&local(), &[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost:6066:1", "", "localhost:x"]
        {
            assert_eq!(refused(&local(), &[("host", host)]), Some(403), "{host}");
        }
        assert_eq!(refused(&local(), &[]), Some(403));
        assert_eq!(refused(&local(), &[("host", "localhost"), ("host", "evil.example")]), Some(403));
    }

    #[test]
    fn a_name_in_the_request_line_counts_as_the_header_does() {
        let request = Request::get("http://evil.example/").header("host", "localhost").body(()).unwrap();
        assert_eq!(local().refuses(&request).map(|(status, _)| status.as_u16()), Some(403));
    }

    #[test]
    fn pages_of_other_sites_read_nothing() {
        let cross = [("host", "localhost"), ("sec-fetch-site", "cross-site")];
        let request = |path| {
            cross
                .iter()
                .fold(Request::get(path), |r, (name, value)| r.header(*name, *value))
                .body(())
                .unwrap()
        };
        assert!(local().refuses(&request("/api/status")).is_some());
        assert!(local().refuses(&request("/")).is_none());
    }

    #[test]
    fn other_addresses_need_a_token_of_some_length() {
        let any = || "0.0.0.0".parse().unwrap();
        let refusal = Access::new("0.0.0.0", any(), None, &[]).unwrap_err().to_string();
        assert!(refusal.contains("MILLSTREAM_WEB_TOKEN"), "{refusal}");
        assert!(Access::new("0.0.0.0", any(), Some("short".to_owned()), &[]).is_err());
        let access = Access::new("0.0.0.0", any(), Some("0123456789abcdef".to_owned()), &[]).unwrap();
        let with =
            |authorization| refused(&access, &[("host", "10.1.2.3:6066"), ("authorization", authorization)]);
        assert_eq!(refused(&access, &[("host", "10.1.2.3:6066")]), Some(401));
        assert_eq!(with("Bearer 0123456789abcdeF"), Some(401));
        assert_eq!(with("Bearer 0123456789abcdef"), None);
        assert_eq!(with("Basic bWlsbHN0cmVhbTowMTIzNDU2Nzg5YWJjZGVm"), None);
        let named = [("host", "evil.example"), ("authorization", "Bearer 0123456789abcdef")];
        assert_eq!(refused(&access, &named), Some(403));
    }

    #[test]
    fn the_token_is_in_no_debug_text() {
        let access = Access::new("127.0.0.1", "127.0.0.1".parse().unwrap(), Some("s3cret".repeat(4)), &[]);
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}
