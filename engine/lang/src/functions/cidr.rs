//! Functions of IP networks.
//!
//! The one decision: an address of either family is its bits as a 128-bit integer plus the width of its
//! family, so that the arithmetic exists once.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const PREFIX: Param = Param::new("prefix", Ty::String);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "cidrcontains",
        &[PREFIX, Param::new("address", Ty::String)],
        Ty::Bool,
        cidrcontains,
        "Whether an address or a whole network lies within a network of the same family.",
    ),
    Function::new(
        "cidrhost",
        &[PREFIX, Param::new("hostnum", Ty::Number)],
        Ty::String,
        cidrhost,
        "The address of a host by its number in a network; a negative number counts from the end.",
    ),
    Function::new("cidrnetmask", &[PREFIX], Ty::String, cidrnetmask, "The netmask of an IPv4 network."),
    Function::new(
        "cidrsubnet",
        &[PREFIX, Param::new("newbits", Ty::Number), Param::new("netnum", Ty::Number)],
        Ty::String,
        cidrsubnet,
        "The network of a number within a network whose prefix is extended by some bits.",
    ),
    Function::new(
        "cidrsubnets",
        &[PREFIX],
        Ty::Strings,
        cidrsubnets,
        "Consecutive networks within a network, one for each number of additional bits.",
    )
    .variadic(Param::new("newbits", Ty::Number)),
];

