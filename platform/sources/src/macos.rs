//! macOS: where Chaperone's files lie, and its preferences, which configuration profiles force.
//!
//! Nothing here has run yet: it is type-checked on other systems (`cargo xtask test --only macos`).
//! So it only asks; what the answers mean is told in `preferences`, which is tested everywhere.

use crate::preferences::{self, Preferences};
use crate::{Folders, Locations};
use chaperone_policy::{DOMAIN, Layer, Property};
use core_foundation::base::{CFType, CFTypeRef, TCFType};
use core_foundation::data::CFData;
use core_foundation::string::CFString;
use core_foundation_sys::base::kCFAllocatorDefault;
use core_foundation_sys::preferences::{
    CFPreferencesAppSynchronize, CFPreferencesAppValueIsForced, CFPreferencesCopyAppValue,
    CFPreferencesCopyMultiple, kCFPreferencesAnyHost, kCFPreferencesCurrentUser,
};
use core_foundation_sys::propertylist::{
    CFPropertyListCreateData, kCFPropertyListBinaryFormat_v1_0,
};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::ptr;

/// The domain of the preferences.
pub(crate) const STORE: Option<&str> = Some(DOMAIN);

/// Whether a file that seems to be this user's may be root's: there are no user namespaces.
pub(crate) fn hides_root(_: u32) -> bool {
    false
}

/// Where macOS keeps what profiles force, for the device and in a folder for each user.
const MANAGED: &str = "/Library/Managed Preferences";

/// Where IT puts files.
pub(crate) fn folders() -> Folders {
    let top = PathBuf::from("/Library/Application Support/Chaperone");
    Folders { managed: top.join("policy.d"), recommended: top.join("recommended.d") }
}

/// The layers of the system's own store of policies.
pub(crate) fn layers(locations: &Locations, now: Timestamp) -> Vec<Layer> {
    let Some(domain) = &locations.store else { return Vec::new() };
    preferences::layers(&System::now(domain), Path::new(MANAGED), domain, now)
}

/// The folders in which the system keeps what profiles force. They only tell that something
/// changed; what holds is asked of the system.
pub(crate) fn files() -> Vec<PathBuf> {
    vec![PathBuf::from(MANAGED)]
}

/// What differs whenever those layers do.
pub(crate) fn mark(locations: &Locations) -> Option<String> {
    let domain = locations.store.as_ref()?;
    Some(preferences::mark(&System::now(domain), Path::new(MANAGED), domain))
}

/// The preferences of this process's user ("Preferences Utilities", Core Foundation).
struct System;

impl System {
    /// The preferences as they are now, not as this process saw them before.
    fn now(domain: &str) -> Self {
        for domain in [domain, &format!("{domain}.recommended")] {
            let domain = CFString::new(domain);
            // SAFETY: the string lives until the call returns.
            unsafe { CFPreferencesAppSynchronize(domain.as_concrete_TypeRef()) };
        }
        Self
    }
}

impl Preferences for System {
    fn forced(&self, domain: &str, key: &str) -> Option<Property> {
        let (domain, key) = (CFString::new(domain), CFString::new(key));
        let (domain, key) = (domain.as_concrete_TypeRef(), key.as_concrete_TypeRef());
        // SAFETY: both strings live until this function returns.
        let is_forced = || unsafe { CFPreferencesAppValueIsForced(key, domain) } != 0;
        if !is_forced() {
            return None;
        }
        // SAFETY: as above; what is returned is this process's to release.
        let value = unsafe { CFPreferencesCopyAppValue(key, domain) };
        // A profile that was removed in between would leave the user's own value.
        owned(value).filter(|_| is_forced())
    }

    fn own(&self, domain: &str) -> Vec<(String, Property)> {
        let domain = CFString::new(domain);
        // SAFETY: the string lives until the call returns, the other two are constants of the
        // system; without a list of keys all are copied, and the copy is this process's to release.
        let all = unsafe {
            CFPreferencesCopyMultiple(
                ptr::null(),
                domain.as_concrete_TypeRef(),
                kCFPreferencesCurrentUser,
                kCFPreferencesAnyHost,
            )
        };
        match owned(all.cast()) {
            Some(Property::Dictionary(entries)) => entries,
            _ => Vec::new(),
        }
    }
}

/// A value that this process has to release, as its own binary form says it: nothing of Core
/// Foundation's types is told apart here.
fn owned(value: CFTypeRef) -> Option<Property> {
    if value.is_null() {
        return None;
    }
    // SAFETY: it is no null pointer, and whoever copied it owns it.
    let value = unsafe { CFType::wrap_under_create_rule(value) };
    // SAFETY: the value lives until this function returns; null asks for no error.
    let data = unsafe {
        CFPropertyListCreateData(
            kCFAllocatorDefault,
            value.as_CFTypeRef(),
            kCFPropertyListBinaryFormat_v1_0,
            0,
            ptr::null_mut(),
        )
    };
    let unread = |why: &str| Property::Other(format!("a value that cannot be read: {why}"));
    if data.is_null() {
        return Some(unread("it is no property list"));
    }
    // SAFETY: it is no null pointer, and what was created is this process's to release.
    let data = unsafe { CFData::wrap_under_create_rule(data) };
    Some(Property::parse(data.bytes()).unwrap_or_else(|error| unread(&error.found)))
}
