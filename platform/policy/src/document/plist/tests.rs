use super::*;
use ::plist::{Date, Dictionary, Integer, Uid, Value as Other};
use jiff::Timestamp;
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

/// The same value as the `plist` crate has it.
fn plain(value: &Other) -> Property {
    match value {
        Other::String(text) => Property::Text(text.clone()),
        Other::Integer(number) => Property::Integer(
            number.as_signed().map(i128::from).or(number.as_unsigned().map(i128::from)).unwrap(),
        ),
        Other::Real(number) => Property::Real(*number),
        Other::Boolean(value) => Property::Boolean(*value),
        Other::Date(date) => {
            let time = Timestamp::try_from(SystemTime::from(*date));
            time.map_or_else(|_| Property::Other(String::new()), Property::Date)
        }
        Other::Data(bytes) => Property::Data(bytes.clone()),
        Other::Uid(_) => Property::Other("a UID".to_owned()),
        Other::Array(items) => Property::Array(items.iter().map(plain).collect()),
        Other::Dictionary(entries) => Property::Dictionary(
            entries.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        ),
        _ => unreachable!(),
    }
}

/// With dates of which only the seconds are left, since the two round a float's last bits apart, and
/// no difference between NaNs.
fn rounded(value: Property) -> Property {
    match value {
        Property::Date(time) => Property::Integer((time.as_millisecond() / 1000).into()),
        Property::Real(number) if number.is_nan() => Property::Other("NaN".to_owned()),
        Property::Other(words) if words != "a UID" => Property::Other(String::new()),
        Property::Array(items) => Property::Array(items.into_iter().map(rounded).collect()),
        Property::Dictionary(entries) => Property::Dictionary(
            entries.into_iter().map(|(name, value)| (name, rounded(value))).collect(),
        ),
        other => other,
    }
}

fn written(value: &Other) -> [Vec<u8>; 2] {
    let (mut xml, mut binary) = (Vec::new(), Vec::new());
    value.to_writer_xml(&mut xml).unwrap();
    value.to_writer_binary(&mut binary).unwrap();
    [xml, binary]
}

fn any_value() -> impl Strategy<Value = Other> {
    let date = (0u64..4_000_000_000)
        .prop_map(|seconds| Date::from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
    // Carriage returns become line feeds in XML, and most other controls have no place in it.
    let text = "[ -~\n\täöü€😀]{0,20}";
    let leaf = prop_oneof![
        text.prop_map(Other::String),
        any::<i64>().prop_map(|number| Other::Integer(Integer::from(number))),
        any::<u64>().prop_map(|number| Other::Integer(Integer::from(number))),
        any::<f64>().prop_map(Other::Real),
        any::<bool>().prop_map(Other::Boolean),
        date.prop_map(Other::Date),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Other::Data),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Other::Array),
            prop::collection::vec((text, inner), 0..8)
                .prop_map(|entries| Other::Dictionary(entries.into_iter().collect::<Dictionary>())),
        ]
    })
}

proptest! {
    #[test]
    fn what_others_write_is_read_as_they_read_it(value in any_value()) {
        for bytes in written(&value) {
            let theirs = Other::from_reader(std::io::Cursor::new(&bytes)).unwrap();
            let ours = parse(&bytes).map(rounded);
            prop_assert_eq!(ours, Ok(rounded(plain(&theirs))));
        }
    }

    #[test]
    fn bytes_that_were_altered_are_an_error_or_what_others_read(
        value in any_value(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        for mut bytes in written(&value) {
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            // The others leave carriage returns, which XML replaces (XML 1.0, section 2.11).
            let is_binary = bytes.starts_with(b"bplist");
            for (at, byte) in changes.iter().filter(|(_, byte)| is_binary || *byte != b'\r') {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
            let theirs = Other::from_reader(std::io::Cursor::new(&bytes));
            if let (Ok(ours), Ok(theirs)) = (parse(&bytes), theirs) {
                prop_assert_eq!(rounded(ours), rounded(plain(&theirs)));
            }
        }
    }

    #[test]
    fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes).is_err());
        let mut binary = b"bplist00".to_vec();
        binary.extend(&bytes);
        let _ = parse(&binary);
    }
}

