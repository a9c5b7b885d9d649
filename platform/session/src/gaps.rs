//! What holds of a managed layer that cannot be read whole any more: what it said before.

use chaperone_policy::{Class, Layer, LayerStatus, SourceKind};

/// What was read now; and of every managed layer from before of which no whole one was read, what
/// it said then. Bundles are not among them: [`bundle_without`].
pub(crate) fn without(before: &[Layer], now: Vec<Layer>) -> Vec<Layer> {
    // On macOS a profile's domain and the user's own have one name.
    let same =
        |one: &Layer, other: &Layer| (one.kind, &one.locator) == (other.kind, &other.locator);
    let found = |old: &Layer| now.iter().find(|new| same(new, old));
    let held: Vec<Layer> = before
        .iter()
        .filter(|old| old.class() == Class::Managed && old.kind != SourceKind::ManagedBundle)
        .filter(|old| whole(old) && !found(old).is_some_and(whole))
        .map(|old| old.clone().held(found(old)))
        .collect();
    let mut layers: Vec<Layer> =
        now.into_iter().filter(|new| !held.iter().any(|old| same(old, new))).collect();
    layers.extend(held);
    layers
}

/// The same for the layers of a signed bundle. They are read whole together or not at all: a file
/// that a newer version leaves out is gone by its author's will. What cannot be verified any more
/// restricts and grants nothing, since nobody can say until when it was good.
pub(crate) fn bundle_without(before: &[Layer], now: Vec<Layer>) -> Vec<Layer> {
    if now.iter().all(whole) {
        return now;
    }
    let hold = |old: &Layer| {
        let mut held = old.clone().held(now.first());
        let reason = "Its restrictions apply and its grants do not.";
        if held.status == LayerStatus::Present {
            return held.untrusted(reason);
        }
        held.detail = format!("{reason} {}", held.detail);
        held
    };
    let old = before.iter().filter(|old| old.kind == SourceKind::ManagedBundle && whole(old));
    let held: Vec<Layer> = old.map(hold).collect();
    if held.is_empty() { now } else { held }
}

fn whole(layer: &Layer) -> bool {
    match layer.status {
        LayerStatus::Present | LayerStatus::Untrusted | LayerStatus::Expired => true,
        LayerStatus::Absent | LayerStatus::Unreadable | LayerStatus::Invalid => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::Property;

    #[test]
    fn a_managed_layer_holds_until_a_whole_one_is_read_and_a_users_does_not() {
        let managed = |text| Layer::from_toml(SourceKind::ManagedFile, "/m.toml", text);
        let user = |text| Layer::from_toml(SourceKind::UserFile, "/u.toml", text);
        let before = [managed("revision = \"1\""), user("revision = \"u\"")];
        let revisions = |now: Vec<Layer>| -> Vec<String> {
            let layers = without(&before, now);
            let revision =
                |layer: &Layer| layer.settings.revision.as_ref().map(|r| r.value.clone());
            layers.iter().filter_map(revision).collect()
        };
        assert_eq!(revisions(vec![managed("revision = \"2\"")]), ["2"]);
        assert_eq!(revisions(vec![managed("revision = ")]), ["1"]);
        assert_eq!(revisions(vec![Layer::absent(SourceKind::ManagedFile, "/m.toml")]), ["1"]);
        assert_eq!(revisions(Vec::new()), ["1"]);
    }

    #[test]
    fn a_profile_that_is_gone_does_not_take_the_users_own_values_of_its_domain_with_it() {
        let domain = "dev.chaperone.desktop";
        let said = |kind, revision: &str| {
            let entries = [("revision".to_owned(), Property::Text(revision.to_owned()))];
            Layer::from_properties(kind, domain, &entries)
        };
        let own = said(SourceKind::UserPreference, "own");
        let forced = said(SourceKind::ManagedProfile, "forced");
        let now = vec![Layer::absent(SourceKind::ManagedProfile, domain), own.clone()];
        let layers = without(&[forced, own], now);
        let told: Vec<_> = layers
            .iter()
            .map(|layer| (layer.kind, layer.settings.revision.as_ref().unwrap().value.as_str()))
            .collect();
        assert_eq!(
            told,
            [(SourceKind::UserPreference, "own"), (SourceKind::ManagedProfile, "forced")]
        );
    }

    #[test]
    fn a_bundle_is_taken_up_whole_and_restricts_while_it_cannot_be_believed() {
        let bundle = |name: &str, text| Layer::from_toml(SourceKind::ManagedBundle, name, text);
        let before = [bundle("https://p/1.toml", ""), bundle("https://p/2.toml", "")];
        let newer = vec![bundle("https://p/1.toml", "revision = \"2\"")];
        assert_eq!(bundle_without(&before, newer.clone()), newer, "a file less");
        assert_eq!(without(&before, Vec::new()), [], "nobody names it any more");

        let lost = || vec![Layer::unreadable(SourceKind::ManagedBundle, "https://p/", "Why.")];
        let held = bundle_without(&before, lost());
        let seen: Vec<_> = held.iter().map(|layer| (&*layer.locator, layer.status)).collect();
        let untrusted = LayerStatus::Untrusted;
        assert_eq!(seen, [("https://p/1.toml", untrusted), ("https://p/2.toml", untrusted)]);
        assert!(held[0].detail.contains("unreadable (Why)"), "{}", held[0].detail);
        assert_eq!(bundle_without(&held, lost()), held, "and so it stays");
        assert_eq!(bundle_without(&held, before.to_vec()), before);
        assert_eq!(bundle_without(&[], lost()), lost());
    }
}
