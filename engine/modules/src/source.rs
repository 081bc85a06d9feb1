//! Sources as they are written, taken apart: what to fetch, and which folder of it is the module.
//!
//! The one decision: everything is judged here, before anything is run or asked: only known transports,
//! plain http to this machine alone, no secrets, nothing that a program could take for an option.

use reqwest::Url;

use crate::http;

/// A source, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    /// The source as written without the folder within: modules that agree in it are fetched once.
    pub(crate) package: String,
    /// The folder within, without slashes around it; empty for all of it.
    pub(crate) sub: String,
    /// How it is fetched.
    pub(crate) kind: Kind,
}

/// How a package is fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// From a git repository.
    Git {
        /// As git takes it.
        url: String,
        /// The only transport that git may use.
        transport: &'static str,
        /// Branch, tag or commit; the repository's default without.
        reference: Option<String>,
    },
    /// From an archive behind a URL.
    Archive {
        /// Where.
        url: Url,
        /// How it is packed.
        format: Format,
        /// The SHA-256 that it must have, in hex.
        checksum: Option<String>,
    },
    /// From an OCI registry.
    Oci {
        /// Host and port.
        registry: String,
        /// The repository's name.
        repository: String,
        /// A tag, or a digest `sha256:...`.
        reference: String,
    },
}

/// How an archive is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// tar
    Tar,
    /// tar within gzip
    TarGz,
    /// zip
    Zip,
}

const KNOWN: &str = "Known are folders (\"./name\"), git repositories (\"git::https://host/repository.git?ref=v1.2\", \
                     \"git::ssh://git@host/repository.git\", \"git@host:group/repository.git\", \"github.com/owner/name\"), \
                     archives (\"https://host/name.tar.gz\") and OCI registries (\"oci://host/name?tag=v1.2\")";

impl Source {
    /// Takes a source apart.
    ///
    /// # Errors
    /// What is wrong with it and what to write, as sentences. They quote no part that may be a secret.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '#' | '"')) {
            return Err("A source is one word without blanks, quotes, backslashes and \"#\".".to_owned());
        }
        let (place, query) = text.split_once('?').map_or((text, None), |(place, query)| (place, Some(query)));
        let from = place.find("://").map_or(0, |at| at + 3);
        let (place, sub) = match place[from..].find("//") {
            Some(at) => (&place[..from + at], place[from + at..].trim_matches('/')),
            None => (place, ""),
        };
        if sub.split('/').any(|part| matches!(part, "." | "..") || part.contains('*')) {
            return Err("The folder after \"//\" is written without \".\", \"..\" and \"*\".".to_owned());
        }
        let package = query.map_or_else(|| place.to_owned(), |query| format!("{place}?{query}"));
        let options = Options::parse(query)?;
        let kind = if let Some(url) = place.strip_prefix("git::") {
            git(url, options)?
        } else if let Some(place) = place.strip_prefix("oci://") {
            oci(place, options)?
        } else if place.starts_with("https://") || place.starts_with("http://") {
            archive(place, options)?
        } else if let Some(name) = place.strip_prefix("github.com/") {
            let [owner, name] = name.split('/').collect::<Vec<_>>()[..] else {
                return Err("A source at github.com is written as github.com/owner/name, and a folder of it as \
                            github.com/owner/name//folder."
                    .to_owned());
            };
            git(&format!("https://github.com/{owner}/{}.git", name.trim_end_matches(".git")), options)?
        } else if scp(place).is_some() {
            git(place, options)?
        } else {
            return Err(unknown(place));
        };
        Ok(Self { package, sub: sub.to_owned(), kind })
    }
}

/// Why a source is none.
fn unknown(place: &str) -> String {
    let parts: Vec<&str> = place.split('/').collect();
    let word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if place.starts_with('/') || place.starts_with('~') || place.starts_with("file:") {
        return "A folder is written relative to the module that calls it, as in \"../modules/name\"; a repository on \
                this machine as \"git::file:///path/to/repository\"."
            .to_owned();
    }
    if matches!(parts.len(), 3 | 4) && parts.iter().all(word) {
        return format!(
            "It is written like a module of a registry, and registries of modules are not supported: name the place \
             that the registry would name. {KNOWN}."
        );
    }
    if parts.len() <= 2 && parts.iter().all(word) {
        return format!("A folder beside this one is written with \"./\" before it. {KNOWN}.");
    }
    format!("No way is known to fetch it. {KNOWN}.")
}

