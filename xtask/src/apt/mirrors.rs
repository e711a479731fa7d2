//! Which mirrors this machine uses for Debian: read from its own apt sources, both formats.
//! A candidate is only a guess here; the signature on its lists decides (`apt/mod.rs`).

use std::fs;
use std::path::Path;

use super::Archive;

/// Where Debian's archive is for those whose own sources do not say (Ubuntu, for one): debootstrap knows, in a line
/// `DEF_MIRROR="…"`. Set-up installs it where it is needed.
const DEBOOTSTRAP: &str = "/usr/sbin/debootstrap";
/// Overrides it.
const MIRROR_VARIABLE: &str = "SWAPTIER_DEBIAN_MIRROR";
/// Releases whose names mark a source as Debian's.
const RELEASES: [&str; 11] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "unstable",
    "testing",
    "stable",
    "oldstable",
    "oldoldstable",
];
/// Debian's own suites of a release.
const POCKETS: [&str; 6] =
    ["", "-updates", "-backports", "-security", "-proposed-updates", "-backports-sloppy"];

/// One line or stanza of an apt source.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
}

/// Whether the machine says anywhere where Debian's archive is.
pub(crate) fn is_known() -> bool {
    !of_machine(Archive::Debian).is_empty()
}

/// Candidates for `archive`, best first, the default of debootstrap last.
pub(crate) fn of_machine(archive: Archive) -> Vec<String> {
    let mut sources = read_sources(Path::new("/etc/apt/sources.list"));
    let mut parts: Vec<_> = fs::read_dir("/etc/apt/sources.list.d")
        .map(|dir| dir.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    parts.sort();
    for path in parts {
        sources.extend(read_sources(&path));
    }
    let default = std::env::var(MIRROR_VARIABLE)
        .ok()
        .or_else(|| default_mirror(&fs::read_to_string(DEBOOTSTRAP).ok()?));
    candidates(&sources, default.as_deref(), archive)
}

fn default_mirror(debootstrap: &str) -> Option<String> {
    let line = debootstrap.lines().find_map(|line| line.trim().strip_prefix("DEF_MIRROR="))?;
    let mirror = line.trim_matches('"');
    mirror.contains("://").then(|| mirror.trim_end_matches('/').to_owned())
}

fn read_sources(path: &Path) -> Vec<Source> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("list") => text.lines().filter_map(parse_line).collect(),
        Some("sources") => parse_deb822(&text),
        _ => Vec::new(),
    }
}

fn candidates(sources: &[Source], default: Option<&str>, archive: Archive) -> Vec<String> {
    let of_archive = |suite: &String| {
        is_debian_suite(suite) && suite.ends_with("-security") == (archive == Archive::Security)
    };
    let mut found: Vec<String> = Vec::new();
    for source in sources {
        if source.components.iter().any(|it| it == "main") && source.suites.iter().any(of_archive) {
            found.extend(source.uris.iter().map(|uri| uri.trim_end_matches('/').to_owned()));
        }
    }
    found.extend(default.map(|mirror| match archive {
        Archive::Debian => mirror.to_owned(),
        // Beside the archive on every mirror that has both.
        Archive::Security => format!("{mirror}-security"),
    }));
    // Third parties use Debian's release names too; a path that ends like an archive's is the better guess.
    found.sort_by_key(|uri| !(uri.ends_with("/debian") || uri.ends_with("/debian-security")));
    let mut unique = Vec::new();
    for uri in found {
        if !unique.contains(&uri) {
            unique.push(uri);
        }
    }
    unique
}

fn is_debian_suite(suite: &str) -> bool {
    RELEASES.iter().any(|release| suite.strip_prefix(release).is_some_and(|pocket| POCKETS.contains(&pocket)))
}

/// `deb [options] uri suite component…`
fn parse_line(line: &str) -> Option<Source> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb ")?.trim();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source { uris: vec![words.next()?], suites: vec![words.next()?], components: words.collect() })
}

/// Stanzas of `Key: value`, parted by empty lines, values continued on indented lines.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let (mut source, mut is_binary, mut is_enabled, mut key) =
        (Source::default(), false, true, String::new());
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            if is_binary && is_enabled {
                sources.push(std::mem::take(&mut source));
            }
            (source, is_binary, is_enabled) = (Source::default(), false, true);
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let value = if line.starts_with([' ', '\t']) {
            line
        } else {
            let Some((name, value)) = line.split_once(':') else { continue };
            key = name.trim().to_ascii_lowercase();
            value
        };
        let mut words = value.split_whitespace().map(str::to_owned);
        match key.as_str() {
            "types" => is_binary |= words.any(|word| word == "deb"),
            "enabled" => is_enabled = !words.any(|word| word == "no"),
            "uris" => source.uris.extend(words),
            "suites" => source.suites.extend(words),
            "components" => source.components.extend(words),
            _ => {}
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::{Archive, Source, default_mirror, parse_deb822, parse_line};

    fn candidates(sources: &[Source], archive: Archive) -> Vec<String> {
        super::candidates(sources, Some("http://default.example/debian"), archive)
    }

    #[test]
    fn the_default_is_read_from_debootstrap() {
        let script =
            "set -e\nDEF_MIRROR=\"http://default.example/debian\"\nDEF_HTTPS_MIRROR=\"https://other\"\n";
        assert_eq!(default_mirror(script).as_deref(), Some("http://default.example/debian"));
        assert_eq!(default_mirror("DEF_MIRROR=$1"), None);
    }

    const DEB822: &str = "\
# A comment.
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: trixie
Components: main
";

    #[test]
    fn both_archives_are_found_in_a_deb822_file() {
        let sources = parse_deb822(DEB822);
        assert_eq!(
            candidates(&sources, Archive::Debian),
            ["http://mirror.example/debian", "http://default.example/debian"]
        );
        assert_eq!(
            candidates(&sources, Archive::Security),
            ["http://mirror.example/debian-security", "http://default.example/debian-security"]
        );
    }

    #[test]
    fn a_one_line_source_with_options_is_read() {
        let line = "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian sid main # ours";
        let source = parse_line(line).expect("a source line");
        assert_eq!(candidates(&[source], Archive::Debian)[0], "http://mirror.example/debian");
        assert_eq!(parse_line("# deb http://mirror.example/debian sid main"), None);
    }

    #[test]
    fn another_distribution_falls_back_to_the_default() {
        let ubuntu =
            parse_line("deb http://archive.example/ubuntu noble-security main").expect("a source line");
        assert_eq!(candidates(&[ubuntu], Archive::Security), ["http://default.example/debian-security"]);
    }

    #[test]
    fn a_third_party_with_a_debian_release_name_comes_after_debian() {
        let vendor = parse_line("deb https://vendor.example/apt bookworm main").expect("a source line");
        assert_eq!(
            candidates(&[vendor], Archive::Debian),
            ["http://default.example/debian", "https://vendor.example/apt"]
        );
    }
}
