//! A session's way out of its network: a proxy that speaks HTTP/1.1, `CONNECT` and SOCKS5, and
//! relays that stand for one host each; and, where it is given the means, names that are looked up
//! inside and what connects to them. What may be reached is a [`Judge`]'s to say; here its
//! answers are kept to.
//!
//! One thread waits for the first connection and only then becomes an event loop, so a session
//! without connections pays for neither. Nothing is held back: bytes leave as they come.

mod budget;
mod carried;
mod connections;
mod counted;
mod dial;
pub mod dns;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hello;
mod http;
mod inspect;
mod lookups;
mod names;
mod open;
mod outside;
mod proxy;
mod request;
mod rewound;
mod serve;
pub mod socks;
mod target;
mod trust;
mod truststore;
mod tunnel;
mod upstream;

pub use budget::{Budget, Exceeded, Usage};
pub use connections::{Connections, Traffic};
pub use dial::{Resolve, by_the_system, is_own};
pub use names::Names;
pub use open::{Binding, Covers, Fetch, Key, OpenError, Opener, Place};
pub use serve::{Entrance, Inside, Resolver, Wanted, serve, serve_with_names};
pub use target::{BadTarget, Host, Target};
pub use trust::Trust;
pub use truststore::java_truststore;
pub use upstream::Login;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What is to be decided about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether it may be made.
    Connect {
        /// The other end of the session's own connection to the proxy: who asks holds it.
        client: Option<SocketAddr>,
    },
    /// Whether this very address may be dialled, which the host is or its name led to.
    Address {
        /// The address.
        address: IpAddr,
        /// It is one of this machine's own.
        own: bool,
    },
    /// Whether this request may be sent.
    Request(Asked),
    /// What is said inside is not what was asked for: it is refused, and this is what was said.
    Disagreement(String),
    /// The credential of this name is about to be put on the wire, to a host that has proved itself.
    Credential(String),
    /// A request to a host that a credential is bound to may not go there: it is refused, and this
    /// is what it carries.
    Foreign(String),
    /// A client does not take the certificate under which TLS to the host is opened: this is what is
    /// known of it, and the connection is over.
    Distrusted(String),
    /// What is said inside would have to be seen and cannot be: it is refused, and this is why.
    Unseen(String),
}

/// What a request asks for, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The protocol that it would switch to.
    pub upgrade: Option<String>,
    /// The field or parameter that names another method.
    pub overridden: Option<String>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It may be.
    Allow,
    /// It may not; the agent reads this, whose second line is the reason.
    Deny(String),
}

/// How a connection leaves this machine.
#[derive(Debug, Clone)]
pub enum Route {
    /// By itself: its name is resolved here.
    Direct,
    /// Through another proxy, which resolves its name.
    Through {
        /// That proxy's name or address, which is nobody's to judge.
        host: String,
        /// Its TCP port.
        port: u16,
        /// The name has to resolve here, too, and every address that it resolves to is judged.
        resolved: bool,
        /// TLS is spoken with it, in which it has to prove itself to this; `None`: what is said to
        /// it, a login among it, is in the clear.
        trust: Option<Arc<Trust>>,
        /// What it lets in.
        login: Option<Arc<Login>>,
    },
}

/// Takes a ruling, from any thread.
pub type Answer = Box<dyn FnOnce(Ruling) + Send>;

/// Something that is given up by dropping it.
pub type Waiting = Box<dyn Send>;

/// Decides, and records what it decided.
pub trait Judge: Send + Sync {
    /// Answers at once or later, and in any case without keeping its caller waiting. Dropping what
    /// it returns before the answer has come says that nobody waits for it any more.
    fn judge(&self, target: &Target, question: Question, answer: Answer) -> Option<Waiting>;

    /// What opens TLS to this target; `None` where it is carried as it is.
    fn opener(&self, target: &Target) -> Option<Arc<Opener>> {
        let _ = target;
        None
    }

    /// The credentials that are bound to this target. Where there is one, no other goes there.
    fn bindings(&self, target: &Target) -> Vec<Arc<Binding>> {
        let _ = target;
        Vec::new()
    }

    /// What a host is told of whose accounts may be used there: fields that every request carries,
    /// in place of the client's own, or none where there is no value. Where there are any, what is
    /// said to it has to be seen.
    fn told(&self, target: &Target) -> Vec<(&'static str, Option<String>)> {
        let _ = target;
        Vec::new()
    }

    /// What may be sent to this target, over all connections together that share a budget.
    fn budgets(&self, target: &Target) -> Vec<Arc<Budget>> {
        let _ = target;
        Vec::new()
    }

    /// How a connection that may be made leaves this machine.
    fn route(&self, target: &Target) -> Route {
        let _ = target;
        Route::Direct
    }

    /// Whether every request to this target is asked about, so that what is said there has to be
    /// seen.
    fn sees_requests(&self, target: &Target) -> bool {
        let _ = target;
        false
    }
}
