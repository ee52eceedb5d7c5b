//! Settings: defaults < configuration file < protocol variables < `CAIRN_*` variables < flags, merged into one checked
//! value that remembers where each part came from.
//!
//! `settings!` below is the only list. Its doc comments are the text of `--help`, of the sample file
//! (`cairn serve --print-config`) and of `docs/configuration.md`.
//!
//! Knows names, texts and bounds of settings. Does not know what any module does with them.
//!
//! Invariants
//! C1. Every setting has one key; its variable is `CAIRN_<KEY>`, its flag (where it has one) `--<key>`.
//! C2. A key nobody knows, a value that does not parse and a value out of bounds are errors that name the key.
//! C3. A secret is never printed: not by `Debug`, not by the sample, not in an error.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;

/// The port of the default addresses.
pub const PORT: u16 = 7700;
/// The faces this program has.
pub const FACES: &[&str] = &["stack", "live", "tables"];
/// How long a list in a setting may be.
const LIST_MAX: usize = 1_000;

/// Where a value came from, weakest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Default,
    /// A key of the configuration file.
    File(PathBuf),
    /// A variable that a protocol names.
    Protocol(&'static str),
    /// `CAIRN_…`.
    Environment,
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Protocol(name) => write!(f, "variable {name}"),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "{}: there is no setting {key:?}; `cairn serve --print-config` lists them",
        .file.display()
    )]
    UnknownKey { file: PathBuf, key: String },
    #[error("{}: {reason}", .file.display())]
    File { file: PathBuf, reason: String },
    /// `name` is the key, variable or flag as the person wrote it.
    #[error("{name}: {reason}")]
    Value { name: String, reason: String },
}

/// How a setting may be given, apart from file and environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The command's first argument.
    Argument,
    /// `--key VALUE`.
    Flag,
    /// `--key`.
    Switch,
    /// Only by file and environment.
    Quiet,
    /// As `Quiet`, and never printed: an argument would be seen by every process of the machine.
    Secret,
}

/// One line of the list.
pub struct Setting {
    pub key: &'static str,
    pub form: Form,
    /// Protocol variables that mean the same, strongest first.
    pub also: &'static [&'static str],
    doc: &'static [&'static str],
    parse: fn(&mut Config, &str) -> Result<(), String>,
    read: fn(&mut Config, &toml::Value) -> Result<(), String>,
    show: fn(&Config) -> Option<String>,
}

impl Setting {
    /// `CAIRN_OWNER_DID`.
    pub fn variable(&self) -> String {
        format!("CAIRN_{}", self.key.to_uppercase())
    }

    /// `owner-did`, without the dashes in front.
    pub fn flag(&self) -> &'static str {
        static FLAGS: LazyLock<Vec<String>> =
            LazyLock::new(|| SETTINGS.iter().map(|s| s.key.replace('_', "-")).collect());
        let place = SETTINGS.iter().position(|setting| setting.key == self.key);
        place.map_or(self.key, |place| FLAGS[place].as_str())
    }

    /// The doc comment, lines joined.
    pub fn doc(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.key)
    }
}

macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $form:ident, $also:expr; )+) => {
        /// Every setting, checked.
        #[derive(Clone, Debug)]
        pub struct Config {
            $( $(#[doc = $doc])+ pub $name: $type, )+
            origins: BTreeMap<&'static str, Origin>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $name: $default, )+ origins: BTreeMap::new() }
            }
        }

        /// Every setting, in the order of the documents.
        pub static SETTINGS: &[Setting] = &[ $( Setting {
            key: stringify!($name),
            form: Form::$form,
            also: $also,
            doc: &[ $( $doc ),+ ],
            parse: |config, text| {
                config.$name = SettingValue::parse(text)?;
                Ok(())
            },
            read: |config, value| {
                config.$name = SettingValue::read(value)?;
                Ok(())
            },
            show: |config| config.$name.show(),
        }, )+ ];
    };
}

