//! Which rows are shown, and in what order: sorted, filtered, as a tree or flat. Pure.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashMap},
};

use crate::top::{columns::COLUMNS, seen::Row};

/// The order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Index in [`COLUMNS`]; `None`: by name.
    pub column: Option<usize>,
    /// The most first.
    pub is_descending: bool,
}

impl Sort {
    /// By this column, numbers with the most first.
    pub fn by(column: Option<usize>) -> Sort {
        Sort { column, is_descending: column.is_some_and(|column| COLUMNS[column].is_number()) }
    }

    fn compare(self, one: &Row, other: &Row) -> Ordering {
        let by_name = || {
            let order = one.cgroup.path.cmp(&other.cgroup.path);
            if self.column.is_none() && self.is_descending { order.reverse() } else { order }
        };
        let Some(column) = self.column else { return by_name() };
        let value = |row| COLUMNS[column].value(row);
        value(one).order(&value(other), self.is_descending).then_with(by_name)
    }
}

/// A row in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the row.
    pub row: usize,
    /// How deep in the tree; 0 when flat.
    pub depth: usize,
    /// Where its name begins in its path.
    pub name_at: usize,
    /// Bit *n*: what stands at depth *n* above it, or is it, is the last child. Depths beyond 63 look as the 63rd.
    pub lasts: u64,
    /// Whether something is below it, shown or not.
    pub is_parent: bool,
    /// Whether what is below it is hidden.
    pub is_collapsed: bool,
    /// It does not fit the filter and is here for what is below it.
    pub is_beside: bool,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The order.
    pub sort: Sort,
    /// As a tree.
    pub is_tree: bool,
    /// Only paths or policies that contain this, in small letters.
    pub filter: &'a str,
    /// Ids of cgroups whose children are hidden.
    pub collapsed: &'a BTreeSet<u64>,
}

/// The rows in order.
pub fn places(rows: &[Row], wanted: &Wanted<'_>) -> Vec<Place> {
    let fits: Vec<bool> = rows.iter().map(|row| is_wanted(row, wanted.filter)).collect();
    if !wanted.is_tree {
        let mut order: Vec<usize> = (0..rows.len()).filter(|row| fits[*row]).collect();
        order.sort_by(|one, other| wanted.sort.compare(&rows[*one], &rows[*other]));
        return order.into_iter().map(flat).collect();
    }
    let mut tree =
        Tree { rows, wanted, fits, shown: vec![false; rows.len()], children: vec![vec![]; rows.len()] };
    let tops = tree.plant();
    let mut places = Vec::with_capacity(rows.len());
    tree.walk(&tops, None, 0, 0, &mut places);
    places
}

fn flat(row: usize) -> Place {
    Place { row, depth: 0, name_at: 0, lasts: 0, is_parent: false, is_collapsed: false, is_beside: false }
}

fn is_wanted(row: &Row, filter: &str) -> bool {
    let holds = |text: &str| text.to_lowercase().contains(filter);
    filter.is_empty() || holds(&row.cgroup.path) || row.cgroup.policy.as_deref().is_some_and(holds)
}

struct Tree<'a> {
    rows: &'a [Row],
    wanted: &'a Wanted<'a>,
    fits: Vec<bool>,
    /// It fits, or something below it does.
    shown: Vec<bool>,
    children: Vec<Vec<usize>>,
}

