//! Builds every part and owns the order in which they start and stop.
//!
//! [`Cairn`] is also the library: [`Cairn::open`] gives the engine in process, [`Cairn::serve`] the server.
//!
//! Knows every module by its constructor. Does not know what any of them does inside.
//!
//! Invariants
//! A1. Start: file, credentials, live queries, routes, listeners. Stop: listeners, requests in flight, live queries and
//!     passwords, file; each once the one before is done.
//! A2. After [`Serving::stop`] and [`Cairn::close`] nothing of the process touches the file, and no log lies beside it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, StatusCode, header};

use crate::auth::access_token::{ACCESS_TOKEN_S, AccessTokens};
use crate::auth::accounts::{AccountSettings, Accounts, SignUpPolicy};
use crate::auth::letters::{Letter, LinkPage, Post};
use crate::auth::password_pool::PasswordPool;
use crate::auth::{Auth, ascii_origin};
use crate::config::{self, Config, Origin};
use crate::crypto::password::Cost;
use crate::engine::backups::BackupOptions;
use crate::engine::{
    AnonymousAccess, Durability, Engine, EngineOptions, Error, StoreOptions, VersionRule,
};
use crate::faces::admin::{self, AdminFace, History};
use crate::faces::live;
use crate::faces::live::http::LiveFace;
use crate::faces::live::query_form::QueryLimits;
use crate::faces::live::streams::{StreamTimes, Streams};
use crate::faces::stack::{self, StackFace};
use crate::faces::tables::{self, TablesFace};
use crate::faces::{Envelopes, Health, health_routes};
use crate::jobs::Housekeeper;
use crate::jobs::mail::{Mail, MailError, Mailer, Outlet};
use crate::live::Hub;
use crate::live::presence::Presence;
use crate::live::statistics::Statistics;
use crate::net::files::{Assets, Folder};
use crate::net::{
    Call, Guard, IpRange, Rate, RateClass, RateLimits, Reply, Route, RouteError, Router, Server,
    Settings, Traffic,
};
use crate::openapi;
use crate::schema::tables::App;