fn xml(body: &str) -> Result<Property, SyntaxError> {
    parse(format!("<plist version=\"1.0\">{body}</plist>").as_bytes())
}

fn text(text: &str) -> Property {
    Property::Text(text.to_owned())
}

#[test]
fn every_element_is_read_and_what_stands_for_a_character_is_that_character() {
    let table = [
        ("<string>a</string>", text("a")),
        ("<string/>", text("")),
        ("<string> a\r\nb </string>", text(" a\nb ")),
        ("<string>&lt;&#38;&#x26;&quot;&apos;&gt;</string>", text("<&&\"'>")),
        ("<string>a<![CDATA[<b>&amp;]]>c<!-- d --></string>", text("a<b>&amp;c")),
        ("<integer>-12</integer>", Property::Integer(-12)),
        ("<integer> +0x1F\n</integer>", Property::Integer(31)),
        ("<integer>18446744073709551615</integer>", Property::Integer(u64::MAX.into())),
        ("<real>1.50</real>", Property::Real(1.5)),
        ("<true/>", Property::Boolean(true)),
        ("<false></false>", Property::Boolean(false)),
        ("<data>\n\taGV5\n\tIQ==\n</data>", Property::Data(b"hey!".to_vec())),
        ("<data/>", Property::Data(Vec::new())),
        (
            "<date>2027-01-31T12:00:00Z</date>",
            Property::Date("2027-01-31T12:00:00Z".parse().unwrap()),
        ),
        ("<array/>", Property::Array(vec![])),
        (
            "<!-- a --><dict><?p q?><key>k</key> <array><true/><string>x</string></array></dict>",
            Property::Dictionary(vec![(
                "k".to_owned(),
                Property::Array(vec![Property::Boolean(true), text("x")]),
            )]),
        ),
    ];
    for (body, expected) in table {
        assert_eq!(xml(body), Ok(expected), "{body}");
    }
    let whole = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \
                 \"-//Apple//DTD PLIST 1.0//EN\" \
                 \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist><true/></plist>\n";
    assert_eq!(parse(whole.as_bytes()), Ok(Property::Boolean(true)));
}

