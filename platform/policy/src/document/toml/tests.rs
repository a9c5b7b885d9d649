use super::*;
use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

/// The values alone, as `toml` has them.
fn plain(value: &Value<'_>) -> toml::Value {
    match value {
        Value::String(text) => toml::Value::String(text.to_string()),
        Value::Integer(number) => toml::Value::Integer(*number),
        Value::Boolean(value) => toml::Value::Boolean(*value),
        Value::Array(items) => {
            toml::Value::Array(items.iter().map(|item| plain(&item.value)).collect())
        }
        Value::Table(table) => toml::Value::Table(plain_table(table)),
        Value::Piece(_) => unreachable!("pieces are read first"),
        Value::Unread(_) => unreachable!("TOML has no such values"),
        Value::Other(text) => {
            let line = format!("x = {text}");
            other(DeTable::parse(&line).unwrap().get_ref()["x"].get_ref())
        }
    }
}

fn plain_table(table: &Table<'_>) -> toml::Table {
    table.entries().iter().map(|(key, node)| (key.name.to_string(), plain(&node.value))).collect()
}

/// A value of the library's. What no key wants is its text: a float, and a number that is too large,
/// which is TOML and left to the keys.
fn other(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => toml::Value::Integer(number),
            Err(_) => toml::Value::String(number.to_string()),
        },
        DeValue::Float(number) => toml::Value::String(number.to_string()),
        DeValue::Boolean(value) => toml::Value::Boolean(*value),
        DeValue::Datetime(date) => toml::Value::Datetime(*date),
        DeValue::Array(items) => {
            toml::Value::Array(items.iter().map(|item| other(item.get_ref())).collect())
        }
        DeValue::Table(table) => toml::Value::Table(other_table(table)),
    }
}

/// Whether each number in it has digits: the library takes a base alone for one until it is asked
/// which.
fn has_digits(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Integer(number) => !number.as_str().is_empty(),
        DeValue::Array(items) => items.iter().all(|item| has_digits(item.get_ref())),
        DeValue::Table(table) => table.values().all(|value| has_digits(value.get_ref())),
        _ => true,
    }
}

fn other_table(table: &DeTable<'_>) -> toml::Table {
    let entries = table.iter();
    entries.map(|(key, value)| (key.get_ref().to_string(), other(value.get_ref()))).collect()
}

/// The text's table, with every piece that was left unread read.
fn parse(text: &str) -> (Table<'_>, Vec<SyntaxError>) {
    fn whole<'t>(text: &'t str, node: &mut Node<'t>) {
        match &mut node.value {
            Value::Array(items) => items.iter_mut().for_each(|item| whole(text, item)),
            Value::Table(table) => {
                table.entries_mut().for_each(|(_, own)| whole(text, own));
            }
            Value::Piece(_) => node.value = Value::Table(piece(text, node.at)),
            _ => {}
        }
    }
    let (mut table, errors) = super::parse(text, |_| None);
    table.entries_mut().for_each(|(_, node)| whole(text, node));
    (table, errors)
}

fn agrees(text: &str) -> Result<(), TestCaseError> {
    let (table, errors) = parse(text);
    // However much of it is plain.
    let (slow, slow_errors) = parse_slowly(text);
    prop_assert_eq!((&table, &errors), (&slow, &slow_errors), "{}", text);
    match DeTable::parse(text) {
        Ok(library) if library.get_ref().values().all(|value| has_digits(value.get_ref())) => {
            prop_assert_eq!(&errors, &[], "{}", text);
            prop_assert_eq!(plain_table(&table), other_table(library.get_ref()), "{}", text);
        }
        Ok(_) => prop_assert!(!errors.is_empty(), "{}", text),
        Err(error) => prop_assert!(!errors.is_empty(), "{}\n{}", text, error),
    }
    Ok(())
}