settings! {
    /// The stack file. It is made when it does not exist.
    file: PathBuf = PathBuf::from("stack.cairn"), Argument, &[];
    /// Addresses to listen on, separated by commas; a port alone means that port on 127.0.0.1 and ::1, port 0 picks a
    /// free one. An address beyond loopback is reachable by others: a warning names it.
    listen: Listen = Listen::port(PORT), Flag, &["PORT"];
    /// The address under which clients reach this server, when it is not the one it listens on: signed into sign-ins, used
    /// in links, accepted as Host.
    base_url: Option<BaseUrl> = None, Flag, &["BASE_URL"];
    /// Which protocols are served, separated by commas.
    faces: Faces = Faces(FACES.iter().map(|f| (*f).to_owned()).collect()), Flag, &[];
    /// Application document of the tables protocol, YAML or JSON; without one that protocol has no tables.
    app: Option<PathBuf> = None, Flag, &["APP_SCHEMA"];
    /// Folder of static files of an application, served after every other address.
    public: Option<PathBuf> = None, Flag, &[];
    /// For development: lets pages from http://localhost:* and http://127.0.0.1:* call.
    dev: bool = false, Switch, &[];
    /// Lifts every limit on the rate of requests. Lockout, size and query limits stay.
    no_rate_limit: bool = false, Switch, &[];
    /// When a write counts as done: `full` (flushed to the disk) or `normal` (handed to the operating system: survives a
    /// crash of the program, not of the machine).
    durability: Durability = Durability::Full, Flag, &[];
    /// File to write, as JSON, once requests are answered: `{"address","url","pid"}`.
    ready_file: Option<PathBuf> = None, Flag, &[];
    /// End when standard input closes: for desktop programs that start Cairn beside them.
    exit_with_stdin: bool = false, Switch, &[];
    /// How much is logged on standard error: `error`, `warn`, `info` or `debug`.
    log: LogLevel = LogLevel::Warn, Flag, &[];

    /// The owner's permanent token. Without it each start prints a one-time link until one was used.
    owner_token: Option<Secret> = None, Secret, &[];
    /// The owner's DID, fixed when the file is made. Without it a key is generated.
    owner_did: Option<Did> = None, Quiet, &[];
    /// The owner's display name, for the card that is made at the first start.
    owner_name: Option<String> = None, Quiet, &[];
    /// The owner's handle, beside the name.
    owner_handle: Option<String> = None, Quiet, &[];
    /// The owner's time zone, `Europe/Zurich`.
    timezone: Option<TimeZone> = None, Quiet, &[];
    /// Who may make an account: `open`, `invite` or `closed`. Without it: `open` while every address and the base URL are
    /// loopback, `invite` otherwise.
    signup: Option<Signup> = None, Quiet, &[];
    /// The mail server that links are sent through: `smtps://user:password@mail.example.com`. Without it and `mail_dir` what
    /// needs mail answers that it is not configured.
    smtp_url: Option<Secret> = None, Secret, &[];
    /// Writes letters into this folder in place of sending them: for development.
    mail_dir: Option<PathBuf> = None, Quiet, &[];
    /// The sender of letters, `Cairn <cairn@example.com>`.
    mail_from: Option<String> = None, Quiet, &[];
    /// Page of an application that mailed links lead to; `#purpose=…&token=…` is added. Without it letters show a code to
    /// enter.
    mail_page: Option<BaseUrl> = None, Quiet, &[];
    /// What an anonymous caller may do on the live face: `none`, `read` or `full`. Anything but `none` is for development.
    anonymous: Anonymous = Anonymous::None, Quiet, &[];
    /// The one application id that `/v1/apps/{appId}` serves. Without it any id is served.
    app_id: Option<AppId> = None, Quiet, &[];
    /// The stack face's answer about a record the caller may not read: `forbidden` (403) or `not_found` (404).
    unreadable: Unreadable = Unreadable::Forbidden, Quiet, &[];
    /// Register the common types (`org.haverstack/note@1`, …) at start.
    commons: bool = false, Quiet, &[];

    /// Origins whose pages may call (CORS), separated by commas. `*` allows all, never with cookies.
    cors_origins: Vec<CorsOrigin> = Vec::new(), Quiet, &["TRUSTED_ORIGINS"];
    /// Host names, beside addresses, localhost and that of the base URL, under which requests are accepted.
    allowed_hosts: Vec<HostName> = Vec::new(), Quiet, &[];
    /// Proxies whose `X-Forwarded-*` headers count: `true` for every peer, or addresses and networks separated by commas.
    trust_proxy: TrustProxy = TrustProxy::Only(Vec::new()), Quiet, &["TRUST_PROXY"];

    /// Largest JSON content and body, in bytes.
    content_bytes_max: Bounded<1_024, 67_108_864> = Bounded(1 << 20), Quiet, &[];
    /// Largest uploaded file, in bytes.
    attachment_bytes_max: Bounded<1_024, 1_099_511_627_776> = Bounded(50 << 20), Quiet, &[];
    /// Largest file stored under a path through the live face, in bytes.
    storage_bytes_max: Bounded<1_024, 1_099_511_627_776> = Bounded(100 << 20), Quiet, &[];
    /// How long one query may run, in milliseconds.
    query_deadline_ms: Bounded<10, 600_000> = Bounded(10_000), Quiet, &[];
    /// Folder of backups. Without it `FILE-backups` beside the file.
    backup_dir: Option<PathBuf> = None, Quiet, &[];
    /// How often a backup is made by itself: `30m`, `24h`, `7d`. Without it none is.
    backup_every: Option<Interval> = None, Quiet, &[];
    /// How many backups stay in the folder; each new one removes the oldest past that.
    backup_keep: Bounded<1, 1_000> = Bounded(7), Quiet, &[];

    /// Which earlier versions of records stay, by collection: `NAME:AGE`, `NAME:COUNT` or `NAME:AGE:COUNT` (what either keeps
    /// stays), `*` for every other collection, system types aside. `com.example/log:30d, *:365d:100`. Without a rule every
    /// version stays. Applied once a day and by `cairn compact`.
    version_retention: Vec<Retention> = Vec::new(), Quiet, &[];

    /// How many attempts to sign in one address has in a minute.
    sign_in_attempts_per_minute: Bounded<1, 100_000> = Bounded(120), Quiet, &[];
}

