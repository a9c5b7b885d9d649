//! Names that are made to be taken for another: one letter off, letters that look alike, or the
//! other name in front of a registered name that is somebody else's.

use crate::nearest::edits;

/// A shorter word than this is near to too many others.
const SHORTEST: usize = 5;

/// What is said of a host that looks like one of the known registered names and is none of them.
/// `own` is its registered name, `letters` the host in its own letters.
pub(super) fn of(host: &str, own: &str, letters: Option<&str>, known: &[String]) -> Option<String> {
    if known.iter().any(|name| name == own) {
        return None;
    }
    let registered = own.split('.').next().unwrap_or_default();
    let shown: Vec<String> = letters.unwrap_or(own).split('.').map(skeleton).collect();
    let below = format!(".{}", host.strip_suffix(own).unwrap_or_default());
    for name in known {
        let word = name.split('.').next().unwrap_or_default();
        if word.len() < SHORTEST {
            continue;
        }
        // `name.example.other.example` and `name-example.other.example`.
        let dashed = name.replace('.', "-");
        if below.contains(&format!(".{name}.")) || below.contains(&format!(".{dashed}.")) {
            return Some(format!("It begins like {name}, and belongs to {own}."));
        }
        let alike = shown.contains(&skeleton(word)) || edits(registered, word) == 1;
        if registered != word && alike {
            return Some(format!("It looks like {name}, and is another name."));
        }
    }
    None
}

/// A label with each letter as the plain one that it can be taken for (the letters of Latin,
/// Cyrillic and Greek among Unicode's confusables, UTS 39, that names are seen to be made of).
fn skeleton(label: &str) -> String {
    let plain: String = label
        .chars()
        .filter(|c| *c != '-')
        .map(|c| match c {
            'а' | 'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ą' | 'ɑ' | 'α' => 'a',
            'ь' | 'ƅ' => 'b',
            'с' | 'ç' | 'ć' | 'č' | 'ϲ' => 'c',
            'ԁ' | 'ɗ' | 'đ' => 'd',
            'е' | 'è' | 'é' | 'ê' | 'ë' | 'ę' | 'ё' | 'є' => 'e',
            'ɡ' | 'ğ' | 'ġ' => 'g',
            'һ' | 'հ' => 'h',
            'і' | 'ì' | 'í' | 'î' | 'ï' | 'ı' | 'ι' | '1' | 'l' | 'ӏ' | '|' => 'i',
            'ј' => 'j',
            'κ' | 'к' => 'k',
            'м' => 'm',
            'п' | 'ñ' | 'ń' | 'η' => 'n',
            'о' | 'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ο' | 'σ' | '0' => 'o',
            'р' | 'ρ' => 'p',
            'ԛ' => 'q',
            'г' => 'r',
            'ѕ' | 'ś' | 'š' | '5' => 's',
            'т' | 'τ' => 't',
            'υ' | 'ù' | 'ú' | 'û' | 'ü' | 'ս' => 'u',
            'ν' | 'ѵ' => 'v',
            'ѡ' | 'ԝ' | 'ω' => 'w',
            'х' | 'χ' => 'x',
            'у' | 'ý' | 'ÿ' | 'γ' => 'y',
            'ż' | 'ź' | 'ž' => 'z',
            other => other,
        })
        .collect();
    plain.replace("rn", "m").replace("vv", "w")
}