#[test]
fn what_no_property_list_holds_is_an_error_that_says_what_and_where() {
    let error = |text: &str| {
        let error = parse(text.as_bytes()).expect_err(text);
        (error.at, error.message)
    };
    let table: [(&str, usize, &str); 33] = [
        ("", 0, "the end of the text before <plist>"),
        ("{ a = b; }", 0, "text before <plist>"),
        ("<dict/>", 0, "<dict> where <plist> belongs"),
        ("<plist>", 7, "the end of the text before a value"),
        ("<plist/>", 8, "the end of an element where a value belongs"),
        ("<plist><true/><true/></plist>", 14, "<true> where the end of <plist> belongs"),
        ("<plist><true/></plist><plist/>", 22, "<plist> where the end of the text belongs"),
        ("<plist><true/></plist> x", 22, "x where the end of the text belongs"),
        ("<plist>x<true/></plist>", 7, "x where a value belongs"),
        (
            "<plist><string>a</plist>",
            16,
            "ill-formed document: expected `</string>`, but `</plist>` was found",
        ),
        ("<plist><string>a<b/></string></plist>", 16, "<b> where text belongs"),
        ("<plist><string>a", 16, "the end of the text before the end of an element"),
        ("<plist><array><true/>", 21, "the end of the text before a value or </array>"),
        (
            "<plist><dict><key>a</key></dict></plist>",
            25,
            "the end of an element where a value for the key belongs",
        ),
        (
            "<plist><dict><string>a</string></dict></plist>",
            13,
            "<string> where <key> or </dict> belongs",
        ),
        ("<plist><dict><true/></dict></plist>", 13, "<true> where <key> or </dict> belongs"),
        ("<plist><array><key>a</key></array></plist>", 14, "<key>, which no property list has"),
        (
            "<plist><dict><key>a</key><true/><key>a</key><false/></dict></plist>",
            32,
            "the key \"a\" a second time",
        ),
        ("<plist><set/></plist>", 7, "<set>, which no property list has"),
        ("<plist><p:true/></plist>", 7, "<p:true>, which no property list has"),
        ("<plist><true>x</true></plist>", 7, "x in <true/>"),
        ("<plist><integer>1.5</integer></plist>", 7, "1.5 in <integer>"),
        ("<plist><integer>+-1</integer></plist>", 7, "+-1 in <integer>"),
        (
            "<plist><integer>-9223372036854775809</integer></plist>",
            7,
            "-9223372036854775809 in <integer>",
        ),
        ("<plist><integer/></plist>", 7, " in <integer>"),
        ("<plist><real>one</real></plist>", 7, "one in <real>"),
        ("<plist><date>2027-01-31</date></plist>", 7, "2027-01-31 in <date>"),
        ("<plist><data>aGV</data></plist>", 7, "aGV in <data>"),
        ("<plist><string>&nbsp;</string></plist>", 15, "the unknown entity &nbsp;"),
        ("<plist><string>&#0;</string></plist>", 15, "&#0;: "),
        ("<plist><array>&lt;</array></plist>", 14, "&lt; where a value or </array> belongs"),
        (
            "<!DOCTYPE plist [<!ENTITY a \"b\">]><plist><string>&a;</string></plist>",
            0,
            "a document type with declarations of its own",
        ),
        (
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><plist><true/></plist>",
            0,
            "the encoding \"ISO-8859-1\" for UTF-8",
        ),
    ];
    for (text, at, message) in table {
        let (found_at, found) = error(text);
        assert!(found.starts_with(message), "{text}: {found}");
        assert_eq!(found_at, at, "{text}: {found}");
    }
    assert_eq!(
        parse(b"<plist><string>\xff</string></plist>"),
        Err(SyntaxError {
            at: 15,
            message: "neither a binary property list nor UTF-8 text".to_owned()
        })
    );
}

#[test]
fn depth_and_size_are_bounded_in_xml() {
    let nested = |depth: usize| xml(&("<array>".repeat(depth) + &"</array>".repeat(depth)));
    assert!(nested(DEPTH).is_ok());
    let message = nested(DEPTH + 1).unwrap_err().message;
    assert_eq!(message, "values that stand more than 64 deep in each other");
    assert_eq!(xml(&"<array>".repeat(200_000)).unwrap_err().message, message);
    let many = |count: usize| xml(&format!("<array>{}</array>", "<true/>".repeat(count)));
    assert!(many(VALUES - 1).is_ok());
    let message = many(VALUES).unwrap_err().message;
    assert_eq!(message, "more than 200000 values in one property list");
    let long = |bytes: usize| xml(&format!("<string>{}</string>", "x".repeat(bytes)));
    assert!(long(BYTES).is_ok());
    assert_eq!(long(BYTES + 1).unwrap_err().message, "more than 16 MiB of text and data");
}

/// A binary property list of these objects, of which the first is the whole.
fn binary(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for object in objects {
        offsets.push(bytes.len() as u32);
        bytes.extend(object);
    }
    let table = bytes.len() as u64;
    bytes.extend(offsets.iter().flat_map(|offset| offset.to_be_bytes()));
    bytes.extend([0, 0, 0, 0, 0, 0, 4, 1]);
    bytes.extend((objects.len() as u64).to_be_bytes());
    bytes.extend(0u64.to_be_bytes());
    bytes.extend(table.to_be_bytes());
    bytes
}

