//! Values of the registry to layers. A line stands for a value: `KEY\KEY!NAME TYPE DATA`, where
//! the type is `s` (REG_SZ), `e` (REG_EXPAND_SZ), `m` (REG_MULTI_SZ, its strings between tabs), `d`
//! (a number) or anything else (its bytes).
#![no_main]

use chaperone_policy::{Layer, RegistryKey, RegistryValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let key = key(text);
    fuzz::check(|kind| Layer::from_registry(kind, "HKLM\\X", &key));
    // Capitals make no difference.
    let layers = |key: &RegistryKey| {
        Layer::from_registry(chaperone_policy::SourceKind::ManagedRegistry, "HKLM\\X", key)
    };
    assert_eq!(layers(&key), layers(&capitals(&key)));
    assert_eq!(key.canonical(), capitals(&key).canonical());
});

fn key(text: &str) -> RegistryKey {
    let mut root = RegistryKey::default();
    for line in text.lines() {
        let Some((path, rest)) = line.split_once('!') else { continue };
        let mut parts = rest.splitn(3, ' ');
        let (name, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let data = parts.next().unwrap_or_default();
        let value = match kind {
            "s" => RegistryValue::Text(data.to_owned()),
            "e" => RegistryValue::Expand(data.to_owned()),
            "m" => RegistryValue::List(data.split('\t').map(str::to_owned).collect()),
            "d" => match data.parse() {
                Ok(number) => RegistryValue::Number(number),
                Err(_) => RegistryValue::Other { kind: 4, data: data.into() },
            },
            other => RegistryValue::Other { kind: other.len() as u32, data: data.into() },
        };
        let mut at = &mut root;
        for part in path.split('\\').filter(|part| !part.is_empty()) {
            let place = match at.keys.iter().position(|(known, _)| known.eq_ignore_ascii_case(part))
            {
                Some(place) => place,
                None => {
                    at.keys.push((part.to_owned(), RegistryKey::default()));
                    at.keys.len() - 1
                }
            };
            at = &mut at.keys[place].1;
        }
        // Windows keeps one value of a name.
        at.values.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        at.values.push((name.to_owned(), value));
    }
    root
}

fn capitals(RegistryKey { values, keys }: &RegistryKey) -> RegistryKey {
    RegistryKey {
        values: values.iter().map(|(name, own)| (name.to_ascii_uppercase(), own.clone())).collect(),
        keys: keys.iter().map(|(name, own)| (name.to_ascii_uppercase(), capitals(own))).collect(),
    }
}
