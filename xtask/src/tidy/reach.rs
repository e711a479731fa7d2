//! What a file of a Rust crate reaches: every path in it that begins at the crate's root or goes up from its own module,
//! written out from the root. Which of them may be there is not known here. Callers: the other files of this folder.
//!
//! The file is read as tokens, so a path counts wherever it stands: in a `use` with groups, in the middle of an expression,
//! in the arguments of a macro. Text and comments are no tokens. Names that a file took in by `use` need no second look: the
//! `use` itself has been seen. What could hide a path is a fault: the crate's root under another name, all of a root at once
//! (`crate::*`), the crate by its own name, and files that are put in from elsewhere.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// A path that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    /// The line on which its first word stands.
    pub(super) line: usize,
    /// Its names from the crate's root on; `*` at the end is all there is.
    pub(super) names: Vec<String>,
    /// It is part of the tests: below `#[cfg(test)]`, or in a file of tests.
    pub(super) is_test: bool,
}

impl Reach {
    /// The path as it would be written from anywhere.
    pub(super) fn shown(&self) -> String {
        format!("crate::{}", self.names.join("::"))
    }
}

/// All paths of `text`, the file of the module `module` in the crate `own`.
///
/// # Errors
/// The text is no Rust, or has a path that cannot be followed.
pub(super) fn reaches(text: &str, module: &[String], own: &str, is_test: bool) -> Result<Vec<Reach>, String> {
    let mut finder = Finder { own, found: Vec::new() };
    finder.look(&tokens(text)?, module, is_test)?;
    Ok(finder.found)
}

/// The modules that a file declares for tests alone.
///
/// # Errors
/// The text is no Rust.
pub(super) fn test_modules(text: &str) -> Result<Vec<String>, String> {
    let tokens = tokens(text)?;
    let of = |(index, token): (usize, &TokenTree)| match (token, tokens.get(index + 1), tokens.get(index + 2))
    {
        (word, Some(TokenTree::Ident(name)), end) if is_word(word, "mod") && is_mark(end, ';') => {
            is_for_tests(&tokens, index).then(|| name.to_string())
        }
        _ => None,
    };
    Ok(tokens.iter().enumerate().filter_map(of).collect())
}

/// What a file takes in by `use` from its own children, by the name that it has afterwards: what somebody means who asks
/// the file for it.
pub(super) fn taken_in(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let tokens = tokens(text)?;
    let mut taken = BTreeMap::new();
    for (index, _) in tokens.iter().enumerate().filter(|(_, token)| is_word(token, "use")) {
        let mut leaves = Vec::new();
        tree(&tokens, index + 1, Vec::new(), &mut leaves)?;
        for leaf in leaves {
            let last = leaf.alias.clone().or_else(|| leaf.names.last().cloned());
            taken.extend(last.map(|name| (name, leaf.names)));
        }
    }
    Ok(taken)
}

/// The first thing that a file holds itself: anything but modules, what is taken in, and constants that name nothing else.
pub(super) fn item_of(text: &str) -> Result<Option<String>, String> {
    const ITEMS: [&str; 9] =
        ["fn", "struct", "enum", "union", "trait", "impl", "type", "static", "macro_rules"];
    let tokens = tokens(text)?;
    let is_item = |(index, token): (usize, &TokenTree)| {
        let TokenTree::Ident(word) = token else { return None };
        let end = || tokens[index..].iter().position(|token| is_mark(Some(token), ';')).unwrap_or(0);
        let names_others = || (index..index + end()).any(|index| is_colons(&tokens, index));
        let is_one = ITEMS.iter().any(|item| word == item) || word == "const" && names_others();
        is_one.then(|| word.to_string())
    };
    Ok(tokens.iter().enumerate().find_map(is_item))
}

fn tokens(text: &str) -> Result<Vec<TokenTree>, String> {
    let stream: TokenStream = text.parse().map_err(|error| format!("is no Rust: {error}"))?;
    Ok(stream.into_iter().collect())
}

