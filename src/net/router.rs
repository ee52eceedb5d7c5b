//! Addresses to handlers.
//!
//! Knows methods and addresses. Does not know what a handler does.
//!
//! Invariants
//! T1. Parameters are known by position: two routes may name the same one differently.
//! T2. A literal segment wins over a parameter, whatever the order of registration.
//! T3. No address and method has two routes; that is an error at the start.

use std::sync::Arc;

use http::{HeaderValue, Method};

use super::{Handler, Refusal, Route};

/// Two routes that cannot both be served, or an address that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("{first} and {second} are the same address")]
    Conflict { first: String, second: String },
    #[error("{route}: {reason}")]
    Address { route: String, reason: String },
}

pub(super) const BAD_PARAMETER: &str = "a part of the address is no percent-encoded UTF-8";

/// The table of routes, ready to be asked. Cheap to clone.
#[derive(Clone)]
pub struct Router(Arc<Table>);

struct Table {
    routes: Vec<Route>,
    tree: matchit::Router<Entry>,
    fallback: Option<Handler>,
}

/// What is registered at one address.
#[derive(Debug, Default)]
struct Entry {
    methods: Vec<(Method, usize)>,
    allow: Option<HeaderValue>,
}

/// What a method and a path lead to.
pub(super) enum Found<'a> {
    Route(&'a Route, Vec<String>),
    /// A parameter is no percent-encoded UTF-8.
    BadParameter,
    /// For `Allow`.
    WrongMethod(HeaderValue),
    Unknown(Option<&'a Handler>),
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.0.routes).finish()
    }
}

impl Router {
    /// # Errors
    /// [`RouteError`] names the routes that cannot be served.
    pub fn new(routes: Vec<Route>) -> Result<Self, RouteError> {
        Self::with_fallback(routes, None)
    }

    /// A router whose `fallback` is asked for `GET` on addresses nobody registered. Its answer "404
    /// without content" means that it does not know the address either.
    ///
    /// # Errors
    /// As for [`Router::new`].
    pub fn with_fallback(
        routes: Vec<Route>,
        fallback: Option<Handler>,
    ) -> Result<Self, RouteError> {
        // Addresses first: matchit takes each pattern once, with all its methods.
        let mut patterns: Vec<(String, Entry)> = Vec::new();
        let mut known: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            let pattern = pattern(route)?;
            let mut spellings = vec![pattern.clone()];
            if route.slash && !pattern.ends_with('/') && !pattern.contains("{*") {
                spellings.push(pattern + "/");
            }
            for spelling in spellings {
                let at = *known.entry(spelling.clone()).or_insert_with(|| {
                    patterns.push((spelling, Entry::default()));
                    patterns.len() - 1
                });
                let methods = &mut patterns[at].1.methods;
                if let Some((_, other)) = methods.iter().find(|(m, _)| *m == route.method) {
                    return Err(conflict(&routes[*other], route));
                }
                methods.push((route.method.clone(), index));
            }
        }
        let mut tree = matchit::Router::new();
        for (pattern, mut entry) in patterns {
            entry.allow = HeaderValue::from_str(&allowed(&entry.methods)).ok();
            let route = &routes[entry.methods[0].1];
            if let Err(error) = tree.insert(pattern, entry) {
                let matchit::InsertError::Conflict { with } = &error else {
                    let reason = error.to_string();
                    return Err(RouteError::Address { route: format!("{route:?}"), reason });
                };
                let other = routes.iter().find(|r| pattern_is(r, with));
                return Err(other.map_or_else(
                    || RouteError::Conflict { first: with.clone(), second: format!("{route:?}") },
                    |other| conflict(other, route),
                ));
            }
        }
        Ok(Self(Arc::new(Table { routes, tree, fallback })))
    }

    /// Every route, in the order given.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.0.routes.iter()
    }

    /// What would answer a call, and the values of its parameters: for calls made inside the process. `path` is without a
    /// query.
    ///
    /// # Errors
    /// Why nothing would.
    pub fn look_up(&self, method: &Method, path: &str) -> Result<(&Route, Vec<String>), Refusal> {
        match self.find(method, path) {
            Found::Route(route, params) => Ok((route, params)),
            Found::BadParameter => Err(Refusal::Malformed(BAD_PARAMETER.to_owned())),
            Found::WrongMethod(_) => Err(Refusal::WrongMethod),
            Found::Unknown(_) => Err(Refusal::Unknown),
        }
    }

    /// `HEAD` is found where `GET` is.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Ok(matched) = self.0.tree.at(path) else {
            return Found::Unknown(self.0.fallback.as_ref());
        };
        let methods = &matched.value.methods;
        let of = |method: &Method| methods.iter().find(|(m, _)| m == method);
        let found = of(method)
            .or_else(|| if *method == Method::HEAD { of(&Method::GET) } else { None })
            .map(|(_, index)| &self.0.routes[*index]);
        let Some(route) = found else {
            let allow = matched.value.allow.clone();
            return Found::WrongMethod(allow.unwrap_or(HeaderValue::from_static("OPTIONS")));
        };
        let mut params = Vec::with_capacity(matched.params.len());
        for (_, raw) in matched.params.iter() {
            let Some(value) = decode(raw) else { return Found::BadParameter };
            params.push(value);
        }
        Found::Route(route, params)
    }
}