/// How long requests in flight may take once the server stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Why nothing was started. The file is closed again.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the file could not be used")]
    Engine(#[from] Error),
    #[error("the routes contradict each other: {0}")]
    Routes(#[from] RouteError),
    #[error("the listeners could not be used")]
    Io(#[from] std::io::Error),
    #[error("{0} cannot be served as the public folder: {1}")]
    Public(String, std::io::Error),
    #[error("mail cannot be sent: {0}")]
    Mail(#[from] MailError),
    #[error("{0} is no address that clients can be told")]
    BaseUrl(String),
    /// The application document, and every problem of it.
    #[error("the application in {0} cannot be served:\n{1}")]
    App(String, String),
}

/// A stack in this process.
#[derive(Clone, Debug)]
pub struct Cairn {
    engine: Engine,
    config: Arc<Config>,
}

impl Cairn {
    /// Opens a file with default settings, making it when it does not exist.
    ///
    /// # Errors
    /// The engine's, with a sentence that says what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let mut config = Config::default();
        config.file = path.as_ref().to_owned();
        Self::with(config)
    }

    /// Opens the file that the settings name.
    ///
    /// # Errors
    /// As [`Cairn::open`].
    pub fn with(config: Config) -> Result<Self, Error> {
        let engine = Engine::open(&config.file, &engine_options(&config))?;
        Ok(Self { engine, config: Arc::new(config) })
    }

    /// Records, types, files and rights, without a network in between.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Serves every face that is on until [`Serving::stop`]; the engine stays usable beside it.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn serve(&self, listener: TcpListener) -> Result<Serving, StartError> {
        self.serve_all(vec![listener])
    }

    /// As [`Cairn::serve`], on several addresses; the first is the one that clients are told.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn serve_all(&self, listeners: Vec<TcpListener>) -> Result<Serving, StartError> {
        let config = &self.config;
        let first = match listeners.first() {
            Some(listener) => listener.local_addr()?,
            None => return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput).into()),
        };
        let url = match &config.base_url {
            Some(url) => url.as_str().to_owned(),
            None => format!("http://{}", reachable(first)),
        };
        let mut settings = net_settings(config, &self.engine);
        settings.base_url = Some(url.clone());
        let public = match &config.public {
            None => None,
            Some(path) => {
                let folder = Folder::open(path)
                    .map_err(|fault| StartError::Public(path.display().to_string(), fault))?;
                Some(folder.handler())
            }
        };
        let shutdown = settings.shutdown.clone();
        self.load_app()?;
        let faces = self.faces(&url, &settings)?;
        let routes = self.routes(&faces, &settings.rate, (&url, public.is_none()))?;
        let Faces { auth, live, admin } = faces;
        let router = Router::with_fallback(routes, public)?;
        let server = Server::start(listeners, settings, router, Arc::new(Envelopes))?;
        if let Some(live) = &live {
            // Set once, here.
            let _ = live.face.dial.set(server.dial());
        }
        for runtime in server.runtimes() {
            runtime.spawn(Engine::deliver_answers());
        }
        if let Some(runtime) = server.runtimes().first() {
            runtime.spawn(async move {
                let mut ticks = tokio::time::interval(admin::SAMPLE_EVERY);
                // The first tick is at once.
                ticks.tick().await;
                loop {
                    tokio::select! {
                        _ = ticks.tick() => admin.sample(),
                        () = shutdown.begun() => return,
                    }
                }
            });
        }
        let every = config.backup_every.map(|every| every.0);
        let housekeeper = Housekeeper::start(self.engine.clone(), every)?;
        Ok(Serving { server, auth, url, live, housekeeper })
    }

    /// Reads the application document and registers its tables, where one is configured.
    fn load_app(&self) -> Result<(), StartError> {
        let Some(path) = self.config.app.as_ref().filter(|_| self.is_on("tables")) else {
            return Ok(());
        };
        let refused = |reason: String| StartError::App(path.display().to_string(), reason);
        let text = std::fs::read_to_string(path).map_err(|fault| refused(fault.to_string()))?;
        let app = App::parse(&text).map_err(|faults| refused(faults.to_string()))?;
        // SECURITY S2: guests write only where nobody else can reach the server.
        let guests_write = self.config.is_loopback_only();
        self.engine.load_app(Arc::new(app), guests_write).map_err(|error| match error {
            Error::Drift { violations, .. } => {
                let told =
                    violations.iter().map(|fault| format!("{}: {}", fault.path, fault.message));
                refused(told.collect::<Vec<_>>().join("\n"))
            }
            error => refused(error.to_string()),
        })
    }

    /// Credentials, and the faces that have threads of their own.
    fn faces(&self, url: &str, net: &Settings) -> Result<Faces, StartError> {
        let config = &self.config;
        let origin = ascii_origin(url).ok_or_else(|| StartError::BaseUrl(url.to_owned()))?;
        let token = config.owner_token.as_ref().map(config::Secret::reveal);
        // Without a configured address the name: what the port is today must not end everybody's tokens tomorrow.
        let issuer = config.base_url.as_ref().map_or("cairn", |url| url.as_str());
        let tokens = AccessTokens::new(self.engine.clone(), issuer, ACCESS_TOKEN_S)?;
        let tokens = Arc::new(tokens);
        let auth = Auth::new(self.engine.clone(), token, origin);
        let auth = Arc::new(auth.with_verifier(Box::new(Arc::clone(&tokens))));
        let live = match self.is_on("live") {
            true => Some(Live::start(self, &auth, tokens, net)?),
            false => None,
        };
        let face = AdminFace {
            engine: self.engine.clone(),
            auth: Arc::clone(&auth),
            accounts: live.as_ref().map(|live| Arc::clone(&live.face.accounts)),
            hub: live.as_ref().map(|live| live.face.hub.clone()),
            settings: shown_settings(config),
            advice: advice(config),
            traffic: net.traffic.clone(),
            history: History::starting_at(self.engine.last_tx()),
        };
        Ok(Faces { auth, live, admin: Arc::new(face) })
    }

    fn is_on(&self, face: &str) -> bool {
        self.config.faces.0.iter().any(|on| on == face)
    }

    /// The document of every face that is on, as `cairn openapi` prints it.
    ///
    /// # Errors
    /// [`StartError::BaseUrl`].
    pub fn openapi(&self) -> Result<serde_json::Value, StartError> {
        let url = match &self.config.base_url {
            Some(url) => url.as_str().to_owned(),
            None => "http://localhost:7700".to_owned(),
        };
        let settings = Settings::default();
        self.load_app()?;
        let faces = self.faces(&url, &settings)?;
        let routes = self.routes(&faces, &settings.rate, (&url, true))?;
        Ok(openapi::document(&openapi::described(&routes), openapi::Part::All, &url))
    }

    /// Every address. The landing page gives way to the folder of `--public`.
    fn routes(
        &self,
        faces: &Faces,
        rate: &Rate,
        (url, landing): (&str, bool),
    ) -> Result<Vec<crate::net::Route>, RouteError> {
        let Faces { auth, live, admin } = faces;
        let mut routes = self.face_routes(auth, live.as_ref(), rate)?;
        routes.extend(admin::routes(admin));
        let (documents, assets) = (Arc::new(openapi::Documents::default()), Assets::embedded());
        routes.extend(openapi::routes(&documents, &assets));
        routes.extend(admin_pages(&assets));
        if landing {
            routes.extend(openapi::landing(&assets));
        }
        documents.fill(&routes, url);
        Ok(routes)
    }

    fn face_routes(
        &self,
        auth: &Arc<Auth>,
        live: Option<&Live>,
        rate: &Rate,
    ) -> Result<Vec<crate::net::Route>, RouteError> {
        let engine = &self.engine;
        let health = Health {
            engine: engine.clone(),
            auth: Arc::clone(auth),
            app_name: "cairn".to_owned(),
            region: "local".to_owned(),
            started_ms: engine.clock().now_ms(),
        };
        let mut routes = health_routes(&Arc::new(health));
        if self.is_on("stack") {
            let face = StackFace { engine: engine.clone(), auth: Arc::clone(auth) };
            routes.extend(stack::routes(&Arc::new(face)));
        }
        if let Some(live) = live {
            routes.extend(live::routes(&live.face)?);
            routes.extend(live::streams::routes(&live.streams));
        }
        if let Some(app) = engine.app().filter(|_| self.is_on("tables")) {
            let (engine, auth, rate) = (engine.clone(), Arc::clone(auth), rate.clone());
            routes.extend(tables::routes(&Arc::new(TablesFace { engine, auth, rate, app })));
        }
        Ok(routes)
    }

    /// Without rules everybody who signed in may read and write every open collection (live 17.5).
    fn warn_of_open_rules(&self) {
        if self.engine.has_rules() {
            return;
        }
        const SENTENCE: &str = "no rules document: whoever signs in may read and write every collection made through \
            /api/data; PUT /api/admin/rules sets one";
        // On loopback alone it is a note: whoever reaches it owns it, and a clean start has no warnings.
        if self.config.is_loopback_only() {
            tracing::info!("{SENTENCE}");
        } else {
            tracing::warn!("{SENTENCE}");
        }
        if self.config.anonymous != config::Anonymous::None {
            tracing::warn!(
                "the setting anonymous lets everybody in without signing in; it is for development"
            );
        }
    }

    /// Finishes what is queued and closes the file. Every clone of this and of its engine is of no use afterwards.
    pub fn close(&self) {
        self.engine.close();
    }
}