struct Finder<'a> {
    own: &'a str,
    found: Vec<Reach>,
}

impl Finder<'_> {
    fn look(&mut self, tokens: &[TokenTree], module: &[String], is_test: bool) -> Result<(), String> {
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            index += 1;
            match token {
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    match inner_module(tokens, index - 1) {
                        Some(name) => {
                            let module: Vec<String> = module.iter().cloned().chain([name]).collect();
                            self.look(&inner, &module, is_test || is_for_tests(tokens, index - 3))?;
                        }
                        None => self.look(&inner, module, is_test)?,
                    }
                }
                TokenTree::Ident(word) => self.word(word, tokens, index - 1, module, is_test)?,
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
        Ok(())
    }

    fn word(
        &mut self,
        word: &Ident,
        tokens: &[TokenTree],
        index: usize,
        module: &[String],
        is_test: bool,
    ) -> Result<(), String> {
        let (name, line) = (word.to_string(), word.span().start().line);
        let fault = |what: &str| Err(format!("line {line}: {what}"));
        let goes_on = is_colons(tokens, index + 1);
        match name.as_str() {
            "path" if is_mark(tokens.get(index + 1), '=') && tokens.len() == 3 => {
                return fault("`#[path]` gives a module another file");
            }
            "include" if is_mark(tokens.get(index + 1), '!') => {
                return fault("`include!` puts in another file");
            }
            "extern" if tokens.get(index + 1).is_some_and(|next| is_word(next, "crate")) => {
                return fault("`extern crate` may give the crate a second name");
            }
            _ if name == self.own && goes_on => return fault("the crate is called by its own name"),
            "crate" | "super" | "self" if goes_on && !is_colons_before(tokens, index) => {}
            "crate" if is_word_before(tokens, index, "use") => return fault("the crate gets a second name"),
            _ => return Ok(()),
        }
        let mut leaves = Vec::new();
        tree(tokens, index, module.to_vec(), &mut leaves).map_err(|error| format!("line {line}: {error}"))?;
        for Leaf { names, .. } in leaves {
            match names.first().map(String::as_str) {
                None => return fault("the crate's root gets a second name"),
                Some("*") => return fault("all of the crate's root is taken in"),
                Some(_) => self.found.push(Reach { line, names, is_test }),
            }
        }
        Ok(())
    }
}

/// The end of one branch of a tree of paths.
struct Leaf {
    names: Vec<String>,
    alias: Option<String>,
}

/// Follows the tree of paths whose first word is at `index`. `base` is what stands before it: of `super`, where it is written.
fn tree(
    tokens: &[TokenTree],
    mut index: usize,
    base: Vec<String>,
    leaves: &mut Vec<Leaf>,
) -> Result<(), String> {
    let mut names = base;
    loop {
        match tokens.get(index) {
            Some(TokenTree::Ident(word)) => match word.to_string().trim_start_matches("r#") {
                "crate" => names.clear(),
                "super" => {
                    names.pop().ok_or("goes up above the crate's root")?;
                }
                "self" => {}
                name => names.push(name.to_owned()),
            },
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in
                    inner.split(|token| is_mark(Some(token), ',')).filter(|branch| !branch.is_empty())
                {
                    tree(branch, 0, names.clone(), leaves)?;
                }
                return Ok(());
            }
            Some(TokenTree::Punct(mark)) if mark.as_char() == '*' => names.push("*".to_owned()),
            // The arguments of a generic: what is in them is found by itself.
            _ => break,
        }
        index += 1;
        if !is_colons(tokens, index) {
            break;
        }
        index += 2;
    }
    let alias = match (tokens.get(index), tokens.get(index + 1)) {
        (Some(word), Some(TokenTree::Ident(alias))) if is_word(word, "as") => Some(alias.to_string()),
        _ => None,
    };
    leaves.push(Leaf { names, alias });
    Ok(())
}