#[test]
fn what_is_toml_and_what_it_says_is_as_the_toml_library_has_it() {
    let texts = [
        "",
        "\u{feff}a = 1",
        "a = 1\nb = \"x\\n\\u00e9\"\nc = 'raw\\'\nd = \"\"\"\nlong\n  text\\\n   on\"\"\"\n",
        "a.b.c = 1\na.b.d = 2\na.e = [1, [2, {x.y = 3, z = 4}], ]",
        "[a]\nb = 1\n[a.c]\nd = 2\n[e.f.g]\nh = 3\n[e]\ni = 4\n[e.f]\nj = 5",
        "[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 1\n[[a.e]]\nf = 1\n[[a.e]]\n[[a]]\n",
        "[a]\nrules = [\n  [\"x\"], # one\n  [\"y\"],\n]\n[b]\nc = {\n  d = 1,\n}\n",
        "f = 1.5\nn = -inf\nd = 1979-05-27T07:32:00Z\nt = 07:32:00\nh = 0xff\no = 0o17\nb = 0b1\nm = -1_000",
        "\"quoted key\" = 1\n'other'.\"k.e.y\" = 2\n\"\" = 3",
        "[fruit]\napple.color = 1\n[fruit.apple.taste]\nsweet = true",
        " [ a . b ] \n  c = 1\n\t[ d ]",
        "  [[commands.rule]]\r\na = 1\n[[commands.rule]] # two\n[[commands.rule]]\na = '''x'''\n",
        "[[commands.rule]]\na = 1\n[commands.rule.when]\nos = 1\n[[commands.rule]]\n[[commands.rule]]",
        "[[commands]]\n[[commands.rule]]\n[[commands]]\n[[commands.rule]]\n[[commands.rule]]",
        // None of these is TOML.
        "[commands]\nrule = 1\n[[commands.rule]]\n[[commands.rule]]",
        "commands = 1\n[[commands.rule]]\n[[commands.rule]]\n[[commands.rule]]",
        "[commands]\nrule = [{a = 1}]\n[[commands.rule]]\n[[commands.rule]]",
        "[[commands.rule]]\nx = 1\n[oops\ny = 2",
        "[[commands.rule]]\n[[commands.rule]]\nx = 1\nx = 2\n[[commands.rule]]",
        "a = 1\na = 2",
        "[a]\n[a]",
        "[a]\nb = 1\n[a.b]\nc = 1",
        "a = {b = 1}\n[a.c]\nd = 1",
        "a = {b = 1}\na.c = 2",
        "a = []\n[[a]]",
        "a = [{b = 1}]\n[[a]]\nb = 2",
        "[[a]]\n[a]",
        "[a]\n[[a]]",
        "[a.b]\n[a]\nb.c = 1",
        "[a.b]\nx = 1\n[a]\nb = 1",
        "[fruit]\napple.color = 1\n[fruit.apple]",
        "a.b = 1\na = 2",
        "a = 1\na.b = 2",
        "a = [1, 2",
        "a = {b = 1",
        "[a\nb = 1",
        "a =",
        "a = 1 2",
        "a",
        "= 1",
        "a = \"x\n",
        "a = 1 # \u{1}",
        "a = \"\\q\"",
        "[]",
        "[[a]",
        "a = ]",
        "[a]]",
    ];
    for text in texts {
        agrees(text).unwrap();
    }
}

#[test]
fn dates_and_numbers_are_those_of_the_toml_library() {
    let good = [
        "1979-05-27",
        "1979-05-27T07:32:00Z",
        "1979-05-27T07:32:00+01:00",
        "1979-05-27t07:32:00.123456789012z",
        "1979-05-27 07:32",
        "1979-05-27 ",
        "2028-02-29",
        "07:32",
        "07:32:60.5",
        "[07:32, 1979-05-27,]",
        "{ b = 07:32, c = 1979-05-27 }",
        "nan",
        "-inf",
        "1e400",
        "6.626e-34",
        // Too large for any key, and left to the keys.
        "99999999999999999999",
        "-9_223_372_036_854_775_809",
        "0xffffffffffffffffff",
    ];
    let bad = [
        "0-",
        "0-0",
        "0:",
        "00-00-00",
        "1979-05-",
        "1979-5-27",
        "1979-05-27T",
        "1979-05-27T07",
        "1979-05-27T07:32:",
        "1979-05-27T07:32:00.",
        "1979-05-27T07:32:00ZZ",
        "1979-05-27T07:32:00+",
        "1979-05-27T07:32:00+1:00",
        "1979-05-27T07:32:00+24:00",
        "1979-05-27T07:32:00-01:60",
        "1979-05-27x07:32:00",
        "1979-13-27",
        "2027-02-29",
        "+1979-05-27",
        "07:32Z",
        "07:32:61",
        "24:00",
        "7:32",
        "[0-]",
        "{ b = 0- }",
        "01",
        "0x",
        "[{ b = 0o }]",
        "0b_",
        "1.",
        "1e",
        "1__0",
    ];
    for (values, is_toml) in [(&good[..], true), (&bad[..], false)] {
        for value in values {
            for text in [format!("a = {value}"), format!("0={value}\r\n[b]\n")] {
                agrees(&text).unwrap();
                assert_eq!(parse(&text).1.is_empty(), is_toml, "{text}");
            }
        }
    }
    let (_, errors) = parse("a = 1\nb = 0-\n");
    let message = "invalid date, expected month".to_owned();
    assert_eq!(errors, [SyntaxError { at: 10, message }]);
}

