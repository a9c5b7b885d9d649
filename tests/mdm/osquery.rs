//! The osquery configuration: what is recorded for it, and that its queries are whole.

use crate::form;
use crate::place::{Place, installers};
use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn configuration() -> Result<Value> {
    let path = installers().join("osquery/chaperone.conf");
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

fn rows(db: &Connection, query: &str) -> Result<Vec<Vec<String>>> {
    use rusqlite::types::ValueRef;
    let mut statement = db.prepare(query).with_context(|| query.to_owned())?;
    let width = statement.column_count();
    let mut found = Vec::new();
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let cell = |at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => "-".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => anyhow::bail!("{other:?}"),
            })
        };
        found.push((0..width).map(cell).collect::<Result<_>>()?);
    }
    Ok(found)
}

/// What osquery reads of the recorded status, without the time and the sentences.
fn recorded(place: &Place, chaperone: &Path) -> Result<Vec<String>> {
    place.run("osquery/record-status.sh", chaperone)?;
    let db = Connection::open(place.folder().join("status/status.db"))?;
    let configuration = configuration()?;
    let tables = configuration["auto_table_construction"].as_object().context("tables")?;
    let mut read = Vec::new();
    for table in tables.values() {
        let query = table["query"].as_str().context("query")?;
        let columns = table["columns"].as_array().context("columns")?;
        let columns: Vec<&str> = columns.iter().filter_map(Value::as_str).collect();
        let named = db.prepare(query)?;
        assert_eq!(named.column_names().collect::<Vec<_>>(), columns);
        assert_eq!((columns[0], columns[3]), ("recorded_at", "sentence"));
        read = rows(&db, query)?
            .into_iter()
            .map(|row| {
                assert!(row[0].parse::<u64>().is_ok(), "{row:?}");
                [&row[1..3], &row[4..]].concat().join(" ")
            })
            .collect();
    }
    Ok(read)
}

#[test]
fn what_is_recorded_for_osquery_is_a_row_for_the_machine_and_one_for_each_user() -> Result<()> {
    let place = Place::new()?;
    let governed = place.fake(&form("governed.json")?, 0)?;
    let whole = " protected full enforce - 2026-11-22.1 0 present 0.1.0";
    assert_eq!(recorded(&place, &governed)?, [whole]);
    let partly = place.fake(&form("partly.json")?, 1)?;
    let state = "partly full observe 2027-02-01T00:00:00Z 2026-11-22.1 0 present,untrusted 0.1.0";
    assert_eq!(recorded(&place, &partly)?, [format!(" {state}"), format!("ada {state}")]);
    let garbage = place.fake("error: no such command", 2)?;
    assert_eq!(recorded(&place, &garbage)?, [" unknown - - - - - - -"]);
    let missing = Path::new("/nowhere/chaperone");
    assert_eq!(recorded(&place, missing)?, [" not installed - - - - - - -"]);
    Ok(())
}

/// The tables that the queries read, with the columns of osquery's published schema.
const SCHEMA: &str = "
    CREATE TABLE file (path, directory, filename, inode, uid, gid, mode, device, size, block_size,
        atime, mtime, ctime, btime, hard_links, symlink, type);
    CREATE TABLE hash (path, directory, md5, sha1, sha256);
    CREATE TABLE processes (pid, name, path, cmdline, state, cwd, root, uid, gid, euid, egid, suid,
        sgid, on_disk, wired_size, resident_size, total_size, user_time, system_time,
        disk_bytes_read, disk_bytes_written, start_time, parent, pgroup, threads, nice);
    CREATE TABLE managed_policies (domain, uuid, name, value, username, manual);
    CREATE TABLE registry (hive, key, subkey, name, type, data, mtime);
    CREATE TABLE chaperone_status (recorded_at, user, governed);
    CREATE TABLE chaperone_status_macos (recorded_at, user, governed);";

#[test]
fn the_queries_find_untrusted_files_and_agents_that_run_outside() -> Result<()> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(SCHEMA)?;
    let files = [
        ("/etc/chaperone", 0, "0755", "directory"),
        ("/etc/chaperone/policy.d", 0, "0775", "directory"),
        ("/etc/chaperone/policy.d/10.toml", 0, "0644", "regular"),
        ("/etc/chaperone/policy.d/20.toml", 0, "0646", "regular"),
        ("/etc/chaperone/recommended.d/10.toml", 1000, "0644", "regular"),
        ("/etc/passwd", 0, "0666", "regular"),
    ];
    for (path, uid, mode, kind) in files {
        db.execute(
            "INSERT INTO file (path, uid, mode, type) VALUES (?, ?, ?, ?)",
            (path, uid, mode, kind),
        )?;
        db.execute("INSERT INTO hash (path, sha256) VALUES (?, 'abc')", (path,))?;
    }
    let processes = [
        (1, 0, "systemd", "/sbin/init"),
        (10, 1, "chaperone", "chaperone run -- claude"),
        (11, 10, "claude", "claude"),
        (12, 11, "sh", "sh -c make"),
        (20, 1, "claude", "claude"),
        (21, 1, "node", "node /usr/bin/gemini -p x"),
        (22, 1, "vim", "vim notes"),
    ];
    for process in processes {
        db.execute(
            "INSERT INTO processes (pid, parent, name, cmdline) VALUES (?, ?, ?, ?)",
            process,
        )?;
    }
    let configuration = configuration()?;
    let packs = configuration["packs"].as_object().context("packs")?;
    for pack in packs.values() {
        let queries = pack["queries"].as_object().context("queries")?;
        let queries = queries.values().map(|query| &query["query"]);
        for query in queries.chain(pack["discovery"].as_array().into_iter().flatten()) {
            rows(&db, query.as_str().context("a query")?)?;
        }
    }
    let ask = |name: &str| -> Result<Vec<String>> {
        let query = packs["chaperone"]["queries"][name]["query"].as_str();
        let query = query.with_context(|| name.to_owned())?;
        Ok(rows(&db, query)?.into_iter().map(|row| row[0].clone()).collect())
    };
    assert_eq!(
        ask("policy_files")?,
        [
            "/etc/chaperone/policy.d/10.toml",
            "/etc/chaperone/policy.d/20.toml",
            "/etc/chaperone/recommended.d/10.toml"
        ]
    );
    assert_eq!(
        ask("policy_files_untrusted")?,
        [
            "/etc/chaperone/policy.d",
            "/etc/chaperone/policy.d/20.toml",
            "/etc/chaperone/recommended.d/10.toml"
        ]
    );
    assert_eq!(ask("agents_outside")?, ["20", "21"]);
    Ok(())
}
