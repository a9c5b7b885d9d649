//! Policy as pure data and functions: what layers say, how they combine, and what they decide.
//!
//! Nothing here reads a file, a clock or the network; facts come in as arguments.

mod action;
mod address;
mod bounds;
mod context;
mod decide;
mod decision;
mod defaults;
mod describe;
mod document;
mod effective;
mod explain;
mod familiarity;
mod finding;
mod glob;
mod host;
mod hostsets;
mod http;
mod identity;
mod injection;
mod layer;
mod merge;
mod name;
mod nearest;
mod organisations;
mod origin;
mod path;
mod prefix;
mod profile;
mod property;
mod reader;
mod registry;
mod rules;
mod said;
mod schema;
mod signing;
mod tools;
mod units;
mod upload;
mod upstream;
mod value;
mod words;

pub use action::{Action, Command};
pub use address::{decide_address, near};
pub use bounds::bounds;
pub use context::{Context, Os};
pub use decide::{
    ANY_HOST, Access, Approval, Facts, Process, command_scope, connection_scope, decide,
    decide_file, decide_http, http_scope, observed, sees_requests, unattended, wants_familiarity,
    widest_scope,
};
pub use decision::{Decision, Verdict};
pub use defaults::built_in;
pub use describe::{CommandFact, CommandFacts, facts, sentence};
pub use effective::{
    ApprovalsPolicy, Blocked, EnvironmentPolicy, Filesystem, LimitsPolicy, NetworkPolicy, Policy,
    Remote, SigningPolicy, Sourced,
};
pub use familiarity::{
    Answers, Asker, FAMILIAR, Familiarity, HostFacts, Reason, familiarity, listed_names,
};
pub use finding::{Finding, FindingStatus, Problem};
pub use glob::Glob;
pub use host::{HostPattern, HostSpec};
pub use hostsets::{HOST_SETS, HostSet};
pub use http::{HttpRequest, HttpRule, UrlPath};
pub use identity::{
    Identity, carries_out, changes_meaning, continues, env_command, given_text, identities, subject,
};
pub use injection::{BasicLogin, CredentialsPolicy, Injection, InjectionPlace, injections};
pub use layer::{Layer, LayerStatus, LayerSummary, Reading, digest};
pub use merge::{merge, remote};
pub use name::NamePattern;
pub use organisations::{Organisation, PROVIDERS, Pinned, PinnedHeader, Provider, Says, pinned};
pub use origin::{Class, Origin, SourceKind};
pub use path::{PathPattern, PathText};
pub use prefix::CommandPrefix;
pub use profile::{DOMAIN, ProfileError, RECOMMENDED_DOMAIN};
pub use property::{PlistError, Property};
pub use registry::{RegistryKey, RegistryValue};
pub use rules::CommandRule;
pub use said::Said;
pub use schema::{
    ApprovalsSettings, CommandSettings, CredentialsSettings, EnvironmentSettings,
    FilesystemSettings, HTTP_RULE_KEYS, IdentitySettings, KEYS, Key, LAYER_KEYS, LimitsSettings,
    Located, MinimumTier, Mode, NetworkMode, NetworkSettings, OnExpiry, RULE_KEYS, RemoteSettings,
    SECTIONS, SandboxSettings, Scope, Scopes, Settings, Shape, SigningSettings, Type, Version,
    When, rule_keys,
};
pub use signing::{ALGORITHMS, GIT_NAMESPACE, PublicKey, SshKey, decide_signature, fingerprint};
pub use tools::{ShellReads, shell_reads};
pub use upload::{UploadBudget, uploads};
pub use upstream::{Route, Upstream, route};
pub use value::{Loser, Running, Show, UnknownKey, Value, ValueStatus};
pub use words::KeyWords;
