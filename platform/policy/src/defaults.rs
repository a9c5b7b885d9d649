//! The built-in defaults: the first layer of every policy.

use crate::{Layer, SourceKind};

/// What holds on a machine where nobody has configured anything.
pub fn built_in() -> Layer {
    Layer::from_toml(SourceKind::BuiltIn, "defaults", include_str!("defaults.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_findings() {
        assert_eq!(built_in().findings(), []);
    }
}
