//! Whether a chain answers a request and leads to the root.
//!
//! The one decision: the answer is a list of all problems in words that an administrator can act
//! on, not the first error of a path builder; an empty list opens the gate.
//!
//! Expected is the form that istiod reads as `cert-chain.pem`: the certificate of the request first,
//! each next one signing the one before, the root last.

use crate::{CertificateInfo, CsrInfo, parse_certificates, parse_csr};

/// What to judge.
#[derive(Clone, Copy, Debug)]
pub struct ChainRequest<'a> {
    /// The request that was to be signed.
    pub csr_pem: &'a str,
    /// What came back.
    pub chain_pem: &'a str,
    /// The root that the chain must lead to.
    pub root_pem: &'a str,
    /// The time, seconds since 1970.
    pub now_unix: i64,
    /// The public key (hex SHA-256 of the SubjectPublicKeyInfo) of the request that was exported
    /// before, if there was one: tells a chain for an old request from one for a foreign key.
    pub previous_spki_sha256: Option<&'a str>,
}

/// The judgement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChainReport {
    /// Sentences; none means that the chain is good.
    pub problems: Vec<String>,
    /// The subject of the first certificate.
    pub subject: Option<String>,
    /// The issuer of the first certificate.
    pub issuer: Option<String>,
    /// The serial number of the first certificate, hexadecimal.
    pub serial_hex: Option<String>,
    /// When the first certificate of the chain to do so ends, RFC 3339 in UTC.
    pub not_after: Option<String>,
    /// SHA-256 of the first certificate.
    pub sha256: Option<String>,
    /// SHA-256 of the public key of the first certificate.
    pub spki_sha256: Option<String>,
    /// All certificates in the order given.
    pub certificates: Vec<CertificateInfo>,
}