/// What stands after the question mark.
struct Options(Vec<(String, String)>);

impl Options {
    fn parse(query: Option<&str>) -> Result<Self, String> {
        let url = Url::parse(&format!("x://x?{}", query.unwrap_or_default())).map_err(|e| format!("{e}."))?;
        let pairs: Vec<(String, String)> = url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        for (i, (name, _)) in pairs.iter().enumerate() {
            let lower = name.to_ascii_lowercase();
            let secret = ["token", "secret", "password", "signature", "credential", "apikey", "api_key", "sshkey"];
            if lower == "sig" || secret.iter().any(|word| lower.contains(word)) {
                return Err(format!(
                    "{name:?} looks like a secret, and sources are shown and kept in the lock file. Git asks ssh and \
                     its credential helpers, OCI registries get what docker login has kept."
                ));
            }
            if pairs[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(format!("{name:?} is given twice."));
            }
        }
        Ok(Self(pairs))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Nothing may be left.
    fn finish(self, known: &str) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(format!("{name:?} means nothing here. After the question mark stand {known}.")),
            None => Ok(()),
        }
    }
}

const NO_PASSWORD: &str = "A source has no user and no password in it: it is shown and kept in the lock file. Give them to git \
                           with a credential helper (git help credentials); an OCI registry gets what docker login has kept; \
                           ssh has its own keys and takes a user name.";

/// User, host and path of `user@host:path`.
fn scp(text: &str) -> Option<(&str, &str, &str)> {
    let (user, rest) = text.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    (!user.contains(['/', ':']) && !host.contains('/') && !path.is_empty()).then_some((user, host, path))
}

/// A name that no program takes for an option.
fn harmless(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

fn git(url: &str, mut options: Options) -> Result<Kind, String> {
    let reference = options.take("ref");
    // Only the wanted commit is fetched anyway.
    if options.take("depth").is_some_and(|depth| !depth.parse::<u32>().is_ok_and(|n| n > 0)) {
        return Err("depth is a whole number from 1.".to_owned());
    }
    options.finish("ref and depth")?;
    if let Some(reference) = &reference
        && (!harmless(reference)
            || reference.contains("..")
            || reference.contains("@{")
            || reference.ends_with('/')
            || reference.contains(['~', '^', ':', '?', '*', '[']))
    {
        return Err(format!("{reference:?} cannot be the name of a branch, a tag or a commit."));
    }
    let done = |transport| Ok(Kind::Git { url: url.to_owned(), transport, reference: reference.clone() });
    if !url.contains("://")
        && let Some((user, host, _)) = scp(url)
    {
        if !harmless(user) || !harmless(host) {
            return Err("User and host of a repository start with a letter or a digit.".to_owned());
        }
        return done("ssh");
    }
    let parsed = Url::parse(url).map_err(|_| {
        "A git repository is written as git::https://host/path.git, git::ssh://git@host/path.git, git@host:path.git or \
         git::file:///path."
            .to_owned()
    })?;
    let host = parsed.host_str().unwrap_or_default();
    match parsed.scheme() {
        "https" | "http" | "ssh" if host.is_empty() => Err("The URL of the repository names no host.".to_owned()),
        "ssh" if parsed.password().is_some() => Err(NO_PASSWORD.to_owned()),
        "ssh"
            if !harmless(host.trim_start_matches('['))
                || !(parsed.username().is_empty() || harmless(parsed.username())) =>
        {
            Err("User and host of a repository start with a letter or a digit.".to_owned())
        }
        "ssh" => done("ssh"),
        "https" | "http" => {
            http::permitted(&parsed)?;
            no_user(&parsed)?;
            done(if parsed.scheme() == "https" { "https" } else { "http" })
        }
        "file" if host.is_empty() && parsed.path().len() > 1 => done("file"),
        "file" => Err("A repository on this machine is written as git::file:///path/to/repository.".to_owned()),
        other => Err(format!("Git repositories are reached with https, ssh and file, not with {other:?}.")),
    }
}

fn no_user(url: &Url) -> Result<(), String> {
    // A user alone may be a token.
    if url.username().is_empty() && url.password().is_none() { Ok(()) } else { Err(NO_PASSWORD.to_owned()) }
}

fn archive(place: &str, mut options: Options) -> Result<Kind, String> {
    let mut url = Url::parse(place).map_err(|e| format!("The URL of the archive cannot be read: {e}."))?;
    no_user(&url)?;
    http::permitted(&url)?;
    let format = match options.take("archive") {
        Some(name) => Format::of(&name, true),
        None => Format::of(url.path(), false),
    };
    let format = format.ok_or_else(|| {
        let hint = if url.path().ends_with(".git") { " For a git repository write \"git::\" before it." } else { "" };
        format!(
            "The archive's name does not end with .tar, .tar.gz, .tgz or .zip. Say what it is after a question mark: \
             archive=tar, tar.gz, tgz or zip.{hint}"
        )
    })?;
    let checksum = options.take("checksum").map(|text| digest(&text)).transpose()?;
    // What is left is the server's.
    if !options.0.is_empty() {
        url.query_pairs_mut().extend_pairs(&options.0);
    }
    Ok(Kind::Archive { url, format, checksum })
}

/// The hex digits of `sha256:...`.
fn digest(text: &str) -> Result<String, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(hex.to_ascii_lowercase());
    }
    Err(format!("{text:?} is no SHA-256, which is written as sha256: with 64 hex digits."))
}