/// What answers calls.
struct Faces {
    auth: Arc<Auth>,
    live: Option<Live>,
    admin: Arc<AdminFace>,
}

/// Every setting as the admin pages show it.
fn shown_settings(config: &Config) -> Vec<admin::Setting> {
    let shown = |setting: &config::Setting| admin::Setting {
        key: setting.key,
        value: config.shown(setting),
        origin: config.origin(setting.key).to_string(),
        about: setting.doc(),
        variable: setting.variable(),
        flag: match setting.form {
            config::Form::Argument => Some("FILE".to_owned()),
            config::Form::Flag | config::Form::Switch => Some(format!("--{}", setting.flag())),
            config::Form::Quiet | config::Form::Secret => None,
        },
    };
    config::SETTINGS.iter().map(shown).collect()
}

/// What the settings deserve to have said about them.
fn advice(config: &Config) -> Vec<String> {
    let mut advice = Vec::new();
    if config.anonymous != config::Anonymous::None {
        advice.push(
            "The setting anonymous lets everybody in without signing in; it is for development."
                .to_owned(),
        );
    }
    if config.dev {
        advice.push("The setting dev lets every page of this machine call the server.".to_owned());
    }
    let beyond = config.listen.0.iter().any(|address| !address.ip().is_loopback());
    let encrypted = config.base_url.as_ref().is_some_and(|url| url.as_str().starts_with("https:"));
    if beyond && !encrypted {
        advice.push(
            "The server can be reached from other machines over plain HTTP, which shows tokens to the network."
                .to_owned(),
        );
    }
    advice
}

