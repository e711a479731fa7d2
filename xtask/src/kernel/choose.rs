//! Chooses a kernel package by pattern: versions vanish from a mirror as new ones come, so none is written down.
//! Pure. Debian's forms: `linux-image-REL-amd64[-unsigned]` with everything inside, and the split one where the image
//! is in `linux-binary-REL-amd64` and the modules in `linux-modules-REL-amd64`. Cloud, real-time and debug flavours
//! are never taken: cloud kernels have no zswap.

use std::cmp::Reverse;

use crate::apt::Package;

/// A kernel that can be fetched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// `uname -r`: `6.12.117+deb12-amd64`.
    pub(crate) release: String,
    /// The packages that make it up, all of one version.
    pub(crate) packages: Vec<Package>,
}

/// All complete kernels of the series `version`, newest first.
pub(crate) fn candidates(version: &str, packages: &[Package]) -> Vec<Candidate> {
    let mut releases: Vec<(String, &str)> = packages
        .iter()
        .filter_map(|package| Some((release_of(version, &package.name)?, package.version.as_str())))
        .collect();
    releases.sort_by_key(|(release, version)| Reverse((ordinal(release), ordinal(version))));
    releases.dedup();
    releases
        .iter()
        .filter_map(|(release, version)| {
            let packages = assemble(release, version, packages)?;
            Some(Candidate { release: release.clone(), packages })
        })
        .collect()
}

/// The packages of one release, or `None` when it is incomplete.
fn assemble(release: &str, version: &str, packages: &[Package]) -> Option<Vec<Package>> {
    let find = |kind: &str, suffix: &str| {
        let name = format!("linux-{kind}-{release}{suffix}");
        packages.iter().find(|package| package.name == name && package.version == version).cloned()
    };
    let either = |kind: &str| find(kind, "-unsigned").or_else(|| find(kind, ""));
    match either("binary") {
        // modules.builtin and the configuration are in `linux-base`, where that exists.
        Some(binary) => {
            let base = find("base", "");
            Some([Some(binary), Some(find("modules", "")?), base].into_iter().flatten().collect())
        }
        None => Some(vec![either("image")?]),
    }
}

/// `linux-image-6.12.117+deb12-amd64-unsigned` → `6.12.117+deb12-amd64`, only for the generic amd64 flavour.
fn release_of(version: &str, name: &str) -> Option<String> {
    let rest = name.strip_prefix("linux-image-").or_else(|| name.strip_prefix("linux-binary-"))?;
    let release = rest.strip_suffix("-unsigned").unwrap_or(rest);
    let middle = release.strip_suffix("-amd64")?.strip_prefix(version)?.strip_prefix('.')?;
    let is_generic = middle.split('-').all(|part| part != "cloud" && part != "rt");
    is_generic.then(|| release.to_owned())
}

/// The numbers of a version in order: enough to tell which of one series is newer.
fn ordinal(version: &str) -> Vec<u64> {
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::candidates;
    use crate::apt::Package;

    fn package(name: &str, version: &str) -> Package {
        Package { name: name.to_owned(), version: version.to_owned() }
    }

    fn names(version: &str, packages: &[Package]) -> Vec<Vec<String>> {
        let all = candidates(version, packages);
        all.into_iter().map(|one| one.packages.into_iter().map(|package| package.name).collect()).collect()
    }

    #[test]
    fn the_newest_is_chosen_by_number_and_not_by_letter() {
        let packages = [
            package("linux-image-6.12.9+deb12-amd64-unsigned", "6.12.9-1~deb12u1"),
            package("linux-image-6.12.117+deb12-amd64-unsigned", "6.12.117-1~deb12u1"),
        ];
        assert_eq!(names("6.12", &packages)[0], ["linux-image-6.12.117+deb12-amd64-unsigned"]);
    }

    #[test]
    fn other_flavours_and_other_series_are_never_taken() {
        let packages = [
            package("linux-image-6.1.0-53-cloud-amd64-unsigned", "6.1.170-1"),
            package("linux-image-6.1.0-53-rt-amd64", "6.1.170-1"),
            package("linux-image-6.1.0-53-amd64-dbg", "6.1.170-1"),
            package("linux-image-6.12.0-1-amd64", "6.12.1-1"),
            package("linux-image-amd64-signed-template", "6.1.170-1"),
        ];
        assert_eq!(names("6.1", &packages), Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_split_kernel_needs_modules_of_the_same_version() {
        let packages = [
            package("linux-image-7.2.12+deb13-amd64", "7.2.12-1~bpo13+1"),
            package("linux-binary-7.2.12+deb13-amd64", "7.2.12-1~bpo13+1"),
            package("linux-image-7.2.11+deb13-amd64", "7.2.11-1~bpo13+1"),
            package("linux-binary-7.2.11+deb13-amd64", "7.2.11-1~bpo13+1"),
            package("linux-modules-7.2.11+deb13-amd64", "7.2.11-1~bpo13+1"),
            package("linux-base-7.2.11+deb13-amd64", "7.2.11-1~bpo13+1"),
        ];
        // 7.2.12 is newer, but its modules are gone from the mirror.
        assert_eq!(
            names("7.2", &packages),
            [[
                "linux-binary-7.2.11+deb13-amd64",
                "linux-modules-7.2.11+deb13-amd64",
                "linux-base-7.2.11+deb13-amd64"
            ]]
        );
    }
}