impl Format {
    fn of(name: &str, whole: bool) -> Option<Self> {
        let is = |ending: &str| if whole { name == ending } else { name.ends_with(&format!(".{ending}")) };
        if is("tar.gz") || is("tgz") {
            Some(Self::TarGz)
        } else if is("tar") {
            Some(Self::Tar)
        } else {
            is("zip").then_some(Self::Zip)
        }
    }
}

fn oci(place: &str, mut options: Options) -> Result<Kind, String> {
    let shape = || {
        "A module in an OCI registry is written as oci://host/name, with ?tag=v1.2 or ?digest=sha256:... after it."
            .to_owned()
    };
    let (registry, name) = place.split_once('/').ok_or_else(shape)?;
    let (repository, written) = name.split_once(':').map_or((name, None), |(name, tag)| (name, Some(tag.to_owned())));
    let tag = options.take("tag");
    let digest = options.take("digest").map(|text| digest(&text)).transpose()?;
    options.finish("tag or digest")?;
    let url = Url::parse(&format!("https://{registry}/")).map_err(|_| shape())?;
    no_user(&url)?;
    let part =
        |p: &str| harmless(p) && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if !repository.split('/').all(part) {
        return Err("The name of an OCI repository consists of small letters, digits, \".\", \"_\" and \"-\", with \
                    \"/\" between its parts."
            .to_owned());
    }
    let reference = match (written, tag, digest) {
        (None, None, None) => "latest".to_owned(),
        (Some(tag), None, None) | (None, Some(tag), None) => tag,
        (None, None, Some(digest)) => format!("sha256:{digest}"),
        _ => return Err("A tag and a digest are given, or two tags: one of them says what is meant.".to_owned()),
    };
    let tag =
        |t: &str| harmless(t) && t.len() <= 128 && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !reference.starts_with("sha256:") && !tag(&reference) {
        return Err(format!("{reference:?} cannot be a tag."));
    }
    Ok(Kind::Oci { registry: registry.to_owned(), repository: repository.to_owned(), reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Source::parse(text) {
            Ok(Source { package, sub, kind }) => {
                let kind = match kind {
                    Kind::Git { url, transport, reference } => {
                        format!("git {transport} {url} {}", reference.unwrap_or_default())
                    }
                    Kind::Archive { url, format, checksum } => {
                        format!("{format:?} {url} {}", checksum.unwrap_or_default())
                    }
                    Kind::Oci { registry, repository, reference } => format!("oci {registry} {repository} {reference}"),
                };
                format!("{package} | {sub} | {}", kind.trim_end())
            }
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn sources_are_taken_apart() {
        let hex = "a".repeat(64);
        let cases = [
            ("git::https://h/r.git", "git::https://h/r.git |  | git https https://h/r.git"),
            (
                "git::https://h/r.git//a/b?ref=v1&depth=1",
                "git::https://h/r.git?ref=v1&depth=1 | a/b | git https https://h/r.git v1",
            ),
            (
                "git::ssh://git@h:22/r.git?ref=feature/x",
                "git::ssh://git@h:22/r.git?ref=feature/x |  | git ssh ssh://git@h:22/r.git feature/x",
            ),
            ("git@h:o/r.git//sub", "git@h:o/r.git | sub | git ssh git@h:o/r.git"),
            ("git::git@h:o/r.git", "git::git@h:o/r.git |  | git ssh git@h:o/r.git"),
            ("git::file:///srv/r.git//m", "git::file:///srv/r.git | m | git file file:///srv/r.git"),
            (
                "git::http://127.0.0.1:8080/r.git",
                "git::http://127.0.0.1:8080/r.git |  | git http http://127.0.0.1:8080/r.git",
            ),
            ("github.com/o/r//m?ref=v1", "github.com/o/r?ref=v1 | m | git https https://github.com/o/r.git v1"),
            ("https://h/x.tar.gz//x-1/m", "https://h/x.tar.gz | x-1/m | TarGz https://h/x.tar.gz"),
            ("https://h/x?archive=zip&a=b", "https://h/x?archive=zip&a=b |  | Zip https://h/x?a=b"),
            ("http://[::1]:1/x.tar", "http://[::1]:1/x.tar |  | Tar http://[::1]:1/x.tar"),
            ("oci://h:5000/a/b//m?tag=v1", "oci://h:5000/a/b?tag=v1 | m | oci h:5000 a/b v1"),
            ("oci://h/a:v2", "oci://h/a:v2 |  | oci h a v2"),
            ("oci://h/a", "oci://h/a |  | oci h a latest"),
        ];
        for (text, want) in cases {
            assert_eq!(shown(text), want, "{text}");
        }
        assert!(shown(&format!("oci://h/a?digest=sha256:{hex}")).ends_with(&format!("a sha256:{hex}")));
        assert!(
            shown(&format!("https://h/x.zip?checksum=sha256:{}", hex.to_uppercase()))
                .ends_with(&format!("x.zip {hex}"))
        );
    }

    #[test]
    fn what_is_no_source_is_refused_with_the_way_out() {
        let cases = [
            ("hashicorp/consul/aws", "registry"),
            ("registry.example.com/ns/name/provider", "registry"),
            ("modules/x", "\"./\""),
            ("/srv/x", "relative to the module"),
            ("s3::https://h/x.zip", "No way is known"),
            ("git::https://user:canary@h/r.git", "credential helper"),
            ("git::https://canary@h/r.git", "credential helper"),
            ("git::ssh://git:canary@h/r.git", "credential helper"),
            ("https://user:canary@h/x.zip", "credential helper"),
            ("https://h/x.zip?access_token=canary", "looks like a secret"),
            ("git::ssh://git@h/r.git?sshkey=canary", "looks like a secret"),
            ("git::http://h.example/r.git", "https"),
            ("http://h.example/x.zip", "https"),
            ("git::ext::sh -c id", "one word"),
            ("git::ext::sh", "not with \"ext\""),
            ("git::ext://h/r", "not with \"ext\""),
            ("git::git://h/r.git", "not with \"git\""),
            ("git::ssh://-oProxyCommand=id/r.git", "start with a letter"),
            ("git::-u@h:x", "start with a letter"),
            ("git::x@-h:x", "start with a letter"),
            ("git::file://h/r.git", "git::file:///"),
            ("git::https://h/r.git?ref=--upload-pack=id", "cannot be the name"),
            ("git::https://h/r.git?ref=a:b", "cannot be the name"),
            ("git::https://h/r.git?depth=0", "depth"),
            ("git::https://h/r.git?submodules=1", "ref and depth"),
            ("git::https://h/r.git?ref=a&ref=b", "twice"),
            ("git::https://h/r.git//../x", "without \".\""),
            ("github.com/o", "github.com/owner/name"),
            ("https://h/r.git", "git::"),
            ("https://h/x.tar.gz?checksum=md5:0", "no SHA-256"),
            ("oci://h", "oci://host/name"),
            ("oci://user:canary@h/a", "credential helper"),
            ("oci://h/A", "small letters"),
            ("oci://h/a:v1?tag=v2", "one of them"),
            ("oci://h/a?tag=-x", "cannot be a tag"),
        ];
        for (text, want) in cases {
            let error = Source::parse(text).expect_err(text);
            assert!(error.contains(want) && !error.contains("canary"), "{text}: {error}");
        }
    }
}