/// The way out for letters, where mail is configured. A folder wins: whoever develops wants to send nothing.
fn mailer(config: &Config) -> Result<Option<Mailer>, MailError> {
    /// In a folder it does not matter who sends.
    const NOBODY: &str = "Cairn <cairn@localhost>";
    let from = config.mail_from.as_deref();
    match (&config.mail_dir, &config.smtp_url) {
        (Some(folder), _) => {
            Mailer::start(Outlet::Folder(folder.clone()), from.unwrap_or(NOBODY)).map(Some)
        }
        (None, Some(url)) => {
            let from = from.ok_or(MailError::From)?;
            Mailer::start(Outlet::Smtp(url.reveal().to_owned()), from).map(Some)
        }
        (None, None) => Ok(None),
    }
}

struct Letters(Mailer);

impl Post for Letters {
    fn send(&self, letter: Letter) -> bool {
        let Letter { to, subject, text } = letter;
        self.0.post(Mail { to, subject, text })
    }
}

/// The live face, with the threads it needs.
struct Live {
    face: Arc<LiveFace>,
    streams: Arc<Streams>,
    passwords: Arc<PasswordPool>,
}

impl Live {
    fn start(
        cairn: &Cairn,
        auth: &Arc<Auth>,
        tokens: Arc<AccessTokens>,
        net: &Settings,
    ) -> Result<Self, StartError> {
        let (engine, config) = (&cairn.engine, &cairn.config);
        let passwords = Arc::new(PasswordPool::start(Cost::STANDARD, engine.rng().clone())?);
        let settings = AccountSettings {
            sign_up: match config.signup_rule() {
                config::Signup::Open => SignUpPolicy::Open,
                config::Signup::Invite => SignUpPolicy::Invite,
                config::Signup::Closed => SignUpPolicy::Closed,
            },
            ..AccountSettings::default()
        };
        let mut accounts = Accounts::new(engine.clone(), Arc::clone(&passwords), tokens, settings);
        if let Some(mailer) = mailer(config)? {
            let page = config.mail_page.as_ref().map(|page| page.as_str().to_owned());
            accounts = accounts.with_mail(Arc::new(Letters(mailer)), LinkPage(page));
        }
        let statistics = Arc::new(Statistics::new(engine.clock().clone()));
        let face = LiveFace {
            engine: engine.clone(),
            accounts: Arc::new(accounts),
            auth: Arc::clone(auth),
            rate: net.rate.clone(),
            app_id: config.app_id.as_ref().map(|id| id.0.clone()),
            public_url: config.base_url.as_ref().map(|url| url.as_str().to_owned()),
            hub: Hub::counting(engine.clone(), Arc::clone(&statistics))?,
            statistics,
            limits: QueryLimits::default(),
            started_ms: engine.clock().now_ms(),
            dial: OnceLock::new(),
        };
        cairn.warn_of_open_rules();
        let face = Arc::new(face);
        let presence = Presence::start(engine.clock().clone())?;
        let times = StreamTimes::default();
        let streams = Streams::new(Arc::clone(&face), presence, net.shutdown.clone(), times);
        Ok(Self { face, streams, passwords })
    }