fn conflict(first: &Route, second: &Route) -> RouteError {
    RouteError::Conflict {
        first: format!("{first:?} ({})", first.name),
        second: format!("{second:?} ({})", second.name),
    }
}

fn allowed(methods: &[(Method, usize)]) -> String {
    let mut names: Vec<&str> = methods.iter().map(|(m, _)| m.as_str()).collect();
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    if !names.contains(&"OPTIONS") {
        names.push("OPTIONS");
    }
    names.sort_unstable();
    names.join(", ")
}

fn pattern_is(route: &Route, pattern_text: &str) -> bool {
    pattern(route).is_ok_and(|p| p == pattern_text || p + "/" == pattern_text)
}

/// `/records/{id}/files/{path*}` as `/records/{0}/files/{*1}`.
fn pattern(route: &Route) -> Result<String, RouteError> {
    let fault = |reason: &str| RouteError::Address {
        route: format!("{route:?}"),
        reason: reason.to_owned(),
    };
    if !route.address.starts_with('/') {
        return Err(fault("an address starts with /"));
    }
    let (mut out, mut rest, mut position) = (String::new(), route.address, 0);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { return Err(fault("{ without }")) };
        let spans = name.ends_with('*');
        if spans && !after.is_empty() {
            return Err(fault("a parameter that spans segments comes last"));
        }
        let star = if spans { "*" } else { "" };
        out.push_str(&format!("{before}{{{star}{position}}}"));
        position += 1;
        rest = after;
    }
    if rest.contains('}') {
        return Err(fault("} without {"));
    }
    out.push_str(rest);
    Ok(out)
}

/// Percent-decodes once; `None` for a broken sequence or bytes that are no UTF-8.
pub(super) fn decode(raw: &str) -> Option<String> {
    if !raw.contains('%') {
        return Some(raw.to_owned());
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::net::{Guard, Reply};

    fn route(face: &'static str, method: Method, address: &'static str) -> Route {
        Route::new(face, method, address, address, Guard::None, |_| async {
            Reply::empty(StatusCode::OK)
        })
    }

    fn stack(method: Method, address: &'static str) -> Route {
        route("stack", method, address)
    }

    fn tell(router: &Router, method: Method, path: &str) -> String {
        match router.find(&method, path) {
            Found::Route(route, params) => format!("{} {}", route.address, params.join("|")),
            Found::BadParameter => "bad".to_owned(),
            Found::WrongMethod(allow) => format!("allow {}", allow.to_str().unwrap()),
            Found::Unknown(_) => "unknown".to_owned(),
        }
    }

    #[test]
    fn literals_win_and_parameters_are_positions() {
        let router = Router::new(vec![
            stack(Method::GET, "/records/{id}"),
            stack(Method::PATCH, "/records/{record}"),
            stack(Method::GET, "/records/count"),
            stack(Method::GET, "/records/{id}/versions/{version}"),
            stack(Method::GET, "/files/{path*}"),
            route("tables", Method::POST, "/api/tables/{id}"),
        ])
        .unwrap();
        for (method, path, expected) in [
            (Method::GET, "/records/count", "/records/count "),
            (Method::GET, "/records/a%2Fb%20c", "/records/{id} a/b c"),
            (Method::GET, "/records/%2541", "/records/{id} %41"),
            (Method::GET, "/records/a%zz", "bad"),
            (Method::GET, "/records/%ff", "bad"),
            (Method::HEAD, "/records/x", "/records/{id} x"),
            (Method::PATCH, "/records/x", "/records/{record} x"),
            (Method::DELETE, "/records/x", "allow GET, HEAD, OPTIONS, PATCH"),
            (Method::GET, "/records/x/versions/3", "/records/{id}/versions/{version} x|3"),
            (Method::GET, "/files/a/b", "/files/{path*} a/b"),
            (Method::GET, "/records/x/", "unknown"),
            (Method::POST, "/api/tables/t/", "/api/tables/{id} t"),
            (Method::GET, "/other", "unknown"),
        ] {
            assert_eq!(tell(&router, method, path), expected, "{path}");
        }
        assert_eq!(router.routes().count(), 6);
    }

    #[test]
    fn conflicts_name_both_routes() {
        let two =
            |a, b| Router::new(vec![stack(Method::GET, a), stack(Method::GET, b)]).unwrap_err();
        let error = two("/records/{id}", "/records/{record}").to_string();
        assert!(error.contains("{id}") && error.contains("{record}"), "{error}");
        let error = two("/files/{path*}", "/files/{id}").to_string();
        assert!(error.contains("{path*}") && error.contains("{id}"), "{error}");
        assert!(matches!(two("/a", "b"), RouteError::Address { .. }));
        assert!(matches!(two("/a", "/{b*}/c"), RouteError::Address { .. }));
    }
}