/// What a configuration is made of.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Path and text of the configuration file.
    pub file: Option<(PathBuf, String)>,
    /// Name and value of environment variables; others than ours are ignored.
    pub variables: BTreeMap<String, String>,
    /// Key and text of each flag given.
    pub flags: Vec<(&'static str, String)>,
}

impl Config {
    /// Merges the sources, strongest last, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`], naming key, variable or flag.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some((path, text)) = &sources.file {
            config.take_file(path, text)?;
        }
        for setting in SETTINGS {
            let strongest = std::iter::once((setting.variable(), Origin::Environment))
                .chain(setting.also.iter().map(|name| ((*name).to_owned(), Origin::Protocol(name))))
                .find_map(|(name, origin)| {
                    let text = sources.variables.get(&name).filter(|text| !text.is_empty())?;
                    Some((name, text, origin))
                });
            if let Some((name, text, origin)) = strongest {
                config.take(setting, text, origin, &name)?;
            }
        }
        for (key, text) in &sources.flags {
            if let Some(setting) = SETTINGS.iter().find(|s| s.key == *key) {
                let name = match setting.form {
                    Form::Argument => "FILE".to_owned(),
                    _ => format!("--{}", setting.flag()),
                };
                config.take(setting, text, Origin::Flag, &name)?;
            }
        }
        Ok(config)
    }

    fn take(
        &mut self,
        setting: &Setting,
        text: &str,
        origin: Origin,
        name: &str,
    ) -> Result<(), ConfigError> {
        (setting.parse)(self, text)
            .map_err(|reason| ConfigError::Value { name: name.to_owned(), reason })?;
        self.origins.insert(setting.key, origin);
        Ok(())
    }

    fn take_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let file = || path.to_owned();
        // The parser's own text quotes the offending line, which may hold a secret.
        let table: toml::Table = toml::from_str(text).map_err(|fault: toml::de::Error| {
            let at = fault.span().map_or(0, |span| span.start).min(text.len());
            let line = text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
            ConfigError::File { file: file(), reason: format!("line {line}: {}", fault.message()) }
        })?;
        for (key, value) in &table {
            let setting = SETTINGS
                .iter()
                .find(|s| s.key == key)
                .ok_or_else(|| ConfigError::UnknownKey { file: file(), key: key.clone() })?;
            (setting.read)(self, value).map_err(|reason| ConfigError::Value {
                name: format!("{}: {key}", path.display()),
                reason,
            })?;
            self.origins.insert(setting.key, Origin::File(file()));
        }
        Ok(())
    }

    /// Where the value of `key` came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// The value of a setting as the configuration file would hold it; a secret's is `"***"`.
    pub fn shown(&self, setting: &Setting) -> Option<String> {
        let value = (setting.show)(self)?;
        Some(if setting.form == Form::Secret { "\"***\"".to_owned() } else { value })
    }

    /// Every setting as a configuration file: what was set as it is, defaults as comments, secrets as `***`.
    pub fn to_toml(&self) -> String {
        let mut out = String::from(
            "# Cairn's settings. Stronger than this file, in this order: protocol variables,\n\
             # CAIRN_* variables, flags.\n",
        );
        for setting in SETTINGS {
            out.push('\n');
            for line in setting.doc {
                out.push('#');
                out.push_str(line);
                out.push('\n');
            }
            let origin = self.origin(setting.key);
            let given = *origin != Origin::Default;
            let hidden = setting.form == Form::Secret;
            let value = match (setting.show)(self) {
                Some(_) if hidden => "\"***\"".to_owned(),
                Some(value) => value,
                None => "\"\"".to_owned(),
            };
            if given {
                out.push_str(&format!("# set by: {origin}\n"));
            }
            let comment = if given && !hidden { "" } else { "# " };
            out.push_str(&format!("{comment}{} = {value}\n", setting.key));
        }
        out
    }

    /// The address clients are told when none is configured: the first one listened on.
    pub fn is_loopback_only(&self) -> bool {
        self.listen.0.iter().all(|address| address.ip().is_loopback())
            && self.base_url.as_ref().is_none_or(BaseUrl::is_loopback)
    }

    /// Who may sign up, after the default of [`Config::signup`].
    pub fn signup_rule(&self) -> Signup {
        self.signup.unwrap_or(if self.is_loopback_only() { Signup::Open } else { Signup::Invite })
    }
}

