//! Systems without Unix sockets: the same API, and one honest error. Named pipes take its place
//! when sessions run there.

use crate::answer::{AnswerMsg, AnswerOutcome, KeptApproval, Outcome};
use crate::error::Error;
use crate::merged::{Change, Listing, SessionRequests};
use crate::protocol::Role;
use crate::queue::Ticket;
use crate::request::{NewRequest, Request, SessionInfo};
use chaperone_policy::Scope;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

/// A session's requests, and its socket. There is none here, so no value of this type exists.
#[derive(Debug)]
pub struct Approvals(Infallible);

impl Approvals {
    /// # Errors
    /// Always [`Error::Unsupported`].
    pub fn start(_: SessionInfo, _: &Path, _: &[Scope], _: Duration) -> Result<Self, Error> {
        Err(Error::Unsupported)
    }

    /// See the Unix side.
    pub fn on_attendance(&self, _: impl FnMut(bool) + Send + 'static) {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn before_answers(&self, _: impl FnMut() + Send + 'static) {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn request_of(&self, _: Ticket) -> Option<String> {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn limit(&self, _: &[Scope], _: Duration) {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn ask(&self, _: NewRequest, _: impl FnOnce(Outcome) + Send + 'static) -> Ticket {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn answer(&self, _: &AnswerMsg) -> AnswerOutcome {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn withdraw(&self, _: Ticket) {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn attended(&self) -> bool {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn requests(&self) -> Vec<Request> {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn approvals(&self) -> Vec<KeptApproval> {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn revoke(&self, _: &str) -> AnswerOutcome {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn event(&self, _: serde_json::Value) {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn end(&self) {
        match self.0 {}
    }
}

/// All sessions of this user at once. There is none here, so no value of this type exists.
#[derive(Debug)]
pub struct Inbox(Infallible);

impl Inbox {
    /// # Errors
    /// Always [`Error::Unsupported`].
    pub fn start(_: &Path, _: Role, _: impl FnMut(Change) + Send + 'static) -> Result<Self, Error> {
        Err(Error::Unsupported)
    }

    /// # Errors
    /// Always [`Error::Unsupported`].
    pub fn list(_: &Path, _: Duration) -> Result<Listing, Error> {
        Err(Error::Unsupported)
    }

    /// See the Unix side.
    pub fn ready(&self, _: Duration) -> Listing {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn sessions(&self) -> Vec<SessionRequests> {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn answer(&self, _: &AnswerMsg) -> AnswerOutcome {
        match self.0 {}
    }

    /// See the Unix side.
    pub fn revoke(&self, _: &str, _: &str) -> AnswerOutcome {
        match self.0 {}
    }
}