impl ChainReport {
    /// Whether there is no problem.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Judges a chain.
pub fn verify_chain(request: &ChainRequest<'_>) -> ChainReport {
    let mut report = ChainReport::default();
    let csr = keep(&mut report.problems, "The request (CSR) is not readable", parse_csr(request.csr_pem));
    let chain = keep(&mut report.problems, "The chain is not readable", parse_certificates(request.chain_pem));
    let root = keep(&mut report.problems, "The root is not readable", parse_certificates(request.root_pem));
    let (Some(csr), Some(chain), Some(root)) = (csr, chain, root) else { return report };
    let (Some(first), Some(root)) = (chain.first(), root.first()) else { return report };
    report.subject = Some(first.subject.clone());
    report.issuer = Some(first.issuer.clone());
    report.serial_hex = Some(first.serial_hex.clone());
    report.not_after = chain.iter().min_by_key(|c| c.not_after_unix).map(|c| c.not_after.clone());
    report.sha256 = Some(first.sha256.clone());
    report.spki_sha256 = Some(first.spki_sha256.clone());

    let problems = &mut report.problems;
    if let Some(why) = &csr.signature_problem {
        problems.push(format!("The request (CSR) is not signed with its own key: {why}."));
    }
    let leaf = check_key(problems, request, &csr, &chain);
    let order = check_order(problems, leaf, &chain, root);
    for certificate in &chain {
        check_time(problems, certificate, request.now_unix);
    }
    check_authority(problems, leaf, &order.iter().map(|&i| &chain[i]).collect::<Vec<_>>());
    report.certificates = chain;
    report
}

fn keep<T>(problems: &mut Vec<String>, what: &str, result: Result<T, crate::Malformed>) -> Option<T> {
    result.map_err(|e| problems.push(format!("{what}: {e}."))).ok()
}

/// The position of the certificate that has the request's key.
fn check_key(
    problems: &mut Vec<String>,
    request: &ChainRequest<'_>,
    csr: &CsrInfo,
    chain: &[CertificateInfo],
) -> Option<usize> {
    let leaf = chain.iter().position(|c| c.spki_der == csr.spki_der);
    if leaf.is_none() {
        let old = request
            .previous_spki_sha256
            .is_some_and(|old| chain.iter().any(|c| c.spki_sha256.eq_ignore_ascii_case(old)));
        problems.push(if old {
            format!(
                "The CSR changed since the export: sign the new one (its digest is sha256:{}); the chain is for the \
                 key of the old one.",
                csr.der_sha256
            )
        } else {
            format!(
                "Wrong key: no certificate of the chain has the public key of the CSR (sha256:{}); the first one, \
                 \"{}\", has sha256:{}. Sign the exported CSR itself.",
                csr.spki_sha256,
                chain[0].title(),
                chain[0].spki_sha256
            )
        });
    }
    leaf
}

/// Checks the order and the root; gives the order in which the certificates belong, as far as one can tell.
fn check_order(
    problems: &mut Vec<String>,
    leaf: Option<usize>,
    chain: &[CertificateInfo],
    root: &CertificateInfo,
) -> Vec<usize> {
    let given: Vec<usize> = (0..chain.len()).collect();
    for (i, certificate) in chain.iter().enumerate() {
        if chain[..i].iter().any(|c| c.der == certificate.der) {
            problems.push(format!("The certificate \"{}\" stands in the chain twice.", certificate.title()));
            return given;
        }
    }
    let broken: Vec<usize> = (0..chain.len().saturating_sub(1)).filter(|&i| !signs(&chain[i + 1], &chain[i])).collect();
    if !broken.is_empty() || leaf.is_some_and(|l| l > 0) {
        if let Some(order) = leaf.and_then(|l| right_order(l, chain)) {
            let names: Vec<String> = order.iter().map(|&i| format!("\"{}\"", chain[i].title())).collect();
            problems.push(format!(
                "Wrong order: each certificate must be followed by the one that signed it. The right order is {}.",
                names.join(", ")
            ));
            check_root(problems, &chain[*order.last().unwrap_or(&0)], root);
            return order;
        }
        for &i in &broken {
            problems.push(broken_link(&chain[i], &chain[i + 1]));
        }
    }
    if let Some(last) = chain.last() {
        check_root(problems, last, root);
    }
    given
}

fn broken_link(certificate: &CertificateInfo, next: &CertificateInfo) -> String {
    if certificate.issuer_der == next.subject_der {
        let why = certificate.signed_by(next).err().unwrap_or_default();
        format!("Bad signature: \"{}\" is not signed by \"{}\": {why}.", certificate.title(), next.title())
    } else {
        format!(
            "The chain is broken: \"{}\" was issued by \"{}\", but the next certificate is \"{}\".",
            certificate.title(),
            certificate.issuer,
            next.title()
        )
    }
}

fn check_root(problems: &mut Vec<String>, last: &CertificateInfo, root: &CertificateInfo) {
    if last.der == root.der || last.same_authority(root) {
        return;
    }
    problems.push(if signs(root, last) {
        format!("The root is missing: the chain ends with \"{}\"; append the root \"{}\".", last.title(), root.title())
    } else {
        format!(
            "Foreign root: the chain ends with \"{}\" (sha256:{}), which neither is the expected root \"{}\" \
             (sha256:{}) nor was signed by it.",
            last.title(),
            last.sha256,
            root.title(),
            root.sha256
        )
    });
}

fn signs(issuer: &CertificateInfo, certificate: &CertificateInfo) -> bool {
    certificate.issuer_der == issuer.subject_der && certificate.signed_by(issuer).is_ok()
}

/// The order that makes a chain of all certificates, starting with the request's.
fn right_order(leaf: usize, chain: &[CertificateInfo]) -> Option<Vec<usize>> {
    let mut order = vec![leaf];
    while order.len() < chain.len() {
        let last = *order.last()?;
        let next = (0..chain.len()).find(|i| !order.contains(i) && signs(&chain[*i], &chain[last]))?;
        order.push(next);
    }
    Some(order)
}

fn check_time(problems: &mut Vec<String>, certificate: &CertificateInfo, now: i64) {
    if now < certificate.not_before_unix {
        problems.push(format!(
            "Not yet valid: \"{}\" begins at {}; check the clocks.",
            certificate.title(),
            certificate.not_before
        ));
    }
    if now > certificate.not_after_unix {
        problems.push(format!("Expired: \"{}\" ended at {}.", certificate.title(), certificate.not_after));
    }
}

/// Every certificate of the chain must be an authority, the request's too: istiod signs with it.
fn check_authority(problems: &mut Vec<String>, leaf: Option<usize>, chain: &[&CertificateInfo]) {
    for (i, certificate) in chain.iter().enumerate() {
        let title = certificate.title();
        if !certificate.is_ca {
            problems.push(format!(
                "Not a CA certificate: \"{title}\" lacks basicConstraints CA:TRUE; sign with the extension \
                 \"basicConstraints = critical, CA:TRUE\"."
            ));
            continue;
        }
        match certificate.cert_sign {
            Some(true) => {}
            Some(false) => {
                problems.push(format!("\"{title}\" may not sign certificates: its keyUsage lacks keyCertSign."))
            }
            // RFC 5280 4.2.1.3 demands the extension of every CA; old roots exist without it.
            None if leaf.is_some() && i == 0 => problems.push(format!(
                "\"{title}\" may not sign certificates: it has no keyUsage; sign with the extension \"keyUsage = \
                 critical, keyCertSign, cRLSign\"."
            )),
            None => {}
        }
        // Below it stand the authorities before it, self-issued ones not counted (RFC 5280 4.2.1.9).
        let below = chain[..i].iter().filter(|c| c.subject_der != c.issuer_der).count();
        if let Some(limit) = certificate.pathlen.filter(|limit| usize::from(*limit) < below) {
            problems.push(format!(
                "Wrong pathlen: \"{title}\" allows {limit} authorities below itself (pathlen:{limit}), but the chain \
                 has {below}."
            ));
        }
    }
}

#[cfg(test)]
mod tests;