/// The variables of this process. The one place that looks at them.
pub fn variables() -> BTreeMap<String, String> {
    let wanted = |name: &str| {
        name.starts_with("CAIRN_") || SETTINGS.iter().any(|setting| setting.also.contains(&name))
    };
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| wanted(name))
        .collect()
}

/// Adds an argument for every setting that has one.
pub fn add_flags(mut command: clap::Command) -> clap::Command {
    for setting in SETTINGS {
        let argument = clap::Arg::new(setting.key).help(format!(
            "{} [{}]",
            setting.doc().trim_end_matches('.'),
            setting.variable()
        ));
        command = match setting.form {
            Form::Argument => command.arg(argument.value_name("FILE")),
            Form::Flag => command.arg(argument.long(setting.flag()).value_name("VALUE")),
            Form::Switch => {
                command.arg(argument.long(setting.flag()).action(clap::ArgAction::SetTrue))
            }
            Form::Quiet | Form::Secret => command,
        };
    }
    command
}

/// The settings among the arguments given.
pub fn flags_given(matches: &clap::ArgMatches) -> Vec<(&'static str, String)> {
    SETTINGS
        .iter()
        .filter_map(|setting| {
            let text = match setting.form {
                Form::Argument | Form::Flag => matches.get_one::<String>(setting.key)?.clone(),
                Form::Switch if matches.get_flag(setting.key) => "true".to_owned(),
                Form::Switch | Form::Quiet | Form::Secret => return None,
            };
            Some((setting.key, text))
        })
        .collect()
}

/// Every setting as a Markdown page.
pub fn reference() -> String {
    let defaults = Config::default();
    let mut out = String::from(
        "# Configuration\n\n\
         Printed by `cairn serve --print-config=markdown`; a test compares. Order, strongest first: flag, `CAIRN_*`\n\
         variable, the protocol's variable, configuration file (`--config FILE`, `CAIRN_CONFIG`), default. Lists are\n\
         separated by commas in flags and variables, arrays in the file. An unknown key in the file is an error.\n",
    );
    for setting in SETTINGS {
        out.push_str(&format!("\n## `{}`\n\n", setting.key));
        for line in setting.doc {
            out.push_str(line.trim());
            out.push('\n');
        }
        let mut ways = vec![format!("`{}`", setting.variable())];
        match setting.form {
            Form::Argument => ways.insert(0, "argument `FILE`".to_owned()),
            Form::Flag | Form::Switch => ways.insert(0, format!("`--{}`", setting.flag())),
            Form::Quiet | Form::Secret => {}
        }
        ways.extend(setting.also.iter().map(|name| format!("`{name}`")));
        let default = (setting.show)(&defaults).map_or("none".to_owned(), |v| format!("`{v}`"));
        out.push_str(&format!("\n{} · default: {default}\n", ways.join(", ")));
    }
    out
}

/// The text of one kind of setting.
trait SettingValue: Sized {
    fn parse(text: &str) -> Result<Self, String>;
    /// As TOML; `None` when unset.
    fn show(&self) -> Option<String>;

    fn read(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Self::parse(text),
            toml::Value::Integer(number) => Self::parse(&number.to_string()),
            toml::Value::Boolean(flag) => Self::parse(&flag.to_string()),
            toml::Value::Array(_) => Self::parse(&joined(value)?),
            _ => Err("a text, a number, true or false is expected".into()),
        }
    }
}

