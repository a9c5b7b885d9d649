//! The page about agents' own settings speaks of every key that is about agents, and of every
//! file with its place.

use crate::common::{EVERYTHING, alone, exported};
use chaperone_export::{Agent, Mode};
use chaperone_policy::KEYS;

const PAGE: &str = include_str!("../../../../docs/agents-settings.md");

#[test]
fn the_table_has_a_row_for_every_key_that_is_about_agents() {
    let about_chaperone = ["revision", "organisation", "mode", "until"];
    for key in KEYS.iter().map(|key| key.name) {
        let row = PAGE.lines().any(|line| line.starts_with(&format!("| `{key}`")));
        let ours = about_chaperone.contains(&key) || key.starts_with("remote.");
        assert_eq!(row, !ours, "{key}");
    }
}

#[test]
fn the_page_names_every_file_and_its_place() {
    // Some places are in words, of which the page marks the names.
    let page = PAGE.replace('`', "").replace('/', "\\");
    for agent in Agent::ALL {
        for file in exported(agent, &alone(EVERYTHING), Mode::Standalone).files {
            assert!(PAGE.contains(&format!("`{}`", file.name)), "{}", file.name);
            let folder = file.places.linux.trim_end_matches(file.name);
            assert!(PAGE.contains(&format!("`{folder}`")), "{folder}");
            for place in [&file.places.macos, &file.places.windows] {
                let place = place.replace('\\', "/");
                let folder = place.trim_end_matches(file.name).replace('/', "\\");
                let folder = folder.trim_start_matches("the ");
                assert!(page.contains(folder), "{folder}");
            }
        }
    }
}
