//! Addresses of the host as an agent's pod reaches them: `localhost` is the pod itself there. Pure.

/// Where Paperclip is, seen from the server and from a pod.
pub(super) struct Addresses<'a> {
    /// The address of Paperclip's API that the agent has.
    api: Option<&'a str>,
    /// Ports on which the server's own process listens.
    ports: Vec<&'a str>,
}

/// How an address of the host is reached from a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// As it is.
    AsItIs,
    /// At the same server, by the address that the agent has of it.
    At(String),
    /// It leads to the pod itself.
    Nowhere,
}

impl<'a> Addresses<'a> {
    /// `of_server`: the API's address as the server's own process has it; `port`: where it listens.
    pub(super) fn new(api: Option<&'a str>, of_server: Option<&'a str>, port: Option<&'a str>) -> Self {
        let of_url = |url: &'a str| Parts::of(url).map(|parts| parts.port());
        let ports = of_server.and_then(of_url).into_iter().chain(port);
        Self {
            api,
            ports: ports.collect(),
        }
    }

    pub(super) fn reach(&self, url: &str) -> Reach {
        let Some(parts) = Parts::of(url).filter(Parts::is_loopback) else {
            return Reach::AsItIs;
        };
        let api = self.api.and_then(Parts::of).filter(|api| !api.is_loopback());
        match api {
            Some(api) if self.ports.contains(&parts.port()) => {
                Reach::At(format!("{}://{}{}", api.scheme, api.authority, parts.rest))
            }
            _ => Reach::Nowhere,
        }
    }
}

struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, after) = url.trim().split_once("://")?;
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        Some(Self {
            scheme,
            authority,
            rest,
        })
    }

    fn host(&self) -> &'a str {
        let host = self
            .authority
            .rsplit_once('@')
            .map_or(self.authority, |(_, host)| host);
        match host.find(']') {
            Some(end) => host.get(..=end).unwrap_or(host),
            None => host.split_once(':').map_or(host, |(host, _)| host),
        }
    }

    fn port(&self) -> &'a str {
        let after = self
            .authority
            .rsplit_once(']')
            .map_or(self.authority, |(_, after)| after);
        let port = after.rsplit_once(':').map_or("", |(_, port)| port);
        match port {
            "" if self.scheme.eq_ignore_ascii_case("https") => "443",
            "" => "80",
            port => port,
        }
    }

    fn is_loopback(&self) -> bool {
        let host = self.host().to_ascii_lowercase();
        let host = host.trim_end_matches('.');
        ["localhost", "0.0.0.0", "[::1]", "[::]"].contains(&host)
            || host.ends_with(".localhost")
            || (host.starts_with("127.") && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_own_address_becomes_the_one_that_the_agent_has() {
        let own = Addresses::new(
            Some("https://paperclip.example/x"),
            Some("http://localhost:3100"),
            Some("3200"),
        );
        for (url, reach) in [
            ("https://mcp.example/a", Reach::AsItIs),
            ("http://127.example:3100/a", Reach::AsItIs),
            ("no address", Reach::AsItIs),
            (
                "http://localhost:3100/mcp/1?x",
                Reach::At("https://paperclip.example/mcp/1?x".to_owned()),
            ),
            (
                "http://u@127.0.0.1:3200",
                Reach::At("https://paperclip.example".to_owned()),
            ),
            (
                "http://[::1]:3100/a",
                Reach::At("https://paperclip.example/a".to_owned()),
            ),
            ("http://LOCALHOST.:8080/a", Reach::Nowhere),
            ("http://[::1]/a", Reach::Nowhere),
        ] {
            assert_eq!(own.reach(url), reach, "{url}");
        }
        let alone = Addresses::new(Some("http://localhost:3100"), Some("http://localhost:3100"), None);
        assert_eq!(alone.reach("http://localhost:3100/a"), Reach::Nowhere);
    }
}