/// An array of plain values as the comma-separated text that flags and variables have.
fn joined(value: &toml::Value) -> Result<String, String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Option<Vec<String>> = items
        .iter()
        .map(|item| match item {
            toml::Value::String(text) if !text.contains(',') => Some(text.clone()),
            toml::Value::Integer(number) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    Ok(texts.ok_or("a list of texts is expected")?.join(","))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn items(text: &str) -> Result<Vec<&str>, String> {
    let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.len() > LIST_MAX {
        return Err(format!("more than {LIST_MAX} entries"));
    }
    Ok(items)
}

impl SettingValue for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path is expected".into());
        }
        Ok(Self::from(text))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl SettingValue for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().any(char::is_control) || text.len() > 1_024 {
            return Err("a text of 1 to 1024 bytes without control characters is expected".into());
        }
        Ok(text.to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl SettingValue for bool {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
}

impl<T: SettingValue> SettingValue for Vec<T> {
    fn parse(text: &str) -> Result<Self, String> {
        items(text)?.into_iter().map(T::parse).collect()
    }

    fn show(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(T::show).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

/// A whole number between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> SettingValue for Bounded<MIN, MAX> {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|number| (MIN..=MAX).contains(number))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a whole number from {MIN} to {MAX}"))
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// A span of time: `90s`, `30m`, `24h`, `7d`; one minute to ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub std::time::Duration);

const INTERVAL_S_MIN: u64 = 60;
const INTERVAL_S_MAX: u64 = 10 * 366 * 86_400;
const INTERVAL_UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl SettingValue for Interval {
    fn parse(text: &str) -> Result<Self, String> {
        let unit = INTERVAL_UNITS.iter().find(|(sign, _)| text.ends_with(*sign));
        unit.and_then(|(sign, seconds)| {
            text.strip_suffix(*sign)?.parse::<u64>().ok()?.checked_mul(*seconds)
        })
        .filter(|seconds| (INTERVAL_S_MIN..=INTERVAL_S_MAX).contains(seconds))
        .map(|seconds| Self(std::time::Duration::from_secs(seconds)))
        .ok_or_else(|| {
            format!("{text:?} is no span of a minute to ten years, such as 30m, 24h or 7d")
        })
    }

    fn show(&self) -> Option<String> {
        let seconds = self.0.as_secs();
        let (sign, unit) =
            INTERVAL_UNITS.into_iter().find(|(_, unit)| seconds.is_multiple_of(*unit))?;
        Some(quoted(&format!("{}{sign}", seconds / unit)))
    }
}

/// Which earlier versions of a collection's records stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `*` for all others.
    pub collection: String,
    pub age: Option<Interval>,
    pub newest: Option<u32>,
}

impl SettingValue for Retention {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no rule such as com.example/log:30d, *:100 or *:365d:100");
        let mut parts = text.split(':');
        let collection = parts.next().unwrap_or("").trim().to_owned();
        if collection.is_empty() || collection.contains('@') {
            return Err(wrong());
        }
        let mut rule = Self { collection, age: None, newest: None };
        for part in parts {
            match part.parse() {
                Ok(count) if rule.newest.is_none() => rule.newest = Some(count),
                Err(_) if rule.age.is_none() => {
                    rule.age = Some(Interval::parse(part).map_err(|_| wrong())?);
                }
                _ => return Err(wrong()),
            }
        }
        if rule.age.is_none() && rule.newest.is_none() { Err(wrong()) } else { Ok(rule) }
    }

    fn show(&self) -> Option<String> {
        let mut text = self.collection.clone();
        if let Some(age) = self.age.and_then(|age| age.show()) {
            text.push(':');
            text.push_str(age.trim_matches('"'));
        }
        if let Some(newest) = self.newest {
            text.push_str(&format!(":{newest}"));
        }
        Some(quoted(&text))
    }
}

/// A secret; prints `***` (SECURITY S70).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that hashes it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl SettingValue for Secret {
    fn parse(text: &str) -> Result<Self, String> {
        let header_safe = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > 1_024 || !header_safe {
            return Err("1 to 1024 visible ASCII characters without blanks are expected".into());
        }
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some("\"***\"".to_owned())
    }
}

/// Addresses to listen on; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen(pub Vec<SocketAddr>);

impl Listen {
    /// `port` on both loopback addresses.
    pub fn port(port: u16) -> Self {
        Self(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()])
    }
}

impl SettingValue for Listen {
    fn parse(text: &str) -> Result<Self, String> {
        let mut addresses = Vec::new();
        for item in items(text)? {
            if let Ok(port) = item.parse() {
                addresses.extend(Self::port(port).0);
            } else if let Some(port) = item.strip_prefix("localhost:").and_then(|p| p.parse().ok())
            {
                addresses.extend(Self::port(port).0);
            } else {
                addresses.push(SocketAddr::from_str(item).map_err(|_| {
                    format!("{item:?} is no address; write 127.0.0.1:7700, [::1]:7700 or 7700")
                })?);
            }
        }
        if addresses.is_empty() {
            return Err("an address is expected, such as 127.0.0.1:7700".into());
        }
        Ok(Self(addresses))
    }