#[test]
fn every_value_and_key_knows_where_it_stands() {
    let text = "[network]\nmode = \"none\"\nallow = [\"a\", \"ö\", \"b\"]\n\n[[rule]]\nx.y = 1\n";
    let (root, errors) = parse(text);
    assert_eq!(errors, []);
    let at = |words: &str| text.find(words).unwrap();
    let Value::Table(network) = &root.get("network").unwrap().value else { panic!() };
    assert_eq!(network.entries()[0].0.at, at("mode"));
    assert_eq!(network.get("mode").unwrap().at, at("\"none\""));
    let Value::Array(items) = &network.get("allow").unwrap().value else { panic!() };
    let places: Vec<usize> = items.iter().map(|item| item.at).collect();
    assert_eq!(places, [at("\"a\""), at("\"ö\""), at("\"b\"")]);
    let Value::Array(rules) = &root.get("rule").unwrap().value else { panic!() };
    assert_eq!(rules[0].at, at("[[rule]]"));
}

#[test]
fn an_error_says_where_and_what_was_expected_and_the_rest_is_read() {
    let text = "[filesystem]\ndeny = [\"/a\"]\n[filesystem]\ndeny_write = [\"/b\"]\n[network\nmode = \"none\"\n[limits]\nmemory = 1\n";
    let (root, errors) = parse(text);
    assert_eq!(errors[0].at, text.rfind("filesystem").unwrap());
    assert_eq!(errors[0].message, "the key stands here twice");
    assert_eq!(errors[1].message, "unclosed table, expected `]`");
    let Value::Table(files) = &root.get("filesystem").unwrap().value else { panic!() };
    assert_eq!(files.entries().len(), 2);
    assert!(root.get("limits").is_some());
}

#[test]
fn nesting_without_end_is_an_error_and_not_the_end() {
    let text = format!("a = {}", "[".repeat(100_000));
    assert!(!parse(&text).1.is_empty());
    let text = format!("a = {}", "{a = ".repeat(10_000));
    assert!(!parse(&text).1.is_empty());
}

/// Lines that are TOML more often than not, in any order.
fn lines() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "commands.rule",
        "commands",
        "commands.rule.b",
        "a",
        "b",
        "c",
        "a.b",
        "b.c",
        "a.b.c",
        "\"a\"",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "true",
        "\"x\"",
        "[]",
        "[1, 2]",
        "{}",
        "{ a = 1 }",
        "{ a.b = 1, c = 2 }",
        "[{ a = 1 }]",
        "[\n[1],\n[2]\n]",
        "[ 1 , # one\r\n 'x' ,]",
        "''",
        "\"\"\"x\"\"\"",
        "[[[[[[[[[[1]]]]]]]]]]",
        "{ a = 1, a = 2 }",
        "{ a = 1,\n b = 2, }",
        "-1",
        "01",
        "0 # zero",
        "1.5",
        "1979-05-27T07:32:00Z",
        "1979-05-27T07:32:00Z0",
        "07:3",
        "0x",
        "99999999999999999999",
        "oops",
        "\"open",
    ]);
    let line = (key, value, 0..9u8).prop_map(|(key, value, kind)| match kind {
        0 | 1 => format!("[{key}]\n"),
        2 => format!("[[{key}]]\n"),
        3 => format!("  [[ {key} ]] # again\r\n"),
        4 => format!("\t{key}={value}\t# said\r\n\r\n"),
        _ => format!("{key} = {value}\n"),
    });
    prop::collection::vec(line, 0..10).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn generated_texts_are_read_as_the_toml_library_reads_them(text in lines()) {
        agrees(&text)?;
    }

    #[test]
    fn any_text_is_read_to_its_end(text in ".{0,60}") {
        agrees(&text)?;
    }

    #[test]
    fn any_text_of_what_means_something_in_toml_is_read_as_the_toml_library_reads_it(
        text in "[a.=\\[\\]{}\"'\\\\#,01 \r\n\t\u{7f}-]{0,40}"
    ) {
        agrees(&text)?;
    }

    #[test]
    fn any_date_or_number_and_what_is_nearly_one_is_as_the_toml_library_has_it(
        text in "a = (1979-0[0-9]-[0-9]{2}[Tt x]?)?([0-2][0-9]:[0-7][0-9](:[0-7][0-9])?)?[-+0-9TZezx_.: ]{0,4}"
    ) {
        agrees(&text)?;
    }
}