    fn stop(&self) {
        self.face.hub.stop();
        self.passwords.close();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The admin pages: `/_/` and the files they are made of. Other addresses under `/_/` win, being literal.
fn admin_pages(assets: &Assets) -> Vec<Route> {
    let serve = assets.below("ui");
    let entry = |address, name, summary| {
        let serve = Arc::clone(&serve);
        Route::new("cairn", Method::GET, address, name, Guard::None, move |call| serve(call))
            .rate(RateClass::Unlimited)
            .summary(summary)
    };
    // The pages name their files relative to the folder, so that a prefix before it does not matter.
    let slash = |_: Call| async {
        Reply::empty(StatusCode::PERMANENT_REDIRECT).with(header::LOCATION, "_/")
    };
    vec![
        entry("/_/", "admin.page", "The admin pages").raw_reply(200, "text/html"),
        entry("/_/{path*}", "admin.file", "A file of the admin pages")
            .raw_reply(200, "application/octet-stream")
            .fails(&[404]),
        Route::new("cairn", Method::GET, "/_", "admin.slash", Guard::None, slash)
            .rate(RateClass::Unlimited)
            .summary("Leads to the admin pages")
            .empty_reply(308),
    ]
}

/// A server that is answering.
pub struct Serving {
    // Dropped in this order: nobody asks any more when the threads behind the face end.
    server: Server,
    auth: Arc<Auth>,
    url: String,
    live: Option<Live>,
    housekeeper: Housekeeper,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Serving({}, {:?})", self.url, self.server)
    }
}

impl Serving {
    /// The first address listened on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where clients reach it; no slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A fresh one-time link for the owner, when no owner token is configured and no link was used yet. It closes the link
    /// before; whoever calls shows it and keeps it nowhere.
    ///
    /// # Errors
    /// The engine's.
    pub async fn owner_link(&self, config: &Config) -> Result<Option<String>, Error> {
        if config.owner_token.is_some() || !self.auth.wants_owner_link()? {
            return Ok(None);
        }
        let secret = self.auth.open_owner_link().await?;
        // Behind the `#` it stays in the browser: in no request line, log or Referer.
        Ok(Some(format!("{}/_/#owner-link={secret}", self.url)))
    }