    fn show(&self) -> Option<String> {
        let items: Vec<String> = self.0.iter().map(|a| quoted(&a.to_string())).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

/// Names of the faces that are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faces(pub Vec<String>);

impl SettingValue for Faces {
    fn parse(text: &str) -> Result<Self, String> {
        let names = items(text)?;
        if let Some(unknown) = names.iter().find(|name| !FACES.contains(name)) {
            return Err(format!(
                "{unknown:?} is no face of this program; it has {}",
                FACES.join(", ")
            ));
        }
        if names.is_empty() {
            return Err(format!("at least one of {} is expected", FACES.join(", ")));
        }
        Ok(Self(names.into_iter().map(str::to_owned).collect()))
    }

    fn show(&self) -> Option<String> {
        self.0.show()
    }
}

/// `http` or `https`, host, optional port and path; no trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port: what a browser calls origin.
    pub fn origin(&self) -> &str {
        let from = self.0.find("://").map_or(0, |at| at + 3);
        let to = self.0[from..].find('/').map_or(self.0.len(), |at| from + at);
        &self.0[..to]
    }

    /// Without the port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        let origin = self.origin();
        let authority = &origin[origin.find("://").map_or(0, |at| at + 3)..];
        match authority.rfind(':') {
            Some(at) if !authority.ends_with(']') => &authority[..at],
            _ => authority,
        }
    }

    fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl SettingValue for BaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address such as https://stack.example.com");
        let text = text.trim_end_matches('/');
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let plain = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && uri.authority().is_some_and(|a| !a.as_str().contains('@') && !a.host().is_empty());
        if !plain {
            return Err(wrong());
        }
        // The origin is signed and compared as text: one spelling only.
        let mut origin = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or("http"),
            uri.authority().map_or("", |a| a.as_str())
        )
        .to_lowercase();
        for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
            if origin.starts_with(scheme) && origin.ends_with(port) {
                origin.truncate(origin.len() - port.len());
            }
        }
        Ok(Self(format!("{origin}{}", uri.path().trim_end_matches('/'))))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// A text that some rule accepts; the rule is in the type's `parse`.
macro_rules! text_setting {
    ($(#[$meta:meta])+ $name:ident, $accepts:expr, $expected:literal) => {
        $(#[$meta])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub String);

        impl SettingValue for $name {
            fn parse(text: &str) -> Result<Self, String> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(format!("{text:?} is no {}", $expected))
                }
            }

            fn show(&self) -> Option<String> {
                Some(quoted(&self.0))
            }
        }
    };
}

text_setting!(
    /// `did:<method>:<id>`.
    Did,
    |text| {
        let mut parts = text.splitn(3, ':');
        let id = |c: char| c.is_ascii_alphanumeric() || "._:%-".contains(c);
        parts.next() == Some("did")
            && parts.next().is_some_and(|m| {
                !m.is_empty() && m.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            })
            && parts.next().is_some_and(|i| !i.is_empty() && i.chars().all(id))
    },
    "DID such as did:key:z6Mk…"
);
text_setting!(
    /// A name of the time zone database. Only its form is checked: small machines have no database.
    TimeZone,
    |text| {
        !text.is_empty()
            && text.len() <= 64
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c))
    },
    "time zone such as Europe/Zurich"
);
text_setting!(
    /// Scheme, host and port of a page, or `*`.
    CorsOrigin,
    |text| {
        text == "*"
            || text.parse::<http::Uri>().is_ok_and(|uri| {
                uri.scheme().is_some()
                    && uri.path() == "/"
                    && uri.query().is_none()
                    && !text.ends_with('/')
            })
    },
    "origin such as https://app.example.com"
);
text_setting!(
    /// An application's id in `/v1/apps/{appId}`.
    AppId,
    |text| {
        (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    },
    "application id: 1 to 64 letters, digits, _ or -"
);
text_setting!(
    /// A host name, without port.
    HostName,
    |text| {
        !text.is_empty()
            && text.len() <= 253
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
    },
    "host name in lower case, such as stack.example.com"
);

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub prefix_bits: u8,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

/// Whose forwarding headers count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustProxy {
    Everybody,
    Only(Vec<Network>),
}

impl TrustProxy {
    /// The blocks of addresses that are trusted.
    pub fn networks(&self) -> Vec<Network> {
        let all = |address| Network { address, prefix_bits: 0 };
        match self {
            Self::Everybody => {
                vec![all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())]
            }
            Self::Only(networks) => networks.clone(),
        }
    }
}