#[test]
fn every_binary_object_is_read() {
    let long = [[0x5f, 0x10, 16].as_slice(), b"sixteen letters!"].concat();
    let table: [(Vec<u8>, Property); 16] = [
        (vec![0x08], Property::Boolean(false)),
        (vec![0x09], Property::Boolean(true)),
        (vec![0x10, 0xff], Property::Integer(255)),
        (vec![0x11, 0xff, 0xff], Property::Integer(65535)),
        ([vec![0x13], vec![0xff; 8]].concat(), Property::Integer(-1)),
        ([vec![0x14], vec![0; 8], vec![0xff; 8]].concat(), Property::Integer(u64::MAX.into())),
        ([vec![0x14], vec![0xff; 16]].concat(), Property::Integer(-1)),
        (vec![0x22, 0x3f, 0xc0, 0, 0], Property::Real(1.5)),
        (vec![0x23, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], Property::Real(1.5)),
        (
            vec![0x33, 0, 0, 0, 0, 0, 0, 0, 0],
            Property::Date("2001-01-01T00:00:00Z".parse().unwrap()),
        ),
        (
            vec![0x33, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
            Property::Other("a date beyond every calendar".to_owned()),
        ),
        (vec![0x42, 1, 2], Property::Data(vec![1, 2])),
        (vec![0x51, b'a'], text("a")),
        (long, text("sixteen letters!")),
        (vec![0x61, 0x20, 0xac], text("€")),
        (vec![0x80, 7], Property::Other("a UID".to_owned())),
    ];
    for (object, expected) in table {
        assert_eq!(parse(&binary(std::slice::from_ref(&object))), Ok(expected), "{object:x?}");
    }
    let dictionary = binary(&[vec![0xd1, 1, 2], vec![0x51, b'k'], vec![0xa2, 3, 3], vec![0x09]]);
    let twice = Property::Array(vec![Property::Boolean(true), Property::Boolean(true)]);
    assert_eq!(parse(&dictionary), Ok(Property::Dictionary(vec![("k".to_owned(), twice)])));
}

#[test]
fn what_no_binary_property_list_holds_is_an_error() {
    let keyed = |name: Vec<u8>| binary(&[vec![0xd1, 1, 2], name, vec![0x09]]);
    let with_trailer = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = binary(&[vec![0x09]]);
        let end = bytes.len() - TRAILER_BYTES;
        change(&mut bytes[end..]);
        bytes
    };
    let table: [(Vec<u8>, &str); 21] = [
        (b"bplist15".to_vec(), "a binary property list of a version other than 00"),
        (b"bplist00".to_vec(), "the end of the file before its trailer"),
        (with_trailer(&|it| it[6] = 0), "a trailer whose numbers have no size from 1 to 8"),
        (with_trailer(&|it| it[7] = 9), "a trailer whose numbers have no size from 1 to 8"),
        (with_trailer(&|it| it[8] = 255), "a table of offsets that does not lie in the file"),
        (with_trailer(&|it| it[24] = 255), "a table of offsets that does not lie in the file"),
        (with_trailer(&|it| it[23] = 1), "a reference to object 1, which is not there"),
        (binary(&[vec![0x00]]), "an object of the unknown type 0x00"),
        (binary(&[vec![0x15]]), "an object of the unknown type 0x15"),
        (binary(&[vec![0xc1, 0]]), "an object of the unknown type 0xc1"),
        (binary(&[vec![0x13, 0]]), "an object that is longer than the file"),
        (
            binary(&[vec![0x5f, 0x13, 255, 255, 255, 255, 255, 255, 255, 255]]),
            "an object that is longer",
        ),
        (
            binary(&[vec![0xaf, 0x13, 127, 255, 255, 255, 255, 255, 255, 255]]),
            "an object that is longer",
        ),
        (
            binary(&[vec![0xdf, 0x13, 127, 255, 255, 255, 255, 255, 255, 255]]),
            "an object that is longer",
        ),
        (binary(&[vec![0x5f, 0x51, b'a']]), "a length that is no integer"),
        (binary(&[vec![0x51, 0xe9]]), "a string that is not in its encoding"),
        (binary(&[vec![0x61, 0xd8, 0x00]]), "a string that is not in its encoding"),
        (binary(&[vec![0xa1, 9]]), "a reference to object 9, which is not there"),
        (keyed(vec![0x10, 1]), "a key that is no string"),
        (
            binary(&[vec![0xd2, 1, 2, 3, 3], vec![0x51, b'k'], vec![0x51, b'k'], vec![0x09]]),
            "the key \"k\" a second time",
        ),
        (binary(&[vec![0xa1, 0]]), "values that stand more than 64 deep in each other"),
    ];
    for (bytes, message) in table {
        let found = parse(&bytes).expect_err(message).message;
        assert!(found.starts_with(message), "{message}: {found}");
    }
    assert!(parse(&keyed(vec![0x51, b'k'])).is_ok());
}

