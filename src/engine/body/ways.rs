//! The ways through a body: a value stands behind whatever its branches and loops may have written before it.

use super::{HARMLESS, Treatment};

/// How often a body is gone through until what its loops may lead to is known; twice is enough for most.
const PASSES: usize = 50;
pub(super) const BRANCHES: &str = "stands in a string in one branch and outside of it in another. Write the quotation \
                                   marks within the branches, or the body as a JSON object";

/// The state of the parser at a point of a body, such as whether it is within a string.
pub(super) trait Place: Copy + PartialEq {
    /// The state at a point that is reached in both of these states.
    fn or(self, other: Self) -> Self;
}

/// The ways through the branches and loops of a body.
pub(super) struct Ways<P> {
    /// The states in which a further round of each loop may begin; `None` while none is known.
    loops: Vec<Option<P>>,
    at_loop: usize,
    open: Vec<Branches<P>>,
    /// Whether this pass found a state in which a loop may begin and that was not known before.
    is_new: bool,
}

struct Branches<P> {
    start: P,
    /// The state at the end of the branches that have been closed; `None` while none is.
    end: Option<P>,
    of_loop: Option<usize>,
    has_else: bool,
}

impl<P: Place> Ways<P> {
    fn new(loops: Vec<Option<P>>) -> Self {
        Self { loops, at_loop: 0, open: Vec::new(), is_new: false }
    }

    /// The state of the text that follows a tag.
    pub(super) fn take(&mut self, word: &str, now: P) -> P {
        match word {
            "if" => {
                self.open.push(Branches { start: now, end: None, of_loop: None, has_else: false });
                now
            }
            "for" => {
                let index = self.at_loop;
                self.at_loop += 1;
                if self.loops.len() <= index {
                    self.loops.resize(index + 1, None);
                }
                self.open.push(Branches { start: now, end: None, of_loop: Some(index), has_else: false });
                self.loops[index].map_or(now, |again| now.or(again))
            }
            "elif" | "else" => {
                let Some(mut branches) = self.open.pop() else { return now };
                self.end_body(&mut branches, now);
                branches.has_else |= word == "else";
                let start = branches.start;
                self.open.push(branches);
                start
            }
            "endif" | "endfor" => {
                let Some(mut branches) = self.open.pop() else { return now };
                self.end_body(&mut branches, now);
                let end = branches.end.unwrap_or(now);
                if branches.has_else { end } else { end.or(branches.start) }
            }
            _ => now,
        }
    }

    fn end_body(&mut self, branches: &mut Branches<P>, now: P) {
        branches.end = Some(branches.end.map_or(now, |end| end.or(now)));
        if let Some(index) = branches.of_loop.filter(|_| !branches.has_else) {
            let again = self.loops[index].map_or(now, |again| again.or(now));
            self.is_new |= self.loops[index].replace(again) != Some(again);
        }
    }
}

/// Goes through a body until all places that its loops may lead to are known.
pub(super) fn through_loops<P: Place>(mut pass: impl FnMut(&mut Ways<P>) -> Vec<Treatment>) -> Vec<Treatment> {
    let mut loops = Vec::new();
    for _ in 0..PASSES {
        let mut ways = Ways::new(loops);
        let filters = pass(&mut ways);
        if !ways.is_new {
            return filters;
        }
        loops = ways.loops;
    }
    let mut filters = pass(&mut Ways::new(loops));
    filters.iter_mut().for_each(|filter| *filter = (HARMLESS, Some(BRANCHES)));
    filters
}