impl SettingValue for TrustProxy {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" => return Ok(Self::Everybody),
            "false" => return Ok(Self::Only(Vec::new())),
            _ => {}
        }
        let networks = items(text)?.into_iter().map(|item| {
            let (address, prefix) = item.split_once('/').unwrap_or((item, ""));
            let address: IpAddr = address.parse().ok()?;
            let width = if address.is_ipv4() { 32 } else { 128 };
            let prefix_bits = if prefix.is_empty() { width } else { prefix.parse().ok()? };
            (prefix_bits <= width).then_some(Network { address, prefix_bits })
        });
        let networks: Option<Vec<Network>> = networks.collect();
        networks
            .map(Self::Only)
            .ok_or_else(|| format!("{text:?} is neither true, false nor a list such as 10.0.0.0/8"))
    }

    fn show(&self) -> Option<String> {
        Some(match self {
            Self::Everybody => "true".to_owned(),
            Self::Only(networks) if networks.is_empty() => "false".to_owned(),
            Self::Only(networks) => {
                let items: Vec<String> =
                    networks.iter().map(|network| quoted(&network.to_string())).collect();
                format!("[{}]", items.join(", "))
            }
        })
    }
}

/// A closed choice: variants and their spelling.
macro_rules! choice {
    ($(#[$meta:meta])+ $name:ident { $($(#[$inner:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl SettingValue for $name {
            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", [$($text),+].join(", "))),
                }
            }

            fn show(&self) -> Option<String> {
                Some(match self { $(Self::$variant => quoted($text)),+ })
            }
        }
    };
}