/// The name of the module whose body is the group at `index`.
fn inner_module(tokens: &[TokenTree], index: usize) -> Option<String> {
    let (keyword, name) = (tokens.get(index.checked_sub(2)?)?, tokens.get(index - 1)?);
    match name {
        TokenTree::Ident(name) if is_word(keyword, "mod") => Some(name.to_string()),
        _ => None,
    }
}

/// Whether `#[cfg(test)]` stands before the item that begins at `index`, its visibility or other attributes between.
fn is_for_tests(tokens: &[TokenTree], index: usize) -> bool {
    let before = tokens.get(..index).unwrap_or_default().iter().rev();
    let attributes = before.take_while(|token| match token {
        TokenTree::Group(group) => group.delimiter() != Delimiter::Brace,
        TokenTree::Ident(word) => word == "pub",
        TokenTree::Punct(mark) => mark.as_char() == '#',
        TokenTree::Literal(_) => false,
    });
    attributes.into_iter().any(|token| match token {
        TokenTree::Group(group) => group.stream().to_string().replace(' ', "") == "cfg(test)",
        _ => false,
    })
}

fn is_word(token: &TokenTree, wanted: &str) -> bool {
    matches!(token, TokenTree::Ident(word) if word == wanted)
}

fn is_word_before(tokens: &[TokenTree], index: usize, wanted: &str) -> bool {
    index.checked_sub(1).and_then(|index| tokens.get(index)).is_some_and(|token| is_word(token, wanted))
}

fn is_mark(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == wanted)
}

/// Whether `::` stands at `index`.
fn is_colons(tokens: &[TokenTree], index: usize) -> bool {
    is_mark(tokens.get(index), ':') && is_mark(tokens.get(index + 1), ':')
}