const TRAILER_BYTES: usize = 32;

#[test]
fn objects_that_share_objects_do_not_grow_beyond_what_may_be_read() {
    // Forty arrays, each of the next one twice over: 2^40 values in 200 bytes.
    let mut objects: Vec<Vec<u8>> = (0..40).map(|next| vec![0xa2, next + 1, next + 1]).collect();
    objects.push(vec![0x09]);
    let message = parse(&binary(&objects)).unwrap_err().message;
    assert_eq!(message, "more than 200000 values in one property list");

    // One text of a megabyte, 255 times.
    let text = [[0x5f, 0x12, 0, 0x10, 0, 0].as_slice(), &[b'x'; 1 << 20]].concat();
    let many = [[0xaf, 0x10, 255].as_slice(), &[1; 255]].concat();
    let message = parse(&binary(&[many, text])).unwrap_err().message;
    assert_eq!(message, "more than 16 MiB of text and data");
}

#[test]
fn what_the_plist_crate_reads_and_property_lists_do_not_hold_is_an_error_here() {
    let uid = Other::Uid(Uid::new(1));
    let mut bytes = Vec::new();
    uid.to_writer_binary(&mut bytes).unwrap();
    assert_eq!(parse(&bytes), Ok(Property::Other("a UID".to_owned())));
    let theirs = |text: &str| Other::from_reader_xml(text.as_bytes()).unwrap();
    let cdata = "<plist><string><![CDATA[a]]></string></plist>";
    assert_eq!(theirs(cdata), Other::String(String::new()));
    assert_eq!(parse(cdata.as_bytes()), Ok(text("a")));
    let entity = "<plist><string>a&b;</string></plist>";
    assert_eq!(theirs(entity), Other::String("a".to_owned()));
    assert!(parse(entity.as_bytes()).is_err());
}

#[test]
fn every_value_knows_its_key_path() {
    let dictionary = |entries: &[(&str, Property)]| {
        Property::Dictionary(
            entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        )
    };
    let Property::Dictionary(entries) = dictionary(&[
        ("network", dictionary(&[("allow", Property::Array(vec![text("a"), text("b")]))])),
        ("a.b", Property::Integer(i128::from(u64::MAX))),
        ("", dictionary(&[("x y", Property::Real(1.0))])),
    ]) else {
        panic!()
    };
    let Named { places, .. } = named(&entries);
    let expected = [
        ":",
        ":network",
        ":network.allow",
        ":network.allow[0]",
        ":network.allow[1]",
        ":\"a.b\"",
        ":\"\"",
        ":\"\".\"x y\"",
    ];
    let names: Vec<_> = (0..expected.len()).map(|at| places.name(at)).collect();
    assert_eq!(names, expected);
    assert_eq!(places.name(expected.len()), "");
}