struct Network {
    address: u128,
    width: u32,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Result<Self, CallError> {
        Self::read(text).ok_or_else(|| {
            CallError::at(0, format!("{text:?} is no network; write it as address and length, such as \"10.0.0.0/16\""))
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let digits = prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u32 = prefix.parse().ok().filter(|_| digits)?;
        let host = Self::host(address)?;
        (prefix <= host.width).then(|| Self { prefix, ..host }.masked())
    }

    /// The network of one address.
    fn host(address: &str) -> Option<Self> {
        let (address, width) = if address.contains(':') {
            (u128::from(address.parse::<Ipv6Addr>().ok()?), 128)
        } else {
            // Leading zeros are decimal in the field.
            let octets = address.split('.').map(|o| {
                let plain = o.trim_start_matches('0');
                if plain.is_empty() && !o.is_empty() { "0" } else { plain }
            });
            let plain = octets.collect::<Vec<_>>().join(".");
            (u128::from(u32::from(plain.parse::<Ipv4Addr>().ok()?)), 32)
        };
        Some(Self { address, width, prefix: width })
    }

    fn masked(self) -> Self {
        Self { address: self.address & !low(self.width - self.prefix), ..self }
    }

    fn address(&self) -> String {
        match self.width {
            32 => Ipv4Addr::from(self.address as u32).to_string(),
            _ => Ipv6Addr::from(self.address).to_string(),
        }
    }

    fn text(&self) -> String {
        format!("{}/{}", self.address(), self.prefix)
    }
}

/// The lowest `bits` bits.
fn low(bits: u32) -> u128 {
    1_u128.checked_shl(bits).map_or(u128::MAX, |n| n - 1)
}

fn integer(args: &[Value], index: usize) -> Result<i128, CallError> {
    let number = args.get(index).and_then(Value::as_number);
    let text = number.filter(|n| n.is_integer()).map(ToString::to_string);
    text.and_then(|t| t.parse().ok()).ok_or_else(|| CallError::at(index, "a whole number is needed"))
}

fn cidrcontains(_: &Context, args: &[Value]) -> Outcome {
    let whole = Network::parse(text(args, 0))?;
    let part = text(args, 1);
    let Some(part) = Network::host(part).or_else(|| Network::read(part)) else {
        return Err(CallError::at(1, format!("{part:?} is neither an address nor a network")));
    };
    if whole.width != part.width {
        return Err(CallError::at(1, "one is IPv4 and the other IPv6"));
    }
    let inside =
        part.prefix >= whole.prefix && Network { prefix: whole.prefix, ..part }.masked().address == whole.address;
    Ok(Value::bool(inside))
}

fn cidrhost(_: &Context, args: &[Value]) -> Outcome {
    let network = Network::parse(text(args, 0))?;
    let number = integer(args, 1)?;
    let mask = low(network.width - network.prefix);
    let wrong =
        || CallError::at(1, format!("host {number} lies outside of a network that ends in /{}", network.prefix));
    // -1 is the last host: all ones.
    let host = match u128::try_from(number) {
        Ok(n) => n,
        Err(_) => mask.checked_sub(number.unsigned_abs() - 1).ok_or_else(wrong)?,
    };
    if host > mask {
        return Err(wrong());
    }
    let address = network.address | host;
    Ok(Value::string(Network { address, ..network }.address()))
}

fn cidrnetmask(_: &Context, args: &[Value]) -> Outcome {
    let network = Network::parse(text(args, 0))?;
    if network.width == 128 {
        // As in the field, where an IPv4 address within IPv6 has a mask.
        return match Ipv6Addr::from(network.address).to_ipv4_mapped() {
            Some(_) => Ok(Value::string(Ipv6Addr::from(!low(128 - network.prefix)).to_string())),
            None => Err(CallError::at(0, "only IPv4 has netmasks; for IPv6 use the length after the slash")),
        };
    }
    Ok(Value::string(Network { address: low(32) & !low(32 - network.prefix), ..network }.address()))
}

fn cidrsubnet(_: &Context, args: &[Value]) -> Outcome {
    let network = Network::parse(text(args, 0))?;
    let (bits, number) = (integer(args, 1)?, integer(args, 2)?);
    let prefix = i128::from(network.prefix).saturating_add(bits);
    let Some(prefix) = u32::try_from(prefix).ok().filter(|p| *p <= network.width) else {
        let from = network.prefix;
        return Err(CallError::at(
            1,
            format!("{bits} more bits do not fit behind /{from}: an address has {}", network.width),
        ));
    };
    if bits < 0 {
        // As in the field, a larger network keeps the bits it had, and any number is put before them.
        let number = u128::try_from(number).unwrap_or_default();
        let shifted = number.checked_shl(network.width - prefix).unwrap_or(0) & low(network.width);
        return Ok(Value::string(Network { address: network.address | shifted, prefix, ..network }.text()));
    }
    let room = u32::try_from(bits).map_or(0, low);
    let Some(number) = u128::try_from(number).ok().filter(|n| *n <= room) else {
        return Err(CallError::at(
            2,
            format!("{bits} bits number the networks from 0 to {room}; there is no {number}"),
        ));
    };
    let shifted = number.checked_shl(network.width - prefix).unwrap_or(0);
    Ok(Value::string(Network { address: network.address | shifted, prefix, ..network }.masked().text()))
}

fn cidrsubnets(_: &Context, args: &[Value]) -> Outcome {
    let network = Network::parse(text(args, 0))?;
    let last = network.address | low(network.width - network.prefix);
    let mut next = Some(network.address);
    let mut before = String::new();
    let mut out = Vec::new();
    for index in 1..args.len() {
        let bits = whole(args, index)?;
        if bits < 1 {
            return Err(CallError::at(index, "each network needs at least 1 bit more than the whole"));
        }
        if bits > 32 {
            return Err(CallError::at(index, "more than 32 bits at once are not supported"));
        }
        let prefix = network.prefix + u32::try_from(bits).unwrap_or(0);
        if prefix > network.width {
            let family = if network.width == 32 { "IPv4" } else { "IPv6" };
            let message = format!("/{prefix} is longer than an {family} address");
            return Err(CallError::at(index, message));
        }
        // The next address with all bits below the new prefix zero.
        let size = low(network.width - prefix);
        let start = next.and_then(|n| n.checked_add(size)).map(|n| n & !size);
        let Some(start) = start.filter(|s| s.checked_add(size).is_some_and(|end| end <= last)) else {
            let message = format!("no /{prefix} is left behind {before}; start from a larger network");
            return Err(CallError::at(index, message));
        };
        before = Network { address: start, prefix, width: network.width }.text();
        next = start.checked_add(size).and_then(|n| n.checked_add(1));
        out.push(before.clone());
    }
    Ok(Value::strings(out))
}