choice!(
    /// See [`Config::durability`].
    Durability { Full = "full", Normal = "normal" }
);
choice!(
    /// See [`Config::signup`].
    Signup { Open = "open", Invite = "invite", Closed = "closed" }
);
choice!(
    /// See [`Config::anonymous`].
    Anonymous { None = "none", Read = "read", Full = "full" }
);
choice!(
    /// See [`Config::unreadable`].
    Unreadable { Forbidden = "forbidden", NotFound = "not_found" }
);
choice!(
    /// See [`Config::log`].
    LogLevel { Error = "error", Warn = "warn", Info = "info", Debug = "debug" }
);

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: &str,
        variables: &[(&str, &str)],
        flags: &[(&'static str, &str)],
    ) -> Result<Config, String> {
        Config::load(&Sources {
            file: (!file.is_empty()).then(|| ("cairn.toml".into(), file.to_owned())),
            variables: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            flags: flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
        })
        .map_err(|error| error.to_string())
    }

    /// Each source is stronger than the one before, and the winner is remembered.
    #[test]
    fn the_strongest_source_wins() {
        let file = "listen = '127.0.0.1:1'";
        let at = |config: &Config| (config.listen.0[0].port(), config.origin("listen").clone());
        assert_eq!(at(&load("", &[], &[]).unwrap()), (PORT, Origin::Default));
        assert_eq!(at(&load(file, &[], &[]).unwrap()), (1, Origin::File("cairn.toml".into())));
        let port = ("PORT", "2");
        assert_eq!(at(&load(file, &[port], &[]).unwrap()), (2, Origin::Protocol("PORT")));
        let own = ("CAIRN_LISTEN", "127.0.0.1:3");
        assert_eq!(at(&load(file, &[port, own], &[]).unwrap()), (3, Origin::Environment));
        let flag = [("listen", "[::1]:4")];
        assert_eq!(at(&load(file, &[port, own], &flag).unwrap()), (4, Origin::Flag));
        assert_eq!(
            at(&load(file, &[("PORT", "")], &[]).unwrap()).0,
            1,
            "an empty variable is unset"
        );
    }

    /// S1: nothing but loopback by default, both kinds of it.
    #[test]
    fn s1_default_addresses_are_loopback() {
        let config = Config::default();
        assert!(config.is_loopback_only());
        assert_eq!(config.listen, Listen::port(7700));
        assert_eq!(config.signup_rule(), Signup::Open);
        let open = load("", &[("CAIRN_LISTEN", "0.0.0.0:80")], &[]).unwrap();
        assert!(!open.is_loopback_only());
        assert_eq!(open.signup_rule(), Signup::Invite, "S2");
        let proxied = load("", &[("BASE_URL", "https://a.example")], &[]).unwrap();
        assert_eq!(proxied.signup_rule(), Signup::Invite, "S2");
    }

    #[test]
    fn faults_name_the_key() {
        let wrong = |file: &str| load(file, &[], &[]).unwrap_err();
        assert!(wrong("lisen = 1").contains("no setting \"lisen\""));
        assert!(
            wrong("durability = 'fast'").contains("cairn.toml: durability: \"fast\" is none of")
        );
        assert!(wrong("query_deadline_ms = 1").contains("from 10 to 600000"));
        assert!(wrong("a = ").contains("line 1"));
        assert!(wrong("dev = { a = 1 }").contains("dev"));
        let variable = load("", &[("CAIRN_FACES", "stack,tabels")], &[]).unwrap_err();
        assert!(variable.starts_with("CAIRN_FACES: \"tabels\""), "{variable}");
        let flag = load("", &[], &[("base_url", "ftp://x")]).unwrap_err();
        assert!(flag.starts_with("--base-url"), "{flag}");
    }

    /// S70: the token is in no text that can be printed, whatever went wrong.
    #[test]
    fn s70_secrets_are_not_printed() {
        let config = load("owner_token = 'sesame-open'", &[], &[]).unwrap();
        assert_eq!(config.owner_token.as_ref().unwrap().reveal(), "sesame-open");
        assert!(!format!("{config:?}").contains("sesame"));
        assert!(!config.to_toml().contains("sesame"));
        for broken in ["owner_token = 'sesame open'", "owner_token = 'sesame"] {
            let fault = load(broken, &[], &[]).unwrap_err();
            assert!(!fault.contains("sesame"), "{fault}");
        }
    }

    /// The printed file, uncommented, is a file that loads to the same thing.
    #[test]
    fn the_sample_loads() {
        let sample = Config::default().to_toml();
        let live: Vec<&str> = sample
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| {
                line.split_once(" = ").is_some_and(|(key, value)| {
                    value != "\"\"" && SETTINGS.iter().any(|s| s.key == key)
                })
            })
            .collect();
        assert!(live.len() > 15, "{live:?}");
        let again = load(&live.join("\n"), &[], &[]).unwrap();
        let default = Config::default();
        for setting in SETTINGS {
            assert_eq!((setting.show)(&again), (setting.show)(&default), "{}", setting.key);
        }
    }

    #[test]
    fn spans_and_rules_are_read() {
        let span = |text: &str| Interval::parse(text).ok().and_then(|span| span.show());
        for (text, shown) in [
            ("24h", Some("\"1d\"")),
            ("90s", Some("\"90s\"")),
            ("30m", Some("\"30m\"")),
            ("7d", Some("\"7d\"")),
            ("59s", None),
            ("99999d", None),
            ("99999999999999999999d", None),
            ("-1h", None),
            ("24", None),
            ("", None),
        ] {
            assert_eq!(span(text).as_deref(), shown, "{text}");
        }
        let rule = |text: &str| Retention::parse(text).ok().and_then(|rule| rule.show());
        for (text, shown) in [
            ("com.example/log:30d", Some("\"com.example/log:30d\"")),
            ("*:100", Some("\"*:100\"")),
            ("*:100:365d", Some("\"*:365d:100\"")),
            ("*", None),
            (":30d", None),
            ("com.example/log@1:30d", None),
            ("*:30d:7d", None),
            ("*:1:2", None),
            ("*:soon", None),
        ] {
            assert_eq!(rule(text).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn the_reference_is_current() {
        let page = include_str!("../docs/configuration.md");
        assert!(
            page == reference(),
            "docs/configuration.md is old: cairn serve --print-config=markdown > docs/configuration.md"
        );
    }

    #[test]
    fn base_urls_have_one_spelling() {
        for (text, url, origin, host) in [
            ("https://A.example:443/", "https://a.example", "https://a.example", "a.example"),
            ("http://[::1]:80/x/", "http://[::1]/x", "http://[::1]", "[::1]"),
            ("http://a:8080/x/y", "http://a:8080/x/y", "http://a:8080", "a"),
        ] {
            let parsed = BaseUrl::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.origin(), parsed.host()), (url, origin, host));
        }
        for wrong in ["a.example", "https://", "https://u@a", "https://a/?q"] {
            assert!(BaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn proxies_are_networks() {
        let texts = |text: &str| -> Vec<String> {
            TrustProxy::parse(text).unwrap().networks().iter().map(Network::to_string).collect()
        };
        assert_eq!(texts("10.0.0.0/8, ::1"), ["10.0.0.0/8", "::1/128"]);
        assert_eq!(texts("true"), ["0.0.0.0/0", "::/0"]);
        assert_eq!(texts("false"), [""; 0]);
        assert!(TrustProxy::parse("10.0.0.0/33").is_err());
    }
}