    /// Takes no more connections and lets requests finish, at most [`DRAIN_MAX`]. Returns whether all did. Blocks.
    pub fn stop(self) -> bool {
        self.housekeeper.stop();
        let in_time = self.server.stop(DRAIN_MAX);
        drop(self.live);
        in_time
    }
}

/// An address that a client on this machine can use: a wildcard is its loopback address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What the settings mean for the engine.
pub fn engine_options(config: &Config) -> EngineOptions {
    EngineOptions {
        store: StoreOptions {
            durability: match config.durability {
                config::Durability::Full => Durability::Full,
                config::Durability::Normal => Durability::Normal,
            },
            query_deadline: Duration::from_millis(config.query_deadline_ms.0),
            ..StoreOptions::default()
        },
        owner_did: config.owner_did.as_ref().map(|did| did.0.clone()),
        owner_name: config.owner_name.clone(),
        owner_handle: config.owner_handle.clone(),
        timezone: config.timezone.as_ref().map(|zone| zone.0.clone()),
        content_bytes_max: usize::try_from(config.content_bytes_max.0).unwrap_or(usize::MAX),
        attachment_bytes_max: config.attachment_bytes_max.0,
        storage_bytes_max: config.storage_bytes_max.0,
        commons: config.commons,
        anonymous: match config.anonymous {
            config::Anonymous::None => AnonymousAccess::None,
            config::Anonymous::Read => AnonymousAccess::Read,
            config::Anonymous::Full => AnonymousAccess::Full,
        },
        unreadable_as_missing: config.unreadable == config::Unreadable::NotFound,
        backups: BackupOptions {
            folder: config.backup_dir.clone(),
            keep: usize::try_from(config.backup_keep.0).unwrap_or(usize::MAX),
        },
        version_rules: config
            .version_retention
            .iter()
            .map(|rule| VersionRule {
                collection: rule.collection.clone(),
                age_ms: rule.age.map(|age| i64::try_from(age.0.as_millis()).unwrap_or(i64::MAX)),
                newest: rule.newest.map(i64::from),
            })
            .collect(),
        ..EngineOptions::default()
    }
}

/// What the settings mean for the network.
fn net_settings(config: &Config, engine: &Engine) -> Settings {
    let limits = if config.no_rate_limit {
        RateLimits::none()
    } else {
        let sign_in = u32::try_from(config.sign_in_attempts_per_minute.0).unwrap_or(u32::MAX);
        RateLimits { sign_in, ..RateLimits::default() }
    };
    Settings {
        hosts: config.allowed_hosts.iter().map(|host| host.0.clone()).collect(),
        origins: config.cors_origins.iter().map(|origin| origin.0.clone()).collect(),
        dev: config.dev,
        trusted_proxies: config
            .trust_proxy
            .networks()
            .iter()
            .filter_map(|network| network.to_string().parse::<IpRange>().ok())
            .collect(),
        rate: Rate::new(engine.clock().clone(), limits),
        rng: engine.rng().clone(),
        traffic: Traffic::new(engine.clock().clone()),
        ..Settings::default()
    }
}

/// Settings that were given and that this program has no use for.
pub fn idle_settings(config: &Config) -> Vec<&'static str> {
    let live = config.faces.0.iter().any(|face| face == "live");
    let of_live =
        ["signup", "smtp_url", "mail_dir", "mail_from", "mail_page", "anonymous", "app_id"]
            .into_iter()
            .filter(|_| !live);
    let tables = config.faces.0.iter().any(|face| face == "tables");
    ["app"]
        .into_iter()
        .filter(|_| !tables)
        .chain(of_live)
        .filter(|key| *config.origin(key) != Origin::Default)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every route of every face fits beside the others.
    #[test]
    fn the_routes_fit_together() {
        let folder = tempfile::tempdir().unwrap();
        let cairn = Cairn::open(folder.path().join("a.cairn")).unwrap();
        let settings = Settings::default();
        let faces = cairn.faces("http://a", &settings).unwrap();
        let routes = cairn.routes(&faces, &settings.rate, ("http://localhost", true)).unwrap();
        let router = Router::new(routes).unwrap();
        assert!(router.routes().count() > 80);
        for route in router.routes() {
            assert!(!route.doc.summary.is_empty(), "{route:?} is not described");
            let says = !route.doc.replies.is_empty() || !route.doc.fails.is_empty();
            assert!(says, "{route:?} says no answer");
        }
        let document = cairn.openapi().unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.contains_key("/records/{id}") && paths.contains_key("/api/query"));
        faces.live.unwrap().stop();
        cairn.close();
    }

    #[test]
    fn wildcards_are_reached_by_loopback() {
        for (bound, told) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.168.1.2:80", "192.168.1.2:80"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), told);
        }
    }
}