impl Tree<'_> {
    /// Finds who is below whom; returns those below nobody.
    fn plant(&mut self) -> Vec<usize> {
        let by_path: HashMap<&str, usize> =
            self.rows.iter().enumerate().map(|(row, it)| (it.cgroup.path.as_str(), row)).collect();
        let above: Vec<Option<usize>> =
            self.rows.iter().map(|row| above(&row.cgroup.path, &by_path)).collect();
        for row in 0..self.rows.len() {
            let mut at = self.fits[row].then_some(row);
            // A path has an end, so has the way up.
            while let Some(here) = at.filter(|here| !self.shown[*here]) {
                self.shown[here] = true;
                at = above[here];
            }
        }
        let mut tops = Vec::new();
        for row in (0..self.rows.len()).filter(|row| self.shown[*row]) {
            match above[row] {
                Some(parent) => self.children[parent].push(row),
                None => tops.push(row),
            }
        }
        let (rows, sort) = (self.rows, self.wanted.sort);
        for siblings in self.children.iter_mut().chain([&mut tops]) {
            siblings.sort_by(|one, other| sort.compare(&rows[*one], &rows[*other]));
        }
        tops
    }

    fn walk(
        &self,
        siblings: &[usize],
        above: Option<usize>,
        depth: usize,
        lasts: u64,
        places: &mut Vec<Place>,
    ) {
        for (nth, &row) in siblings.iter().enumerate() {
            let bit = 1u64 << depth.min(63);
            let lasts = if nth + 1 == siblings.len() { lasts | bit } else { lasts & !bit };
            let cgroup = &self.rows[row].cgroup;
            // With a filter everything that fits is shown, wherever it is.
            let is_collapsed = self.wanted.filter.is_empty() && self.wanted.collapsed.contains(&cgroup.id);
            places.push(Place {
                row,
                depth,
                name_at: above.map_or(0, |above| name_at(&self.rows[above].cgroup.path)),
                lasts,
                is_parent: !self.children[row].is_empty(),
                is_collapsed,
                is_beside: !self.fits[row],
            });
            if !is_collapsed {
                self.walk(&self.children[row], Some(row), depth + 1, lasts, places);
            }
        }
    }
}

/// Where the name of a child begins in its path.
fn name_at(parent: &str) -> usize {
    if parent.is_empty() { 0 } else { parent.len() + 1 }
}

/// The nearest cgroup above a path that has a row.
fn above(path: &str, by_path: &HashMap<&str, usize>) -> Option<usize> {
    let mut path = path;
    while !path.is_empty() {
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
        if let Some(row) = by_path.get(path) {
            return Some(*row);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::status::CgroupStatus;

    fn row(id: u64, path: &str, zswap: u64) -> Row {
        let cgroup =
            CgroupStatus { id, path: path.into(), zswap_pages: Some(zswap), ..CgroupStatus::default() };
        Row { cgroup, page: 4096 }
    }

    fn rows() -> Vec<Row> {
        vec![row(1, "", 9), row(2, "a", 3), row(3, "a/x/deep", 2), row(4, "a/y", 1), row(5, "b", 6)]
    }

    fn shown(is_tree: bool, filter: &str, collapsed: &[u64]) -> Vec<String> {
        let rows = rows();
        let collapsed = collapsed.iter().copied().collect();
        let sort = Sort::by(crate::top::columns::find("zswap"));
        places(&rows, &Wanted { sort, is_tree, filter, collapsed: &collapsed })
            .iter()
            .map(|place| {
                format!("{}{}", " ".repeat(place.depth), &rows[place.row].cgroup.path[place.name_at..])
            })
            .collect()
    }

    #[test]
    fn a_tree_sorts_siblings_and_keeps_children_below_their_parents() {
        assert_eq!(shown(true, "", &[]), ["", " b", " a", "  x/deep", "  y"]);
        assert_eq!(shown(false, "", &[]), ["", "b", "a", "a/x/deep", "a/y"]);
    }

    #[test]
    fn what_is_above_a_wanted_cgroup_is_shown_beside_it_and_hidden_children_are_found() {
        assert_eq!(shown(true, "deep", &[2]), ["", " a", "  x/deep"]);
        assert_eq!(shown(false, "deep", &[]), ["a/x/deep"]);
        assert_eq!(shown(true, "", &[2]), ["", " b", " a"]);
        assert!(shown(true, "nobody", &[]).is_empty());
    }
}