fn is_colons_before(tokens: &[TokenTree], index: usize) -> bool {
    index.checked_sub(2).is_some_and(|index| is_colons(tokens, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file of the module `a::b` reaches.
    fn found(text: &str) -> Vec<String> {
        let module = ["a".to_owned(), "b".to_owned()];
        let found = reaches(text, &module, "own", false).expect(text);
        found.into_iter().map(|reach| reach.names.join("::")).collect()
    }

    fn is_refused(text: &str) -> bool {
        reaches(text, &["a".to_owned()], "own", false).is_err()
    }

    #[test]
    fn a_use_is_followed_into_its_groups() {
        assert_eq!(found("use crate::x::Y;"), ["x::Y"]);
        assert_eq!(found("use crate::{x::{self, Y}, z};"), ["x", "x::Y", "z"]);
        assert_eq!(found("pub(crate) use crate::{x::{y::*, Z as A}};"), ["x::y::*", "x::Z"]);
        assert_eq!(found("use {crate::x, std::fmt, super::c::D,};"), ["x", "a::c::D"]);
    }

    #[test]
    fn a_path_that_goes_up_is_written_out_from_the_root() {
        assert_eq!(
            found("use super::c; use super::super::x::Y; use self::d::E;"),
            ["a::c", "x::Y", "a::b::d::E"]
        );
        assert_eq!(found("mod tests { use super::*; use super::super::c; }"), ["a::b::*", "a::c"]);
        assert_eq!(found("mod one { mod two { fn f() { super::super::super::super::x::y() } } }"), ["x::y"]);
        assert_eq!(found("pub(in super::super::a) fn f() {}"), ["a"]);
    }

    #[test]
    fn a_path_counts_wherever_it_stands() {
        assert_eq!(
            found("fn f() -> crate::x::Y<crate::z::W> { crate::v::w::<super::T>()() }"),
            ["x::Y", "z::W", "v::w", "a::T"]
        );
        assert_eq!(
            found("fn f() { format!(\"{}\", [crate::x::y(1), if super::c::is() { 1 } else { 2 }]) }"),
            ["x::y", "a::c::is"]
        );
        assert_eq!(found("macro_rules! m { () => { $crate::x::y!() } }"), ["x::y"]);
        assert_eq!(
            found("impl crate::x::Y for super::Z {} #[derive(crate::q::D)] struct S;"),
            ["x::Y", "a::Z", "q::D"]
        );
        assert_eq!(found("use crate::r#type::T;"), ["type::T"]);
    }

    #[test]
    fn words_that_are_no_paths_are_none() {
        let text = "//! crate::x\n/// [`crate::y`]\npub(crate) fn f(self) { let s = \"crate::z\"; self.a(); /* super::b */ }";
        assert_eq!(found(text), Vec::<String>::new());
        assert_eq!(
            found("fn f<'a>(x: &'a str) { let c = 'c'; std::crate_x::super_y(); Self::g(r#\"crate::x\"#) }")
                .len(),
            0
        );
    }

    #[test]
    fn what_is_for_tests_alone_is_told_from_the_rest() {
        let text = "use crate::x; #[cfg(test)] mod fakes { use crate::y; mod deep { use crate::z; } } \
                    #[cfg(test)] #[allow(unused)] pub(crate) mod more { use crate::v; } \
                    #[cfg(test)] const A: () = {}; mod real { use crate::w; }";
        let found = reaches(text, &["a".to_owned()], "own", false).expect("Rust");
        let of = |is_test: bool| {
            let of: Vec<_> =
                found.iter().filter(|reach| reach.is_test == is_test).map(Reach::shown).collect();
            of.join(" ")
        };
        assert_eq!(of(false), "crate::x crate::w");
        assert_eq!(of(true), "crate::y crate::z crate::v");
        assert!(reaches("use crate::x;", &[], "own", true).expect("Rust")[0].is_test);
    }

    #[test]
    fn a_file_of_tests_is_known_by_who_declares_it() {
        let text = "mod a; #[cfg(test)] mod tests; #[cfg(test)]\n/// Laws.\npub(crate) mod laws; #[cfg(unix)] mod b; mod c {}";
        assert_eq!(test_modules(text).expect("Rust"), ["tests", "laws"]);
    }

    #[test]
    fn what_could_hide_a_path_is_refused() {
        for text in [
            "use crate::*;",
            "use crate::{self as all};",
            "use crate as all;",
            "use super::*;",
            "use super::{self as all, b};",
            "use super::super::b;",
            "extern crate self as own;",
            "fn f() { own::x::y() }",
            "#[path = \"../x.rs\"] mod x;",
            "include!(\"../x.rs\");",
            "fn f( {",
        ] {
            assert!(is_refused(text), "{text}");
        }
        for text in
            ["use crate::x;", "use super::b;", "fn f(own: u8, path: u8) { let _ = (own, path == 1); }"]
        {
            assert!(!is_refused(text), "{text}");
        }
    }

    #[test]
    fn a_file_that_only_declares_is_told_from_one_that_holds_something() {
        let item = |text: &str| item_of(text).expect("Rust");
        let declares = "//! A room.\npub mod a; mod b; pub use a::{B, C}; #[cfg(test)] mod tests;\n\
                        /// How many.\npub const MOST: usize = 3;";
        assert_eq!(item(declares), None);
        assert_eq!(item("mod a; pub struct B(u8);").as_deref(), Some("struct"));
        assert_eq!(item("mod a; const B: u8 = a::C;").as_deref(), Some("const"));
        assert_eq!(item("mod a; const fn b() {}").as_deref(), Some("fn"));
    }

    #[test]
    fn what_a_file_takes_in_is_known_by_its_name() {
        let taken =
            taken_in("mod a; pub use a::{B, C as D}; use crate::x; pub(crate) use a::e;").expect("Rust");
        let of = |name: &str| taken.get(name).map(|names| names.join("::"));
        assert_eq!(of("B").as_deref(), Some("a::B"));
        assert_eq!((of("D").as_deref(), of("C")), (Some("a::C"), None));
        assert_eq!((of("e").as_deref(), of("x").as_deref()), (Some("a::e"), Some("x")));
    }
}
