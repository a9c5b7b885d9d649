//! The names of places in a document whose places are not lines: `#/network/mode` in JSON. Each
//! stands below another, and is told whole only for the few that anybody asks about: a long name of
//! which there are many parts would else fill any memory.

/// The names, by position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    steps: Vec<Step>,
}

/// What a name adds to that of the place above it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    above: Option<usize>,
    words: Box<str>,
}

impl Names {
    /// Adds a name, and gives its position. What it stands below has been added before.
    pub(super) fn add(&mut self, above: Option<usize>, words: impl Into<Box<str>>) -> usize {
        self.steps.push(Step { above, words: words.into() });
        self.steps.len() - 1
    }

    /// Adds the names of a document whose root stands at the place that was added last, and whose
    /// first name, the root's, is left out. What stands directly below it begins with `mark`.
    pub(super) fn adopt(&mut self, at: usize, inner: Self, mark: &str) {
        let before = self.steps.len();
        self.steps.extend(inner.steps.into_iter().skip(1).map(|Step { above, words }| {
            match above.and_then(|above| above.checked_sub(1)) {
                Some(above) => Step { above: Some(before + above), words },
                None => Step { above: Some(at), words: format!("{mark}{words}").into() },
            }
        }));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The name of a position; nothing for one that there is not.
    pub(crate) fn write(&self, at: usize, out: &mut String) {
        let step = |at: usize| self.steps.get(at);
        let all = std::iter::successors(step(at), |own| step(own.above?));
        let mut words: Vec<&str> = all.map(|own| &*own.words).collect();
        words.reverse();
        out.extend(words);
    }

    /// The same as a text of its own.
    #[cfg(test)]
    pub(crate) fn name(&self, at: usize) -> String {
        let mut out = String::new();
        self.write(at, &mut out);
        out
    }
}
